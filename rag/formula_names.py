"""Whose statements a question asks for: the words of it that are neither of a formula nor of everyday asking. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rag.lexical import STOP_WORDS
from rag.statement_items import ITEMS, PLAIN, places

KNOWN = {
    "current ratio|working capital ratio": "total current assets / total current liabilities",
    "(?:net )?working capital": "total current assets - total current liabilities",
    "free cash flow|fcf": "cash from operations - capex",
    "ebitda": "operating income + depreciation and amortization",
    "gross (?:profit )?margin": "(revenue - cogs) / revenue",
    "operating (?:profit |income )?margin": "operating income / revenue",
    "net (?:profit |income )?margin": "net income / revenue",
}
"""What every textbook defines alike; the answer shows what was computed."""
RATIO = re.compile(rf"\b(?:{'|'.join(KNOWN)})\b(?! margin)", re.IGNORECASE | re.ASCII)
YEAR = r"(?:FY ?|fiscal (?:year )?|year )?((?:19|20)\d\d)"
WORD = re.compile(r"[^\W_]+")
_JOINED = re.compile(r"[^\W_]+&[^\W_]+")
"""AT&T: neither of its words would be told from everyday ones."""
_DATES = re.compile(
    rf"\byear[- ]over[- ]year\b|{YEAR}|\bFY\b|\b(?:\d|two|three|four|five)[- ]year\b|\b\d{{1,2}}\b", re.IGNORECASE
)
_EVERYDAY = """
    usd us eur gbp dollars euros gaap ifrs yoy sec form p l d a k consolidated statement statements balance sheet
    income cash flow flows operations position earnings financial line item items annual report reported figures
    report reports record recorded make made pay paid payout spend spent generate generated earn earned hold held post
    posted according answer answers address assume base based basing calculate compute consider considering extract
    looking need please provide round show state take taking use using utilizing want primarily provided detail details
    outlined information thousand million billion percent decimal fy one two three four five no cagr
    compound compounded rate
    january february march april may june july august september october november december
"""
_NARROWING = frozenset(
    ["other", "more", "most", "only", "not", "down", "off", "under", "over", "above", "below", "same", "such"]
)
ALLOWED = (STOP_WORDS - _NARROWING) | PLAIN | frozenset(_EVERYDAY.split())
"""Words that name nobody and narrow nothing."""
_FORMERLY = re.compile(r"\(formerly[^)]*\)", re.IGNORECASE)
_DATED = frozenset(
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"]
) | {"december"}
MARGIN = re.compile(r"[- ](?:% margin|margin %|percent(?:age)? margin)", re.IGNORECASE)
SHORT = 6
"""Words before what is asked that may name whom it is asked of ("In north america, what ..."); more set a scene."""


def names(asking: str, beside: str, defined: Mapping[str, str]) -> tuple[str, ...]:
    """Words, or words side by side, in small letters: of what is asked all of them, beside it those with a capital.

    asking: the clause that asks; beside: what stands before and after it; defined: the formulas that it defines
    """
    allowed = set(ALLOWED)
    for name in defined:
        tokens = WORD.findall(name)
        allowed |= {
            t.casefold() for t in tokens if t.islower() or t.isupper() or re.search(rf"\b{t.lower()}\b", asking)
        }
        allowed |= set(spelled(name, asking))
        if before := re.search(rf"((?:[\w-]+ ){{1,6}})\({re.escape(name)}\)", asking, re.IGNORECASE):
            allowed |= {word for word in WORD.findall(before[1]) if word.islower()}
    first = next(iter(WORD.findall(asking)), "")
    asking = bare(_FORMERLY.sub(" ", asking))

    def asked(word: str) -> bool:
        plain = word.casefold()
        title = word[:1].isupper() and not word.isupper() and word != first and plain not in _DATED
        return plain not in allowed or title

    found = _sequences(asking, asked)
    found += [match.casefold().replace("&", " ") for match in _JOINED.findall(asking) if match.casefold() != "p&l"]
    lead, _, rest = beside.partition(" . ")
    lead = re.split(r"[.?!:]\s", lead)[-1]
    short = len(WORD.findall(lead)) <= SHORT
    found += _sequences(bare(lead), lambda word: word.casefold() not in allowed and (short or not word.islower()))
    found += _sequences(bare(rest), lambda word: word.casefold() not in allowed and not word.islower())
    return tuple(dict.fromkeys(found))


def narrowed(asking: str) -> bool:
    """Whether a small word directly before an item makes it another one: deferred revenue, gross PP&E."""
    for start, _, _ in places(asking):
        before = re.search(r"([\w'’&-]+) \Z", asking[:start])
        word = before[1] if before else ""
        plain = word in ALLOWED or word.endswith(("'s", "’s", "'", "’")) or any(c.isdigit() for c in word)
        if word.islower() and not plain:
            return True
    return False


def bare(text: str) -> str:
    """Without items, ratios, years and possessives."""
    for pattern in (*(item.asked for item in ITEMS), RATIO, MARGIN, _DATES, re.compile(r"['’]s?\b")):
        text = pattern.sub(" . " if pattern is not _DATES else " ", text)
    return text


def spelled(name: str, text: str) -> list[str]:
    """The words of a text that a name is the initials of: "return on assets" for ROA."""
    tokens = [word.casefold() for word in WORD.findall(text)]
    runs = (tokens[at : at + len(name)] for at in range(len(tokens) - len(name) + 1))
    return next((run for run in runs if len(name) > 1 and "".join(word[0] for word in run) == name.casefold()), [])


def _sequences(text: str, is_name: Callable[[str], bool]) -> list[str]:
    """Words that are names, those side by side together, in small letters."""
    found: list[str] = []
    end = -1
    for match in WORD.finditer(text):
        if is_name(match[0]):
            joined = end >= 0 and re.fullmatch(r"[ &.'’-]{1,3}", text[end : match.start()])
            found[-1:] = [f"{found[-1]} {match[0].casefold()}"] if joined else [*found[-1:], match[0].casefold()]
            end = match.end()
        else:
            end = -1
    return found
