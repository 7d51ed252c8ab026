"""Underlined headings of Markdown and reStructuredText as `# Heading`, which is the one syntax that splitting knows.

Code between fences and comments are left alone, and give no title. Pure, linear in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from ingest.fences import fenced

MAX_TITLE = 200
"""Characters of a line that may be a heading by the line below it."""

_TITLE = re.compile(r"^#[ \t]+(\S[^\n]*)$", re.MULTILINE)
_UNDERLINED = re.compile(r"^( {0,3}\S[^\n]*)\n {0,3}(={3,}|-{3,})[ \t]*$", re.MULTILINE)
_NO_TITLE = re.compile(r"\s*(?:[#>|<]|[-*+][ \t]|\d{1,9}[.)][ \t]|[\W_]*$|[^\n]*[.,;]\s*$)")
"""What begins a heading, a quote, a row of a table, HTML or an item of a list; what says nothing; a sentence."""
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}")


def markdown(text: str) -> tuple[str, str]:
    """The text with underlined headings rewritten, and its first heading of the first level, or nothing."""
    hidden = _Hidden(text)
    parts: list[str] = []
    at = 0
    for found in _UNDERLINED.finditer(text):
        above = text[text.rfind("\n", 0, max(0, found.start() - 1)) + 1 : found.start()].strip()
        if (above and not above.startswith("#")) or hidden.at(found.start()):
            continue
        if len(found[1]) <= MAX_TITLE and not _NO_TITLE.match(found[1]):
            parts += [text[at : found.start()], "# " if found[2][0] == "=" else "## ", found[1].strip()]
            at = found.end()
    text = "".join([*parts, text[at:]])
    hidden = _Hidden(text)
    first = next((found[1] for found in _TITLE.finditer(text) if not hidden.at(found.start())), "")
    return text, first.rstrip(" \t#")


def restructured(text: str) -> tuple[str, str]:
    """The text with its sections' titles rewritten, levels in the order that they come in; and the first title."""
    lines = text.split("\n")
    out: list[str] = []
    styles: list[tuple[str, bool]] = []
    title = ""
    at = 0
    while at < len(lines):
        over = at + 2 < len(lines) and _ADORNMENT.fullmatch(lines[at].rstrip()) is not None
        named = lines[at + over]
        below = lines[at + over + 1].rstrip() if at + over + 1 < len(lines) else ""
        alone = not out or not out[-1].strip() or out[-1].startswith("#")
        if alone and _entitles(named, below, lines[at].rstrip() if over else ""):
            style = (below[0], over)
            if style not in styles:
                styles.append(style)
            out.append(f"{'#' * min(6, styles.index(style) + 1)} {named.strip()}")
            title = title or named.strip()
            at += 2 + over
        else:
            out.append(lines[at])
            at += 1
    return "\n".join(out), title


def _entitles(named: str, below: str, above: str) -> bool:
    """Whether a line is a title by the lines of one character around it, or below it alone."""
    name = named.strip()
    if not name or len(name) > MAX_TITLE or not any(map(str.isalnum, name)) or not _ADORNMENT.fullmatch(below):
        return False
    if above:
        return above == below and len(below) >= len(name)
    return not named[0].isspace() and len(below) >= min(len(name), 4)


class _Hidden:
    """The stretches of a text that are code or comment."""

    def __init__(self, text: str) -> None:
        code = fenced(text)
        starts = [begin for begin, _ in code]
        comments = []
        at = 0
        while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin)) >= 0:
            place = bisect_right(starts, begin) - 1
            if place >= 0 and begin < code[place][1]:
                at = begin + 4
            else:
                comments.append((begin, end))
                at = end
        self._spans = sorted([*code, *comments])
        self._starts = [begin for begin, _ in self._spans]
        self._ends: list[int] = []
        for _, end in self._spans:
            self._ends.append(max(end, self._ends[-1] if self._ends else 0))

    def at(self, place: int) -> bool:
        """Whether a place is within one."""
        found = bisect_right(self._starts, place) - 1
        return found >= 0 and place < self._ends[found]
