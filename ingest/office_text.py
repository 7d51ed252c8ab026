"""What runs of text in office files say by how they are set: a raised number is a power. Knows no format."""

from __future__ import annotations

import re

_POWER = re.compile(r"[-+\u2212\u2013]?\d+")
_BASE = re.compile(r"[\w)]\Z")


def raised(before: str, text: str) -> str:
    """A superscript as it is written after some text: 10 to the power of 6 is `10^6`, not `106`; `1st` stays."""
    return f"^{text}" if _POWER.fullmatch(text) and _BASE.search(before) else text
