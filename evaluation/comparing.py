"""`slm+rag` against another system over the same questions: the difference, the verdict, and the cascade. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from pydantic import Field

from evaluation.judging import Scored
from evaluation.rates import Rate
from evaluation.statistics import (
    Difference,
    Verdict,
    mcnemar,
    minimum_detectable_effect,
    paired_difference,
    verdict,
)
from evaluation.suites import SuiteQuestion
from rag.types import Value

CASCADE = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


class Comparison(Value):
    """`slm+rag` against one other system."""

    arm: str
    model: str
    primary: bool
    difference: Difference
    verdict: Verdict
    shifted: Verdict = Field(description="the verdict when both rates are corrected for the judge's error")
    mcnemar: float
    holm: float
    detectable: float = Field(description="least difference found with 80% power at this n")


def compare(
    questions: Sequence[SuiteQuestion],
    ours: Mapping[str, Scored],
    theirs: Mapping[str, Scored],
    *,
    rates: tuple[Rate, Rate],
    arm: str,
    model: str,
    primary: bool,
    margin: float,
    seed: int,
) -> Comparison:
    """Paired, by question; clusters are gold documents.

    rates: ours and theirs, whose corrections for the judge's error move the second verdict
    """
    a = [ours[q.id].judgement.correct for q in questions]
    b = [theirs[q.id].judgement.correct for q in questions]
    difference = paired_difference(
        [float(x) for x in a], [float(x) for x in b], [q.cluster for q in questions], seed=seed
    )
    shift = (rates[0].corrected - rates[0].judged) - (rates[1].corrected - rates[1].judged)
    moved = difference.model_copy(
        update={
            field: getattr(difference, field) + shift
            for field in ("estimate", "low", "high", "one_sided_low", "one_sided_high")
        }
    )
    p = mcnemar(a, b)
    return Comparison(
        arm=arm,
        model=model,
        primary=primary,
        difference=difference,
        verdict=verdict(difference, margin=margin),
        shifted=verdict(moved, margin=margin),
        mcnemar=p,
        holm=p,
        detectable=minimum_detectable_effect(difference.standard_error),
    )


def cascade(
    confidence: Sequence[float], ours: Sequence[bool], theirs: Sequence[bool]
) -> tuple[tuple[float, float, float, float], ...]:
    """(share escalated, accuracy by confidence, at random, by the oracle) for each k of `CASCADE`.

    The k% least confident answers are the other model's. The oracle sends first what the other has right and we
    wrong, last what we have right and it wrong.
    """
    n = len(ours)
    by_confidence = sorted(range(n), key=lambda i: confidence[i])
    by_gain = sorted(range(n), key=lambda i: int(ours[i]) - int(theirs[i]))
    both = (mean(ours), mean(theirs))

    def accuracy(order: Sequence[int], count: int) -> float:
        return (sum(theirs[i] for i in order[:count]) + sum(ours[i] for i in order[count:])) / n

    return tuple(
        (k / 100, accuracy(by_confidence, c), both[0] + (both[1] - both[0]) * c / n, accuracy(by_gain, c))
        for k in CASCADE
        for c in [round(n * k / 100)]
    )
