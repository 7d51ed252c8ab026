"""What later rows of a text stand under: the header row of a table between bars, the name of a field. Knows no chunk.

A table's header is its first row, where a ruled line follows it, or where it has no number (a year is none) and a row
below has one. A field is a line `name: value`, as rows of a CSV file are written out; its value may be long.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.chunk_sizes import size_of

MAX_HEADER_WORDS = 40
"""Of a header that is repeated; its further columns are left out."""

_TABLE = re.compile(r"(?:^[ \t]*\|[^\n]*(?:\n|\Z)){2,}", re.MULTILINE)
_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")
_YEAR = re.compile(r"\b(?:FY ?)?(?:19|20)\d\d\b")
_DIGIT = re.compile(r"\d")
_FIELD = re.compile(r"^([^\W_][^:|#\n]{0,60}): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Headed:
    """A stretch of a text, of which what begins at `body` or later stands under `header`."""

    start: int
    body: int
    end: int
    header: str


def tables(text: str, start: int, end: int) -> list[Headed]:
    """Every run of two rows and more within `text[start:end]`; the header is empty where there is none."""
    found: list[Headed] = []
    if text.find("|", start, end) < 0:
        return found
    for match in _TABLE.finditer(text, start, end):
        first, _, rest = match[0].partition("\n")
        found.append(Headed(match.start(), match.start() + len(first) + 1, match.end(), _header(first, rest)))
    return found


def fields(text: str, start: int, end: int) -> list[Headed]:
    """The fields of a row that is written out, one a line, where the text begins with one."""
    if not _FIELD.match(text, start, end):
        return []
    begun = list(_FIELD.finditer(text, start, end))
    ends = [*(match.start() for match in begun[1:]), end]
    return [Headed(match.start(), match.start() + 1, stop, match[1]) for match, stop in zip(begun, ends, strict=True)]


def header_at(found: Sequence[Headed], at: int) -> str:
    """What a chunk stands under that begins at an offset; empty for one that holds the header itself."""
    place = bisect_right(found, at, key=lambda each: each.body) - 1
    return found[place].header if place >= 0 and at < found[place].end else ""


def _header(first: str, rest: str) -> str:
    second = rest.partition("\n")[0].strip()
    plain = not _DIGIT.search(_YEAR.sub("", first)) and _DIGIT.search(rest)
    return " | ".join(_kept(first)) if plain or _RULE.fullmatch(second) else ""


def _kept(row: str) -> Iterator[str]:
    size = 0
    for cell in row.strip().strip("|").split("|"):
        size += size_of(cell)
        if size > MAX_HEADER_WORDS:
            return
        if cell.strip():
            yield " ".join(cell.split())
