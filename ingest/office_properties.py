"""What an office file says of itself: title, author, and the days it was made and changed. Knows no content.

Read from the part itself, because the libraries make one up where it is missing: "Word Document", changed today.
"""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

from ingest import archives
from ingest.cleaning import clean
from rag.types import MetadataValue

MAX_BYTES = 1 << 20
"""Of a part with properties; a larger one is none."""

_DUBLIN = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
_FIELDS = {
    f"{_DUBLIN}title": "title",
    f"{_DUBLIN}creator": "author",
    f"{_META}initial-creator": "author",
    f"{_TERMS}created": "created",
    f"{_META}creation-date": "created",
    f"{_TERMS}modified": "modified",
    f"{_DUBLIN}date": "modified",
}
_CORE = "/metadata/core-properties"
"""How the type of the relation ends that leads from a package to its properties."""
_EMPTY = ("Word Document", "PowerPoint Presentation", "PowerPoint-Präsentation")
_LIBRARIES = ("python-docx", "python-pptx", "Steve Canny")
"""Author of the templates of both libraries."""


def properties(path: Path) -> tuple[str, dict[str, MetadataValue]]:
    """(title, metadata) of an OOXML or OpenDocument file; empty where it has none that can be read."""
    told: dict[str, MetadataValue] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            name = "meta.xml" if "content.xml" in archive.NameToInfo else _core(archive)
            elements = list(archives.xml(archive, name, most=MAX_BYTES).iter(*_FIELDS)) if name else []
    except (*archives.BROKEN, OSError, KeyError, SyntaxError, ValueError):
        return "", {}  # what is wrong with the file itself its reader says
    for element in elements:
        field, text = _FIELDS[element.tag], " ".join(clean(element.text or "").split())
        value = text[:200] if field in ("title", "author") else _day(text)
        if value and value not in (*_EMPTY, *_LIBRARIES):
            told.setdefault(field, value)
    return str(told.pop("title", "")), told


def _core(archive: zipfile.ZipFile) -> str:
    for relation in archives.xml(archive, "_rels/.rels", most=MAX_BYTES):
        if relation.get("Type", "").endswith(_CORE):
            return str(relation.get("Target", "")).lstrip("/")
    return ""


def _day(text: str) -> str:
    """A day of a date-time as both formats write it; empty where it is none."""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return ""
    return day.isoformat() if day.year >= 1990 else ""
