"""Agreement of an answer with a gold answer that is a date, a number or a yes or no. Pure; knows no coefficient."""

from __future__ import annotations

import math
import re

from evaluation.answers import content, sentences, tokens
from evaluation.choices import refusals
from evaluation.quantities import Date, Quantity, dates, periods, quantities

Vector = dict[str, float]


def date_features(gold: tuple[Date, ...], said: tuple[Date, ...]) -> Vector:
    """Agreement of the gold alias's first date with the dates said, field by field."""
    if not gold:
        return dict.fromkeys(
            ("date_gold", "date_agrees", "year_same", "month_same", "day_conflict", "date_conflict"), 0.0
        )
    want = gold[0]
    agree = [d for d in said if want.agrees(d)]
    full = [
        d for d in agree if all(getattr(want, f) is None or getattr(d, f) is not None for f in ("year", "month", "day"))
    ]
    same_year = [d for d in said if want.year is not None and d.year == want.year]
    return {
        "date_gold": 1.0,
        "date_agrees": 1.0 if full else (0.5 if agree else 0.0),
        "year_same": float(bool(same_year)),
        "month_same": float(any(want.month is not None and d.month == want.month for d in said)),
        "day_conflict": float(bool(same_year) and not agree),
        "date_conflict": float(bool(said) and not agree),
    }


def period_features(alias: str, answer: str) -> Vector:
    """Agreement of years with decades and centuries, either way round, and how far the nearest year said is off."""
    wanted = [d.year for d in dates(alias) if d.year]
    said = [d.year for d in dates(answer) if d.year]
    gold_spans, said_spans = periods(alias), periods(answer)
    inside = any(a <= y <= b for y in wanted for a, b in said_spans) or any(
        a <= y <= b for y in said for a, b in gold_spans
    )
    overlap = any(a <= d and c <= b for a, b in gold_spans for c, d in said_spans)
    gap = min((abs(a - b) for a in wanted for b in said), default=None)
    return {
        "period": float(inside or overlap),
        "period_gold": float(bool(gold_spans)),
        "year_near": 0.0 if gap is None or gap == 0 else float(gap <= 2),
        "year_far": 0.0 if gap is None else min(1.0, math.log1p(gap) / 5),
    }


PURE_NUMBER = re.compile(
    r"^[\s$€£¥(~]*(?:about|around|approximately|roughly|over|nearly|us\$|a|an)?[\s$€£¥(~-]*\d[\d,]*(?:\.\d+)?\)?\s*"
    r"(?:%|°\s?[cf]|[a-z³²/]+\.?(?:\s[a-z³²/]+\.?)?)?\.?$",
    re.IGNORECASE,
)
"""A gold answer that is one number with at most two words of unit."""
SCALED = re.compile(r"\b(?:thousand|million|billion|USD|dollars?)s?\b|\$", re.IGNORECASE)


def same_number(gold: Quantity, said: Quantity, *, any_scale: bool) -> bool:
    """Whether two numbers are one: equal as far as the gold one is written, or within 0.2%.

    Money may be told in units, thousands, millions or billions; a share may be told as a fraction.
    """
    scales = [1.0]
    if any_scale or gold.money:
        scales += [1e3, 1e6, 1e9, 1e-3, 1e-6, 1e-9]
    if gold.percent and not said.percent:
        scales = [1.0, 100.0]
    for scale in scales:
        near = abs(abs(said.value) * scale - abs(gold.value))
        if near <= max(gold.half * (1 + 1e-6), 0.002 * abs(gold.value)) if gold.half else near == 0:
            return True
    return False


def key_numbers(question: str, alias: str, answer: str) -> Vector:
    """The numbers a gold answer adds to the question, years left out: the share that is said, and whether none is."""
    asked = {q.value for q in quantities(question)}
    years = {float(d.year) for d in dates(alias) if d.year}
    gold = [
        q
        for q in quantities(alias)
        if q.value not in asked and q.value not in years and (q.percent or q.money or q.value > 3)
    ]
    if not gold:
        return {"keys": 0.0, "keys_said": 0.0, "keys_missing": 0.0}
    said = quantities(answer)
    share = sum(any(same_number(g, q, any_scale=g.money) for q in said) for g in gold) / len(gold)
    return {"keys": 1.0, "keys_said": share, "keys_missing": float(share == 0.0)}


def number_agreement(question: str, alias: str, answer: str) -> float:
    """1.0 when a number the answer ends or begins with is the gold one, 0.7 when any other is, else 0.0."""
    (gold, *_) = quantities(alias)
    scaled = bool(SCALED.search(question) or SCALED.search(alias))
    numeric = [s for s in sentences(answer) if quantities(s)]
    asserted = quantities(numeric[0]) + quantities(numeric[-1]) if numeric else ()
    if any(same_number(gold, q, any_scale=scaled) for q in asserted):
        return 1.0
    return 0.7 if any(same_number(gold, q, any_scale=scaled) for q in quantities(answer)) else 0.0


_YES = re.compile(
    r"(?:^|\b(?:so|therefore|thus|hence|is|conclusion|answer)[,:]?\s+)\W*(?:yes|true|correct)\b", re.IGNORECASE
)
_NO = re.compile(
    r"(?:^|\b(?:so|therefore|thus|hence|is|conclusion|answer)[,:]?\s+)\W*(?:no|false)\b(?!\s+(?:specific|information|data))",
    re.IGNORECASE,
)
_DENIES = re.compile(r"\b(?:no|not|never|cannot|neither|nor|without)\b|n't\b", re.IGNORECASE)
_BEGINS = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)


def polarity(question: str, answer: str) -> int:
    """+1 when an answer affirms what is asked, -1 when it denies it, 0 when it does neither or declines.

    Its own "yes" or "no" counts first; else the sentence nearest to the question's words, if it shares half of them.
    """
    for sentence in sentences(answer):
        if _YES.search(sentence):
            return 1
        if _NO.search(sentence):
            return -1
    if refusals(answer):
        return 0
    asked = set(content(question))
    share, nearest = max(
        ((len(asked & set(content(s))) / max(1, len(asked)), s) for s in sentences(answer)), key=lambda item: item[0]
    )
    if share < 0.3:
        return 0
    return -1 if _DENIES.search(nearest) else 1


def rounds_to(gold: float, said: float) -> bool:
    """Whether a number said is the gold one rounded to two or more digits: 2.4 or 2.5 for 2.45, 21,000 for 21,196."""
    if not gold or not said or gold == said:
        return gold == said
    for digits in (2, 3):
        step = 10.0 ** (math.floor(math.log10(abs(gold))) + 1 - digits)
        if abs(said - gold) < step and abs(said / step - round(said / step)) < 1e-6:
            return True
    return False


NUMBER_NAMES = ("number_gold", "number_same", "number_close", "number_conflict", "number_rounded", "digits_missing")


def number_features(alias: str, answer: str, question: str) -> Vector:
    """Agreement of the numbers of the gold alias with the numbers said."""
    gold = [q.value for q in quantities(alias)]
    if not gold:
        return dict.fromkeys(NUMBER_NAMES, 0.0)
    said = [q.value for q in quantities(answer)]
    asked = {q.value for q in quantities(question)}
    same = sum(any(abs(a - g) <= 1e-9 * max(1.0, abs(g)) for a in said) for g in gold) / len(gold)
    close = sum(any(abs(a - g) <= 0.01 * abs(g) for a in said) for g in gold) / len(gold)
    rounded = any(rounds_to(g, a) for g in gold for a in said)
    missing = [w for w in tokens(alias) if w[0].isdigit() and w not in set(tokens(answer))]
    fresh = [a for a in said if a not in asked]
    return {
        "number_gold": 1.0,
        "number_same": same,
        "number_close": close,
        "number_conflict": float(bool(fresh) and close == 0.0),
        "number_rounded": float(rounded),
        "digits_missing": float(bool(missing)),
    }


def typed_agreement(question: str, alias: str, answer: str) -> float | None:
    """How far an answer agrees with a gold answer that is one number or begins with yes or no; None for any other.

    Words tell nothing there ("No, you do not need one" shares every word with its contrary), so this decides alone.
    """
    if (begins := _BEGINS.match(alias)) is not None:
        wanted = 1 if begins[1].lower() == "yes" else -1
        return float(polarity(question, answer) == wanted)
    if PURE_NUMBER.match(alias.strip()) and quantities(alias) and not dates(alias):
        return number_agreement(question, alias, answer)
    return None
