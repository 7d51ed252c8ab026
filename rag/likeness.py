"""Whether two texts say the same in nearly the same words. Pure.

Case, punctuation and line breaks make no difference. A few other words may differ, but none that could carry the
difference: no number, no name, no negation. "3.5 bar" and "4.5 bar" are never alike.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass

MAX_DIFFERENT = 0.1
"""Of the words, those that may differ."""
_WORD = re.compile(r"[^\W_]+(?:[.,'’/:-][^\W_]+)*")
_TURNS = frozenset({
    "no", "not", "never", "none", "neither", "nor", "without", "unless", "except", "only", "but", "all", "any", "must",
    "may", "cannot", "can't", "don't", "won't", "before", "after", "above", "below", "more", "less", "first", "last",
})  # fmt: skip
"""Words that turn a sentence round, or loosen it."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, to be compared."""

    counts: Counter[str]
    weighty: frozenset[str]
    """Numbers, names and words that turn a sentence."""


def words_of(text: str) -> Words:
    """The words of a text."""
    found = _WORD.findall(text)
    plain = [word.casefold() for word in found]
    small = {word for word, low in zip(found, plain, strict=True) if word == low}
    weighty = {word for word in plain if word in _TURNS or word not in small or any(c.isdigit() for c in word)}
    return Words(Counter(plain), frozenset(weighty))


def alike(one: Words, other: Words) -> bool:
    """Whether one of them adds nothing that a reader would miss."""
    most = MAX_DIFFERENT * max(one.counts.total(), other.counts.total())
    if abs(one.counts.total() - other.counts.total()) > most:
        return False
    if len(one.counts.keys() ^ other.counts.keys()) > most:
        return False
    different = (one.counts - other.counts) + (other.counts - one.counts)
    return different.total() <= most and not different.keys() & (one.weighty | other.weighty)


def words_sha256(text: str) -> str:
    """Equal for texts of the same words in the same order; empty for one without words."""
    found = _WORD.findall(text.casefold())
    return hashlib.sha256(" ".join(found).encode("utf-8", "surrogatepass")).hexdigest() if found else ""
