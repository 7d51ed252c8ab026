"""EPUB to text: its chapters in reading order, each as the page that it is. Knows no other format.

The standard library's zip and the HTML reader are all that it takes; ebooklib is under the AGPL.
"""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from ingest import archives
from ingest.cleaning import clean, decode
from ingest.readers import Extracted
from ingest.readers_html import html_text
from rag.errors import UnreadableDocument
from rag.types import MetadataValue

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
MAX_AUTHORS = 50
_PAGES = ("application/xhtml+xml", "text/html")


def read_epub(path: Path) -> Extracted:
    """The chapters that the book's spine names, one after the other; title, authors and language from its package."""
    with archives.bounded(path, kind="EPUB", holds=_CONTAINER) as archive:
        root = _first(_xml(archive, _CONTAINER), "rootfile")
        package_name = "" if root is None else str(root.get("full-path", ""))
        if package_name not in archive.NameToInfo:
            raise UnreadableDocument("the EPUB is damaged: it does not say where its contents are")
        package = _xml(archive, package_name)
        folder = posixpath.dirname(package_name)
        items = {
            str(item.get("id")): posixpath.normpath(posixpath.join(folder, unquote(str(item.get("href")))))
            for item in _all(package, "item")
            if item.get("href") and item.get("media-type") in _PAGES
        }
        chapters = [items[name] for ref in _all(package, "itemref") if (name := str(ref.get("idref"))) in items]
        locked = _locked(archive)
        if chapters and locked.issuperset(chapters):
            raise UnreadableDocument("the EPUB is encrypted (DRM): its chapters cannot be read")
        there = [name for name in dict.fromkeys(chapters) if name in archive.NameToInfo and name not in locked]
        texts = [html_text(decode(archive.read(name)), whole=True).text for name in there]
    told = {name: _told(_first(package, name)) for name in ("title", "language", "date")}
    authors = dict.fromkeys(filter(None, map(_told, _all(package, "creator")[:MAX_AUTHORS])))
    told["author"] = ", ".join(authors)
    metadata: dict[str, MetadataValue] = {name: told[name] for name in ("author", "language", "date") if told[name]}
    return Extracted("\n\n".join(text for text in texts if text), told["title"], metadata)


def _xml(archive: zipfile.ZipFile, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    try:
        root = etree.fromstring(archive.read(name), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableDocument(f"the EPUB is damaged: {name} is no XML") from error
    if root is None:
        raise UnreadableDocument(f"the EPUB is damaged: {name} is no XML")
    return root


def _all(root: etree._Element, name: str) -> list[etree._Element]:
    return list(root.iter(f"{{*}}{name}"))


def _first(root: etree._Element, name: str) -> etree._Element | None:
    return next(iter(root.iter(f"{{*}}{name}")), None)


def _told(found: etree._Element | None) -> str:
    return "" if found is None else " ".join(clean("".join(found.itertext())).split())[:500]


def _locked(archive: zipfile.ZipFile) -> set[str]:
    if _ENCRYPTION not in archive.NameToInfo:
        return set()
    references = _all(_xml(archive, _ENCRYPTION), "CipherReference")
    return {unquote(str(item.get("URI", ""))) for item in references}
