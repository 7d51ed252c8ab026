"""Where the code between fences of ``` or ~~~ stands in a text. Pure, linear in the text."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^(`{3,}(?=[^`\n]*$)|~{3,})", re.MULTILINE)
"""A line with further backticks is code within a sentence."""


def fenced(text: str) -> list[tuple[int, int]]:
    """Where each fence that is closed begins, and where the line that closes it does; that one is as long or longer."""
    found = []
    begin, opened = 0, ""
    for match in _FENCE.finditer(text):
        if not opened:
            begin, opened = match.start(), match[1]
        elif match[1].startswith(opened):
            found.append((begin, match.start()))
            opened = ""
    return found
