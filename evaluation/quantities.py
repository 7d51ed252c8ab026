"""Numbers, dates and stretches of years in a text, as values that can be compared. Pure; knows no gold answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from evaluation.answers import NUMBER_WORDS, ORDINALS, healed

SCALES: Mapping[str, float] = {
    "hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "k": 1e3, "m": 1e6, "mn": 1e6,
    "bn": 1e9, "b": 1e9, "crore": 1e7, "lakh": 1e5,
}  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTH_NUMBER = {name[:length]: number for number, name in enumerate(MONTHS, start=1) for length in (3, len(name))}
_MONTH_NUMBER["sept"] = 9


@dataclass(frozen=True)
class Quantity:
    """A number as it is meant: value with its scale, half a unit of its last digit, whether it is money or a share."""

    value: float
    percent: bool = False
    money: bool = False
    half: float = 0.0


_QUANTITY = re.compile(
    r"(?P<minus>\(|(?<![\w.])-)?\s?(?P<money>[$€£¥]|US\$|USD|Rs\.?)?\s?(?P<digits>\d+(?:,\d{2,3})*(?:\.\d+)?|\.\d+)(?:st|nd|rd|th)?\s?"
    r"(?P<percent>%|percent\b|per cent\b)?\s?(?P<scale>hundred|thousand|million|billion|trillion|crore|lakh|mn|bn|"
    r"[kKmMbB])?(?![A-Za-z])",
)
_NUMBER_WORD = re.compile(
    r"\b(?:(?P<tens>twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[-\s])?(?P<unit>"
    + "|".join(sorted(NUMBER_WORDS, key=len, reverse=True))
    + r")\b(?:\s(?P<scale>hundred|thousand|million|billion))?",
    re.IGNORECASE,
)


@lru_cache(maxsize=16384)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Every number of a text in order, digits first and number words after them.

    Scales are applied ("1.5 billion"), a number in brackets that is money or follows accounting use is negative.
    """
    text = healed(text)
    found = []
    for match in _QUANTITY.finditer(text):
        begin = match.start("digits")
        if begin and text[begin - 1].isalpha() and not match["money"]:
            continue  # the 9 of "E9" names something
        value = float(match["digits"].replace(",", ""))
        if not match["money"] and re.fullmatch(r"(?:1[5-9]\d\d|20[0-2]\d)[1-9]\d?", match["digits"]):
            value = float(match["digits"][:4])
        scale = SCALES.get((match["scale"] or "").lower(), 1.0)
        bracket = match["minus"] == "(" and match.end() < len(text) and text[match.end()] == ")"
        sign = -1.0 if match["minus"] == "-" or bracket else 1.0
        decimals = len(match["digits"].partition(".")[2].rstrip("0"))
        half = 0.5 * 10.0**-decimals * scale
        found.append(Quantity(sign * value * scale, bool(match["percent"]), bool(match["money"]), half))
    for match in _NUMBER_WORD.finditer(text):
        value = float(NUMBER_WORDS[match["unit"].lower()])
        if match["tens"] and value < 10:
            value += NUMBER_WORDS[match["tens"].lower()]
        found.append(Quantity(value * SCALES.get((match["scale"] or "").lower(), 1.0)))
    return tuple(found)


@dataclass(frozen=True)
class Date:
    """A date as far as it is given; at least one field is set."""

    year: int | None = None
    month: int | None = None
    day: int | None = None

    def agrees(self, other: Date) -> bool:
        """Whether no field given on both sides differs, and at least one is given on both."""
        pairs = [(self.year, other.year), (self.month, other.month), (self.day, other.day)]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        return bool(both) and all(a == b for a, b in both)


_MONTH = "(?P<month>" + "|".join([*MONTHS, *(f"{m[:3]}" for m in MONTHS), "sept"]) + r")\.?"
_VERBS = ("march", "may")
_YEAR = r"(?P<year>1[0-9]\d{2}|20\d{2})\d{0,2}(?!\d)"
_DATES = (
    re.compile(rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+{_MONTH}(?:,?\s+{_YEAR})?", re.IGNORECASE),
    re.compile(rf"(?<![a-z]){_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s+{_YEAR})?", re.IGNORECASE),
    re.compile(rf"\b{_MONTH}(?:\s+of)?,?\s+{_YEAR}", re.IGNORECASE),
    re.compile(rf"(?<!\d){_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)\b"),
    re.compile(rf"(?<![\d,.$]){_YEAR}(?![,.]\d)(?!-\d)"),
    re.compile(r"\b(?P<month>" + "|".join(name for name in MONTHS if name not in _VERBS) + r")\b", re.IGNORECASE),
    re.compile(r"\b(?P<month>March|May)\b"),
)  # fmt: skip


@lru_cache(maxsize=16384)
def dates(text: str) -> tuple[Date, ...]:
    """The dates of a text in order, each as exact as it is written; a bare year counts, a bare "may" does not."""
    text = healed(text)
    taken = [False] * (len(text) + 1)
    found: list[tuple[int, Date]] = []
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if any(taken[match.start() : match.end()]):
                continue
            taken[match.start() : match.end()] = [True] * (match.end() - match.start())
            given = match.groupdict()
            month = given.get("month")
            number = (int(month) if month.isdigit() else _MONTH_NUMBER[month.lower()]) if month else None
            day, year = given.get("day"), given.get("year")
            found.append((match.start(), Date(int(year) if year else None, number, int(day) if day else None)))
    return tuple(date for _, date in sorted(found, key=lambda item: item[0]))


_CENTURY = re.compile(
    r"\b(?P<part>early|mid|middle|late|end of the|beginning of the|turn of the)?[-\s]*(?P<n>\d{1,2})(?:st|nd|rd|th)?"
    r"(?:\s+(?:and|to|or)\s+\d{1,2}(?:st|nd|rd|th)?)?[-\s]+centur(?:y|ies)\s*(?P<bc>b\.?\s?c)?",
    re.IGNORECASE,
)
_DECADE = re.compile(r"\b(?P<part>early|mid|late)?[-\s]*(?P<year>1\d\d0|20\d0)'?s\b", re.IGNORECASE)
_SPAN = re.compile(r"(?<!\d)(?P<first>1[0-9]\d\d|20\d\d)\s?(?:-|to|and|until)\s?(?P<last>1[0-9]\d\d|20\d\d)(?!\d)")
_PARTS = {"early": (0.0, 0.4), "beginning of the": (0.0, 0.2), "mid": (0.3, 0.7), "middle": (0.3, 0.7)}
_PARTS |= {"late": (0.6, 1.0), "end of the": (0.8, 1.0)}
_ORDINAL_WORD = re.compile(r"\b(" + "|".join(ORDINALS) + r"|twentieth)(?=[-\s]+centur)", re.IGNORECASE)


@lru_cache(maxsize=16384)
def periods(text: str) -> tuple[tuple[int, int], ...]:
    """(first, last) year of every decade, century and span of years in a text; years before Christ are negative.

    "the late 19th century" is (1860, 1900), "the early 1930s" (1930, 1934), "1780-1830" itself.
    """
    text = _ORDINAL_WORD.sub(lambda match: str(NUMBER_WORDS[match[1].lower()]), healed(text))
    found = []
    for match in _DECADE.finditer(text):
        low, high = _PARTS.get((match["part"] or "").lower(), (0.0, 0.9))
        found.append((int(match["year"]) + round(10 * low), int(match["year"]) + round(10 * high)))
    for match in _CENTURY.finditer(text):
        low, high = _PARTS.get((match["part"] or "").lower(), (0.0, 1.0))
        start = (int(match["n"]) - 1) * 100
        first, last = start + round(100 * low), start + round(100 * high)
        found.append((first - 2 * start - 100, last - 2 * start - 100) if match["bc"] else (first, last))
    found += [(int(match["first"]), int(match["last"])) for match in _SPAN.finditer(text)]
    return tuple(found)
