"""What a stretch of text stands under by its indentation: the term of a definition, the item above a nested one. Pure.

Manuals, nested lists and configuration say of what they speak once, and what they say of it below, further in: "The
default is 22." alone is no answer to anything. Headings are the chunkers' (`Passage.heading`), rows are rag.tables'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.lexical import words

LEVELS = 2
"""Lines above, at the most: an item, and the one that it is nested in."""

LONGEST = 80
"""Characters of a term; a longer line is prose."""

LOOK_BACK = 4000
"""Characters before the first place, of which more is not looked at: a definition is seldom longer."""

_TAB = 8
_MARK = re.compile(r"(?:[-*+•–]|\(?\w{1,3}[.)])[ \t]+")
"""What an item of a list begins with."""
_ROW = re.compile(r"(?:^|\s)\||\|(?:\s|$)")
"""A bar between cells; one within a word parts what an option may be set to (`--check=<no|full>`)."""


@dataclass(frozen=True, slots=True)
class Term:
    """Words that something stands under: `text[start:end]`."""

    words: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Line:
    begin: int
    """where it begins in the text"""
    end: int
    margin: int
    """columns before its first character"""
    said: str
    prose: bool
    """whether it goes on with a paragraph: the line before is as far in, and too long for a term"""


def path(terms: Sequence[Term]) -> str:
    """Terms on one line, " > " between."""
    return " > ".join(term.words for term in terms)


def above(text: str, starts: Sequence[int]) -> list[tuple[Term, ...]]:
    """Of each place the terms that its line stands under, outermost first.

    One pass over the lines from `LOOK_BACK` before the first place to the last.
    """
    found: list[tuple[Term, ...]] = [()] * len(starts)
    order = sorted(range(len(starts)), key=starts.__getitem__)
    if not order:
        return found
    end = text.rfind("\n", 0, max(0, starts[order[0]] - LOOK_BACK)) + 1
    open_lines: list[_Line] = []
    before = ""
    for i in order:
        while end <= starts[i]:
            begin, stop = end, text.find("\n", end)
            end = stop + 1 if stop >= 0 else len(text) + 1
            line = text[begin : end - 1].expandtabs(_TAB)
            said = line.strip()
            if said:
                margin = len(line) - len(line.lstrip())
                while open_lines and open_lines[-1].margin >= margin:
                    open_lines.pop()
                prose = before.startswith(line[:margin]) and before[margin : margin + 1].strip() != ""
                open_lines.append(_Line(begin, end - 1, margin, said, prose and len(before) - margin > LONGEST // 2))
            before = line
        found[i] = tuple(
            Term(term, at, at + len(term))
            for term, line in reversed(_terms(open_lines))
            if (at := text.find(term, line.begin, line.end)) >= 0  # one with a tab in it is not found, and is none
        )
    return found


def end(text: str, term: Term, *, longest: int) -> int:
    """Where what stands under a term ends: before the next line that is as far out; at most `longest` after it."""
    begin = text.rfind("\n", 0, term.start) + 1
    line = text[begin : term.end].expandtabs(_TAB)
    margin = len(line) - len(line.lstrip())
    stop = text.find("\n", term.end)
    limit = min(len(text), term.end + longest)
    while 0 <= stop < limit:
        after = text.find("\n", stop + 1)
        line = text[stop + 1 : after if after >= 0 else len(text)].expandtabs(_TAB)
        if line.strip() and len(line) - len(line.lstrip()) <= margin:
            return stop
        stop = after
    return limit


def unsaid(said: str, terms: Sequence[Term]) -> Term | None:
    """The nearest of a sentence's terms, unless the sentence says it itself.

    A line of capitals alone is a section's name, and no term.
    """
    if not terms:
        return None
    name = terms[-1].words
    section = name.isupper() and name.replace(" ", "").isalpha()
    return None if section or set(words(name)) <= set(words(said)) else terms[-1]


def _terms(lines: Sequence[_Line]) -> list[tuple[str, _Line]]:
    """The terms above the last of some lines, of which each stands further in than the one before; innermost first."""
    found: list[tuple[str, _Line]] = []
    if not lines:
        return found
    margin, item = lines[-1].margin, bool(_MARK.match(lines[-1].said))
    for line in reversed(lines[:-1]):
        mark = _MARK.match(line.said)
        if mark and line.margin + mark.end() == margin and not item:
            margin, item = line.margin, True  # the item's own first line
            continue
        tag = _tag(line.said, margin - line.margin)
        term = tag or (line.said[mark.end() :] if mark else line.said)
        if not _is_term(term) or (line.prose and not tag and not mark):
            break
        found.append((term, line))
        if len(found) == LEVELS:
            break
        margin, item = line.margin, bool(mark)
    return found


def _tag(line: str, column: int) -> str:
    """The term of a line whose description begins in the same line, at a column after two blanks; else nothing."""
    begun = line[column - 2 : column] == "  " and line[column : column + 1].strip() if column > 2 else ""
    return line[:column].rstrip() if begun else ""


def _is_term(line: str) -> bool:
    if len(line) > LONGEST or "   " in line or _ROW.search(line):
        return False  # prose, or a row of a table
    return not line.endswith((".", ",", ";", "!", "?")) and any(map(str.isalpha, line))
