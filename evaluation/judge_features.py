"""What a judge looks at: one question, its gold answers and an answer in; a vector of named numbers out.

Pure; knows no coefficient, no system and no suite. Each gold alias is compared with the answer and the best one counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from evaluation.answers import content, healed, sentences, squashed, tokens
from evaluation.choices import refusals
from evaluation.judge_typed import Vector, date_features, key_numbers, number_features, period_features, typed_agreement
from evaluation.quantities import dates

WHEN = re.compile(r"\b(?:when|what (?:year|date|day|month|time)|which (?:year|date)|since when)\b")
WHO = re.compile(
    r"\b(?:who|whose|whom|which (?:actor|actress|president|king|player|singer))\b"
    r"|\bname of the (?:person|girl|guy|man|actor)"
)
WHERE = re.compile(r"\b(?:where|which (?:country|city|state)|what (?:country|city|state))\b")
HOW_MANY = re.compile(
    r"\bhow (?:many|much|long|old|far|tall|big|high|often|fast|deep|large)\b|\bwhat (?:percent|number|percentage)"
)
_NEGATIVE = "not never no nobody none neither nor without incorrect false isn wasn didn doesn"
NEGATION = frozenset(_NEGATIVE.split())

VERSION = 1
"""Version of the features; raised with every change of their names or meaning, and named in the fitted file."""


@lru_cache(maxsize=65536)
def alike(a: str, b: str) -> float:
    """How alike two words are, in [0, 1]: 1 equal, else by spelling; numbers are equal or not.

    Words under four letters must be equal; a common beginning of five letters counts as 0.9.
    """
    if a == b:
        return 1.0
    if a[:1].isdigit() or b[:1].isdigit() or min(len(a), len(b)) < 4:
        return 0.0
    if a[:5] == b[:5] and min(len(a), len(b)) >= 5:
        return 0.9
    if abs(len(a) - len(b)) > 2 or a[0] != b[0]:
        return 0.0
    ratio = SequenceMatcher(None, a, b, autojunk=False).ratio()
    return ratio if ratio >= 0.8 else 0.0


def trigrams(text: str) -> set[str]:
    """Runs of three characters of the text with letters and digits alone."""
    return {text[i : i + 3] for i in range(max(1, len(text) - 2))}


def contained(needle: Sequence[str], haystack: Sequence[str]) -> int:
    """First position of `needle` as a run of words in `haystack`, or -1."""
    n = len(needle)
    if n == 0 or n > len(haystack):
        return -1
    first = needle[0]
    for i in range(len(haystack) - n + 1):
        if haystack[i] == first and tuple(haystack[i : i + n]) == tuple(needle):
            return i
    return -1


def name_match(gold: Sequence[str], said: Sequence[str]) -> float:
    """1.0 when the surname is said and every other word of the gold name is said or fits an initial beside it.

    Either side may give initials or leave middle names out: "A K Mathur" fits "Ashok Kumar Mathur",
    "Keeley Clare Julia Hawes" fits "Keeley Hawes"; "Gupta Empire" does not fit "Kushan Empire". Else 0.0.
    """
    if len(gold) < 2:
        return 0.0
    for i, word in enumerate(said):
        if alike(word, gold[-1]) < 0.85:
            continue
        before = said[max(0, i - len(gold) - 1) : i]
        if not before:
            continue
        first = gold[0]
        if any(
            alike(word, first) >= 0.8 or (min(len(word), len(first)) == 1 and word[0] == first[0]) for word in before
        ):
            return 1.0
    return 0.0


def best_alike(word: str, words: Iterable[str]) -> float:
    """How alike a word is to the nearest of some words, in [0, 1]; 0.0 when there are none."""
    return max((alike(word, other) for other in words), default=0.0)


def mean_alike(words: Sequence[str], others: Collection[str]) -> float:
    """Mean of `best_alike` over some words; 0.0 when there are none."""
    return sum(best_alike(word, others) for word in words) / len(words) if words else 0.0


def place_features(gold_all: Sequence[str], gold: Sequence[str], said_all: Sequence[str]) -> Vector:
    """Where the matched words stand in the answer: how tightly together, how late, and whether after a negation."""
    wanted = set(gold)
    places = [i for i, word in enumerate(said_all) if word in wanted]
    if not places:
        return {"tight": 0.0, "late": 0.5, "negated": 0.0}
    windows = (set(said_all[i : i + len(gold_all) + 2]) & wanted for i in places)
    near = said_all[max(0, places[0] - 4) : places[0]]
    return {
        "tight": max(len(window) for window in windows) / len(wanted) if len(wanted) > 1 else 1.0,
        "late": places[0] / max(1, len(said_all)),
        "negated": float(any(word in NEGATION for word in near)),
    }


def word_features(asked: Collection[str], alias: str, answer: str, rarity: Mapping[str, float]) -> Vector:
    """How many of the gold alias's words are said, weighed in several ways, and how much else is said."""
    gold_all, said_all = tokens(alias), tokens(answer)
    gold, said = content(alias), content(answer)
    said_set, gold_set = set(said_all), set(gold_all)
    each = [best_alike(word, said_set) for word in gold] or [0.0]
    weights = [rarity.get(word, 1.0) * (0.35 if word in asked else 1.0) for word in gold] or [1.0]
    weighted = sum(weight * value for weight, value in zip(weights, each, strict=True)) / sum(weights)
    names = [w for name in re.findall(r"\b[A-Z][a-z]+|\d+", alias) for w in tokens(name) if w not in asked]
    fresh_recall = mean_alike([word for word in gold if word not in asked] or gold, said_set)
    others = [best_alike(word, gold_set) for word in said if word not in asked] or [
        best_alike(word, gold_set) for word in said
    ]
    precision = sum(others) / max(1, len(others))
    lead = set(tokens(sentences(answer)[0]))
    gold_squashed, said_squashed = squashed(alias), squashed(answer)
    grams = trigrams(gold_squashed)
    return {
        "equal": float(gold_all == said_all),
        "contains": float(contained(gold_all, said_all) >= 0),
        "squashed": float(len(gold_squashed) >= 4 and gold_squashed in said_squashed),
        "raw": float(len(alias) >= 3 and alias[:1].isupper() and alias in answer),
        "recall": sum(word in said_set for word in gold) / max(1, len(gold)),
        "fuzzy_recall": sum(each) / len(each),
        "fresh_recall": fresh_recall,
        "all_matched": float(min(each) >= 0.8),
        "none_matched": float(max(each) < 0.8),
        "first": each[0],
        "last": each[-1],
        "first_and_last": each[0] * each[-1],
        "lead_recall": sum(word in lead for word in gold) / max(1, len(gold)),
        "precision": precision,
        "inside": float(bool(others) and min(others) >= 0.8),
        "f1": 2 * precision * fresh_recall / max(1e-9, precision + fresh_recall),
        "trigrams": len(grams & trigrams(said_squashed)) / len(grams),
        "weighted": weighted,
        "rarest": each[max(range(len(each)), key=weights.__getitem__)],
        "name": name_match(gold_all, said_all),
        "names_recall": mean_alike(names, said_set) if names else weighted,
        "gold_words": math.log1p(len(gold)),
        "gold_fresh_none": float(not [word for word in gold if word not in asked]),
        **place_features(gold_all, gold, said_all),
    }


def alias_features(question: str, alias: str, answer: str, rarity: Mapping[str, float]) -> Vector:
    """Everything about one gold alias. `rarity`: word -> weight in (0, 1], 1 for a word it does not hold."""
    f = {
        **word_features(set(content(question)), alias, answer, rarity),
        **period_features(alias, answer),
        **date_features(dates(alias), dates(answer)),
        **number_features(alias, answer, question),
        **key_numbers(question, alias, answer),
    }
    agreement = typed_agreement(question, alias, answer)
    if agreement is not None:
        f |= dict.fromkeys(AGREEING, agreement)
        f |= dict.fromkeys(("none_matched", "number_conflict", "digits_missing"), float(agreement == 0))
        f["number_gold"] = 1.0
    f["typed"] = float(agreement is not None)
    f["typed_agrees"] = agreement or 0.0
    return f


AGREEING = (
    "contains", "squashed", "recall", "fuzzy_recall", "fresh_recall", "all_matched", "first", "last", "first_and_last",
    "trigrams", "tight", "weighted", "rarest", "names_recall", "number_same", "number_close",
)  # fmt: skip
"""Features that one decision sets alike when the gold answer is a number or a yes or no: words tell nothing there."""


def _rank(f: Vector) -> float:
    """Which alias counts: the one that fits best by a fixed mix, so that the choice needs no coefficient."""
    return (
        3 * f["contains"] + 2 * f["squashed"] + 2 * f["fresh_recall"] + f["fuzzy_recall"] + f["trigrams"] + f["tight"]
        + 2 * f["weighted"] + f["name"] + f["period"] + 2 * f["date_agrees"] + f["number_same"] + f["inside"]
        + 0.5 * f["precision"] - f["date_conflict"]
    )  # fmt: skip


PLURAL = re.compile(
    r"\b(?:are|were) the\b|\b(?:name|list)\b|\b(?:two|three|four|five|six) (?:main |major |types |of )"
    r"|\b(?:who|what) (?:are|were)\b"
)
_PRODUCTS = """
    who*weighted who*none_matched when*date_agrees when*year_far how_many*number_close how_many*number_conflict
    short*weighted short*precision short*number_conflict short*all_matched proper*weighted proper*none_matched
    where*weighted refuses*all_matched refuses*contains refuses_lead*contains plural*matched_share
    plural*contains other*weighted other*none_matched long*all_matched short*inside gold_words*weighted
    gold_words*none_matched words*weighted words*none_matched when*period number_gold*weighted
    date_gold*weighted short*none_matched proper*rarest short*rarest who*rarest who*name when*digits_missing
    how_many*digits_missing how_many*number_rounded short*digits_missing when*number_rounded
"""
CROSSED = tuple((first, second) for first, _, second in (pair.partition("*") for pair in _PRODUCTS.split()))
"""Products of two features: what a match is worth depends on the kind of question and the length of the answer."""


def features(question: str, golds: Sequence[str], answer: str, rarity: Mapping[str, float]) -> Vector:
    """The vector of one answer; the order of names is fixed."""
    each = [alias_features(question, alias, answer, rarity) for alias in golds]
    best = max(each, key=_rank)
    q = healed(question).lower()
    said = tokens(answer)
    asked = set(content(question))
    text = healed(answer)
    capitals = sum(1 for g in golds if re.search(r"[A-Z][a-z]", g)) / len(golds)
    lead = sentences(answer)[0]
    n = len(said)
    f = {
        **best,
        "plural": float(bool(PLURAL.search(q))),
        "matched_aliases": sum(f["contains"] for f in each),
        "matched_share": sum(f["all_matched"] for f in each) / len(each),
        "aliases": math.log1p(len(golds)),
        "words": math.log1p(n),
        "short": float(n <= 5),
        "long": float(n > 40),
        "empty": float(n == 0),
        "refuses": float(refusals(answer) > 0),
        "refuses_lead": float(refusals(lead) > 0),
        "refuses_twice": float(refusals(answer) > 1),
        "refuses_last": float(refusals(sentences(answer)[-1]) > 0),
        "when": float(bool(WHEN.search(q))),
        "who": float(bool(WHO.search(q))),
        "where": float(bool(WHERE.search(q))),
        "how_many": float(bool(HOW_MANY.search(q))),
        "proper": capitals,
        "said_years": math.log1p(len(dates(answer))),
        "said_names": math.log1p(len(re.findall(r"(?<!^)(?<![.!?] )\b[A-Z][a-z]+ [A-Z][a-z]+", text))),
        "echo": sum(w in asked for w in said) / max(1, n),
        "list": float(bool(re.search(r"(?:^|\n)\s*(?:\d+[.)]|[-*•])\s", text))),
    }
    f["other"] = 1.0 - max(f["when"], f["who"], f["where"], f["how_many"])
    for a, b in CROSSED:
        f[f"{a}*{b}"] = f[a] * f[b]
    return f
