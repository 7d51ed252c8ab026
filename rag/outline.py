"""What a stretch of text stands under by its indentation: the term of a definition, the item above a nested one. Pure.

Manuals, nested lists and configuration say of what they speak once, and what they say of it below, further in: "The
default is 22." alone is no answer to anything. Headings are the chunkers' (`Passage.heading`), rows are rag.tables'.
"""

from __future__ import annotations

import re

LEVELS = 2
"""Lines above, at the most: an item, and the one that it is nested in."""

LONGEST = 80
"""Characters of a term; a longer line is prose."""

LOOK_BACK = 4000
"""Characters that are looked through."""

TAB = 8

_MARK = re.compile(r"(?:[-*+•–]|\(?\w{1,3}[.)])[ \t]+")
"""What an item of a list begins with."""
_TAG = re.compile(r"(\S(?:[^\n]*?\S)?)[ \t]{2,}")
"""A term that is followed by its description in the same line."""


def above(text: str, start: int) -> str:
    """The terms that the line at `start` stands under, outermost first, " > " between; empty where there are none."""
    begin = text.rfind("\n", 0, start) + 1
    line = text[begin : begin + LOOK_BACK].partition("\n")[0].expandtabs(TAB)
    margin, item = _margin(line), bool(_MARK.match(line.strip()))
    found: list[str] = []
    last = max(0, start - LOOK_BACK)
    while margin > 0 and begin > last and len(found) < LEVELS:
        end = begin - 1
        begin = text.rfind("\n", 0, end) + 1
        line = text[begin:end].expandtabs(TAB)
        said, own = line.strip(), _margin(line)
        if not said or own >= margin:
            continue
        mark = _MARK.match(said)
        if mark and own + mark.end() == margin and not item:
            margin, item = own, True  # the item's own first line
            continue
        tag = next((tag for tag in _TAG.finditer(said) if own + tag.end() == margin), None)
        term = tag[1] if tag else said[mark.end() :] if mark else said
        if not _is_term(term) or (tag is None and mark is None and _ends_prose(text, begin, own)):
            break
        found.append(term)
        margin, item = own, bool(mark)
    return " > ".join(reversed(found))


def _is_term(line: str) -> bool:
    return len(line) <= LONGEST and not line.endswith((".", ",", ";", "!", "?")) and any(map(str.isalpha, line))


def _ends_prose(text: str, begin: int, margin: int) -> bool:
    """Whether a line is the last of a paragraph: the one before it is as far in, and too long for a term."""
    before = text[text.rfind("\n", 0, max(0, begin - 1)) + 1 : max(0, begin - 1)].expandtabs(TAB)
    return _margin(before) == margin and len(before.strip()) > LONGEST // 2


def _margin(line: str) -> int:
    """Columns before the first character of a line without tabs."""
    return len(line) - len(line.lstrip())
