"""Grounded accuracy: is an answer right, and do the words it cites support it? Pure; calls no model.

Only for arms that cite. Support is scored between the claim put to the question and the cited words, never between
a span and itself, and the scorer's own precision and recall are measured on gold evidence against distractors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evaluation.answers import content, tokens
from evaluation.judge_features import best_alike
from evaluation.quantities import quantities

SUPPORTED = 0.5
"""Support from which a claim counts as found in the cited words."""


TELLING = 5
"""Words of a quote that tell a sentence from a label."""


class Outcome(StrEnum):
    """What became of one question of an arm that cites; every question is exactly one."""

    RIGHT_GROUNDED = "right and grounded"
    RIGHT_UNGROUNDED = "right, ungrounded"
    WRONG_GROUNDED = "wrong, grounded"
    WRONG_UNGROUNDED = "wrong, ungrounded"
    ABSTAINED_RIGHTLY = "abstained rightly"
    ABSTAINED_WRONGLY = "abstained wrongly"


def support(question: str, claim: str, quote: str) -> float:
    """How far cited words support a claim, in [0, 1].

    Half is the share of the claim's words beyond the question found in the quote, half the share of the question's
    words found there: a quote that holds the answer's words but is about something else does not support it.
    A number of the claim that is neither in the quote nor in the question sets it to 0.
    """
    asked, held = set(content(question)), set(content(quote))
    if not quote.strip() or not tokens(claim):
        return 0.0
    numbers = {q.value for q in quantities(quote)} | {q.value for q in quantities(question)}
    if any(q.value not in numbers for q in quantities(claim)):
        return 0.0
    fresh = [word for word in content(claim) if word not in asked] or list(tokens(claim))
    said = sum(best_alike(word, held) >= 0.8 for word in fresh) / len(fresh)
    about = sum(best_alike(word, held) >= 0.8 for word in asked) / max(1, len(asked))
    return 0.0 if said < SUPPORTED else (said + about) / 2


def stands(quote: str, texts: Sequence[str]) -> bool:
    """Whether cited words stand in one of some texts, white space aside; fewer than `TELLING` words prove nothing."""
    words = quote.split()
    return len(words) >= TELLING and any(" ".join(words) in " ".join(text.split()) for text in texts)


def outcome(*, correct: bool, abstained: bool, answerable: bool, grounded: bool) -> Outcome:
    """The one of six that a question falls under.

    grounded: some citation supports the claim (`support` >= SUPPORTED), or, in a suite without evidence text, a gold
    document is cited, or words that stand in one. An abstention on an unanswerable question is right, on an answerable
    one wrong.
    """
    if abstained:
        return Outcome.ABSTAINED_WRONGLY if answerable else Outcome.ABSTAINED_RIGHTLY
    if correct:
        return Outcome.RIGHT_GROUNDED if grounded else Outcome.RIGHT_UNGROUNDED
    return Outcome.WRONG_GROUNDED if grounded else Outcome.WRONG_UNGROUNDED


def grounded_accuracy(outcomes: Sequence[Outcome]) -> float:
    """Share of outcomes that are right and grounded. Raises ValueError without outcomes."""
    if not outcomes:
        raise ValueError("no outcome is given: there is no grounded accuracy to report")
    return sum(o is Outcome.RIGHT_GROUNDED for o in outcomes) / len(outcomes)


def split(outcomes: Sequence[Outcome]) -> dict[Outcome, float]:
    """Share of each of the six, all named, summing to 1. Raises ValueError without outcomes."""
    if not outcomes:
        raise ValueError("no outcome is given: there is nothing to split")
    return {kind: sum(o is kind for o in outcomes) / len(outcomes) for kind in Outcome}


def citation_precision(supports: Sequence[float], *, threshold: float = SUPPORTED) -> float | None:
    """Share of an answer's citations that support their claims; None for an answer without citations.

    Source: Liu, Zhang & Liang 2023, arXiv:2304.09848 (citation precision and recall).
    """
    return sum(s >= threshold for s in supports) / len(supports) if supports else None


def citation_recall(claims: Sequence[Collection[float]], *, threshold: float = SUPPORTED) -> float | None:
    """Share of an answer's claims that at least one citation supports; None for an answer without claims.

    claims: for each claim, the support of each of its citations. Source: as `citation_precision`.
    """
    return sum(any(s >= threshold for s in supports) for supports in claims) / len(claims) if claims else None


@dataclass(frozen=True)
class ScorerQuality:
    """How far the support scorer itself can be trusted."""

    precision: float
    recall: float
    pairs: int


def scorer_quality(
    evidence: Sequence[tuple[str, str, str]],
    distractors: Sequence[tuple[str, str, str]],
    *,
    scorer: Callable[[str, str, str], float] = support,
    threshold: float = SUPPORTED,
) -> ScorerQuality:
    """Precision and recall of a support scorer on (question, gold claim, text) triples.

    evidence:    texts that do support the claim (gold evidence)
    distractors: texts that do not, for instance other passages retrieved for the same question
    Precision is 0.0 when nothing is called supported. Raises ValueError without evidence.
    """
    if not evidence:
        raise ValueError("no gold evidence is given to measure the support scorer on")
    found = sum(scorer(*triple) >= threshold for triple in evidence)
    false = sum(scorer(*triple) >= threshold for triple in distractors)
    return ScorerQuality(
        precision=found / (found + false) if found + false else 0.0,
        recall=found / len(evidence),
        pairs=len(evidence) + len(distractors),
    )
