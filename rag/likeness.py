"""Whether two texts say the same in nearly the same words. Pure.

Case, punctuation and line breaks make no difference. A few other words may differ, but none that could carry the
difference: no number, no name, no negation. "3.5 bar" and "4.5 bar" are never alike.

Among many texts those that may be alike are found by MinHash (Broder 1997): of the pairs of neighbouring words the
least by each of some hash functions, a few at a time together with the numbers and turning words, which must be equal.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_DIFFERENT = 0.1
"""Of the words, those that may differ."""
BANDS, ROWS = 6, 3
"""Texts that share four fifths of their pairs share one of the bands with 99%, a tenth of them with 0.6%."""
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
    weighty = {word for word in plain if word in _TURNS or word not in small or _numeric(word)}
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


def lowered(text: str) -> list[str]:
    """The words of a text in their order, in small letters."""
    return _WORD.findall(text.casefold())


def words_sha256(found: Sequence[str]) -> str:
    """Equal for texts of the same lowered words in the same order; empty for one without words."""
    return hashlib.sha256(" ".join(found).encode("utf-8", "surrogatepass")).hexdigest() if found else ""


def sketch(found: Sequence[str]) -> list[int]:
    """Numbers of 64 bits, one of which a text's lowered words share with those of nearly every text that is alike."""
    if len(found) < 2:
        return []
    encoded = " ".join(found).encode("utf-8", "surrogatepass").split(b" ")  # no word has a blank within
    each = np.fromiter(map(zlib.crc32, encoded), np.uint64, len(encoded))
    pairs = each[:-1] * _BEFORE + each[1:]
    least = ((pairs[:, np.newaxis] * _FACTORS + _ADDENDS) >> np.uint64(32)).min(axis=0).astype("<u4")
    odd = [word for word in found if word in _TURNS or not word.isalpha()]  # few: the others carry no number
    facts = sorted(Counter(word for word in odd if word in _TURNS or _numeric(word)).items())
    said = repr(facts).encode("utf-8", "surrogatepass")
    return [_number(b"%d/%b%b" % (band, said, least[ROWS * band : ROWS * (band + 1)])) for band in range(BANDS)]


def _numeric(word: str) -> bool:
    return not word.isalpha() and any(letter.isdigit() for letter in word)  # most words are settled by the first


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def _odd(name: str) -> int:
    return _number(name.encode()) % 2**64 | 1


_BEFORE = np.uint64(_odd("before"))
_FACTORS = np.array([_odd(f"factor {place}") for place in range(BANDS * ROWS)], np.uint64)
_ADDENDS = np.array([_odd(f"addend {place}") for place in range(BANDS * ROWS)], np.uint64)
"""Hash functions of a pair of words, of which each has a number: multiply and add modulo 2**64; of the result the upper
half."""
