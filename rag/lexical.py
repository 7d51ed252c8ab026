"""Words and sentences of a text, with their offsets. Pure; knows no question and no model.

Deliberately light. The results decide which exact words are quoted and compared, and, by `sentences`, where chunks
begin: another result there needs a new version of the chunkers (tests/unit/ingest/test_chunkers.py says so).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:[.,'’\-/:][^\W_]+)*", re.UNICODE)
"""A run of letters and digits; inner marks stay inside, so that T-1042, 3.5, don't and 10/14 are one word each."""

_SENTENCE_END = re.compile(
    r"([.!?…。！？\n])(?:"
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\sa-z])"
    r"|(?<=[。！？])"
    r"|(?<=\n)(?:\s*\n|(?=\s*(?:[|\-*•#>]|\d+[.)]\s))))"
)
"""A sentence ends after a full stop before something that is no small letter, and before a blank line, or a new row,
list item or heading. A single line break inside a paragraph is no end: PDF text is wrapped anywhere. It begins with
the one character so that the engine looks for that alone, which takes a fifth of the time."""

NUMBERED = re.compile(r"\s*(\d{1,9})[.)]\s")
"""An item of a numbered list, or a number that a broken line happens to begin with."""
NUMBERED_LINE = re.compile(r"^[ \t]*(\d{1,9})[.)]\s", re.MULTILINE)
_BULLET = re.compile(r"^[-*+•]\s+")
_MARKER = re.compile(r"\s*\d{1,3}\.")

ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|Nos|vs|etc|Fig|Eq|Inc|Ltd|Co|Jr|Sr|approx|e\.g|i\.e|eg|ie|cf|U\.S))\.$"
)

_COMMON = """
    a an the and or but if then else of in on at by for from to into onto with without within as is are was were be
    been being am do does did done doing have has had having will would shall should can could may might must not no
    nor so than that this these those there here it its itself he him his she her hers they them their theirs we us our
    ours you your yours i me my mine who whom whose which what when where why how all any both each few more most other
    some such only own same too very just also about above after again against before below between during further
    once out over under until up down off through while because s t don now please tell give say name mean called
    according passage passages document documents question answer
"""
STOP_WORDS = frozenset(_COMMON.split())

_SINGULAR = ("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", "")


@lru_cache(maxsize=65536)
def normal(word: str) -> str:
    """A word as it is compared: case and accents removed, thousands separators, possessive and plural too."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
    plain = plain.replace("’", "'").removesuffix("'s")
    if any(c.isdigit() for c in plain):
        return re.sub(r"(?<=\d),(?=\d{3})", "", plain).rstrip(".,")
    for ending, replacement in _SINGULAR:
        if plain.endswith(ending) and len(plain) - len(ending) >= 3 and not plain.endswith(("ss", "us", "is")):
            return plain[: len(plain) - len(ending)] + replacement
    return plain


def words(text: str) -> list[str]:
    """The words of a text as they are compared, in order; a hyphenated or slashed word also in its parts."""
    found = []
    for match in WORD.finditer(text):
        whole = normal(match[0])
        found.append(whole)
        if len(parts := re.split(r"[\-/:’']", match[0])) > 1:
            found.extend(normal(part) for part in parts if part)
    return found


def content_words(text: str) -> list[str]:
    """The words that carry meaning, in order, repeated ones once."""
    return list(dict.fromkeys(word for word in words(text) if word not in STOP_WORDS))


def has_digit(word: str) -> bool:
    """Whether a word is a number, a date or an identifier."""
    return any(c.isdigit() for c in word)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each sentence, list item or table row, white space around it left out, in order."""
    start, first = 0, NUMBERED.match(text)
    last = int(first[1]) if first else 0
    for match in _SENTENCE_END.finditer(text):
        end = match.start() if match[1] == "\n" else match.end(1)
        item = NUMBERED.match(text, match.end()) if "\n" in text[end : match.end()] else None
        goes_on = item is not None and int(item[1]) in (1, last + 1)
        if match[0] == "\n" and item and not goes_on and text[end - 1] not in ".!?…:":
            continue  # a broken line happens to begin with a number
        if _inside(text, start, end) and not goes_on:
            continue
        if goes_on and item:
            last = int(item[1])
        yield from _trimmed(text, start, end)
        start = match.end()
    yield from _trimmed(text, start, len(text))


def unmarked(text: str, start: int, end: int) -> str:
    """A sentence without the bullet or number of the list that it is an item of: a number only beside its neighbour."""
    sentence = text[start:end]
    if item := NUMBERED.match(sentence):
        number = int(item[1])
        listed = {int(found[1]) for found in NUMBERED_LINE.finditer(text)}
        return sentence[item.end() :] if {number - 1, number + 1} & listed else sentence
    return _BULLET.sub("", sentence)


def _inside(text: str, start: int, end: int) -> bool:
    """Whether a full stop ends an abbreviation, or the number that a list item of this sentence begins with."""
    if text[end - 1 : end] != ".":
        return False
    return bool(ABBREVIATION.search(text, max(0, end - 12), end)) or bool(_MARKER.fullmatch(text, start, end))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
