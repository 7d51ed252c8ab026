"""What a document's path tells: metadata (`policies/{valid_from}/{area}/*`) and chunker, as corpus.toml declares.

`{name}` is a piece of one folder's or file's name, `*` any such piece, `**` any folders too. A file's suffix is looked
at without being asked for: `*-rev-{revision}` fits `pump-rev-B.pdf`. Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.chunkers import ChunkerName
from rag.types import MetadataValue

_PART = re.compile(r"\{(\w+)\}|(\*\*/?)|(\*)")


class PathPattern(BaseModel):
    """One [[paths]] table of a corpus.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str
    metadata: dict[str, MetadataValue] = Field(default_factory=dict)
    """What is so of every path that fits, beside what the pattern reads from it."""
    chunker: ChunkerName | None = None
    """What splits every document whose path fits."""

    @field_validator("pattern")
    @classmethod
    def _fits_something(cls, pattern: str) -> str:
        names = [found[1] for found in _PART.finditer(pattern) if found[1]]
        if len(set(names)) < len(names):
            raise ValueError(f"{pattern!r} names a field twice")
        if re.search(r"[{}]", _PART.sub("", pattern)):
            raise ValueError(f"{pattern!r}: a field is written {{name}}, of letters, digits and _")
        return pattern


def told(path: str, patterns: Sequence[PathPattern]) -> dict[str, str]:
    """What the first fitting pattern of each field reads from a path, as text; later patterns add other fields."""
    found: dict[str, str] = {}
    for each in patterns:
        if match := _compiled(each.pattern).fullmatch(path):
            found = {**match.groupdict(), **found}
    return found


def declared(path: str, patterns: Sequence[PathPattern]) -> Mapping[str, MetadataValue]:
    """What fitting patterns say of their paths; an earlier pattern wins."""
    found: dict[str, MetadataValue] = {}
    for each in patterns:
        if _compiled(each.pattern).fullmatch(path):
            found = {**each.metadata, **found}
    return found


def chunker(path: str, patterns: Sequence[PathPattern]) -> ChunkerName | None:
    """What the first fitting pattern that names a chunker says."""
    return next((each.chunker for each in patterns if each.chunker and _compiled(each.pattern).fullmatch(path)), None)


def fields(patterns: Sequence[PathPattern]) -> set[str]:
    """Every field that the patterns may tell."""
    named = {found[1] for each in patterns for found in _PART.finditer(each.pattern) if found[1]}
    return named | {name for each in patterns for name in each.metadata}


def _compiled(pattern: str) -> re.Pattern[str]:
    out, at = "", 0
    for found in _PART.finditer(pattern):
        out += re.escape(pattern[at : found.start()])
        if found[1]:
            out += f"(?P<{found[1]}>[^/]+?)"
        else:
            out += {"**": ".*", "**/": "(?:.*/)?"}.get(found[0], "[^/]*")
        at = found.end()
    return re.compile(out + re.escape(pattern[at:]) + r"(?:\.\w+)?")
