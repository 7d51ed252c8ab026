"""Intervals, tests and verdicts over paired questions. Pure and vectorised; knows no arm, suite or judge.

Two systems answer the same questions; questions that share a gold document are one cluster. Differences are
"ours minus theirs", in points of accuracy as a share (0.05 = 5 points).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rag.types import Value

Floats = NDArray[np.float64]
ENOUGH = 150
"""From so many clusters on the percentile bootstrap covers 95% within a point; below, the t interval does."""
FEW = 5
SMALL = 30
"""Fewer clusters than this and no interval is claimed to keep its level; it is reported as small."""


class Verdict(StrEnum):
    """What one comparison allows to say."""

    WINS = "wins"
    COMPETES = "competes"
    LOSES = "loses"
    INCONCLUSIVE = "inconclusive"


class Difference(Value):
    """A paired difference of accuracy with its interval."""

    n: int
    clusters: int
    estimate: float
    low: float
    high: float
    level: float
    one_sided_low: float = Field(description="lower end of the one-sided interval at the declared error")
    one_sided_high: float = Field(description="upper end of the one-sided interval at the declared error")
    standard_error: float
    small: bool = Field(description="too few clusters for the level to be trusted")


def _codes(clusters: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)


def cluster_weights(clusters: Sequence[str], resamples: int, generator: np.random.Generator) -> Floats:
    """(resamples, n) how often each question is drawn when whole clusters are drawn with replacement."""
    codes = _codes(clusters)
    count = int(codes.max()) + 1
    drawn = generator.multinomial(count, np.full(count, 1.0 / count), size=resamples)
    return drawn[:, codes].astype(np.float64)


@lru_cache(maxsize=1)
def _draws(count: int, resamples: int, seed: int) -> Floats:
    """(resamples, count) how often each cluster is drawn; kept, as one suite's comparisons share it."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=resamples)
    return drawn.astype(np.float64)


def cluster_sums(values: Floats, codes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Sum of the values and number of questions of each cluster, both (g,)."""
    count = int(codes.max()) + 1
    sums = np.bincount(codes, weights=values, minlength=count).astype(np.float64)
    return sums, np.bincount(codes, minlength=count).astype(np.float64)


def paired_difference(
    ours: Sequence[float] | Floats,
    theirs: Sequence[float] | Floats,
    clusters: Sequence[str],
    *,
    level: float = 0.95,
    one_sided_error: float = 0.05,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Paired difference of means with a two-sided interval and the one-sided bounds that verdicts go by.

    ours, theirs: (n,) 1 correct, 0 wrong (or probabilities), same questions in the same order
    clusters:     (n,) gold document of each question
    From 150 clusters on the interval is the percentile bootstrap over whole clusters. Below, percentiles are too
    narrow, and a cluster-robust t interval with g - 1 degrees of freedom takes their place (bootstrap-t was tried and
    refused: 91.7-95.1% coverage at n = 50). The one-sided bounds add two clusters of mean size that disagree wholly,
    one each way: without them the t bound says "competes" falsely in up to 8.8% of suites of 50 with rare successes.
    Fewer than 5 disagreements carry no spread to estimate: then the interval has the added clusters as well.
    Raises ValueError on unequal lengths or no question. One cluster gives the whole range [-1, 1].
    Source: Cameron & Miller 2015, doi:10.3368/jhr.50.2.317; Bonett & Price 2012, doi:10.3102/1076998611411915 (the
    added pair); Davison & Hinkley 1997 (bootstrap).
    """
    d = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    if len(d) == 0 or not len(ours) == len(theirs) == len(clusters):
        raise ValueError(f"{len(ours)}, {len(theirs)} and {len(clusters)} values: the same questions are needed thrice")
    codes = _codes(clusters)
    sums, sizes = cluster_sums(d, codes)
    g, estimate = len(sums), float(d.mean())
    lows, highs, error = [-1.0, -1.0], [1.0, 1.0], 1.0
    if g >= 2:
        plain, error = _robust(sums, sizes)
        padded = np.array([d.size / g, d.size / g])
        centre, guarded = _robust(np.append(sums, padded * [1, -1]), np.append(sizes, padded))
        two, one = _t_quantile(1 - (1 - level) / 2, g - 1), _t_quantile(1 - one_sided_error, g - 1)
        lows[1], highs[1] = centre - one * guarded, centre + one * guarded
        if int((d != 0).sum()) < FEW:
            lows[0], highs[0] = centre - two * guarded, centre + two * guarded
        elif g < ENOUGH:
            lows[0], highs[0] = plain - two * error, plain + two * error
        else:
            lows[0], highs[0] = percentile_interval(sums, sizes, level=level, resamples=resamples, seed=seed)
    return Difference(
        n=len(d),
        clusters=g,
        estimate=estimate,
        low=max(-1.0, lows[0]),
        high=min(1.0, highs[0]),
        level=level,
        one_sided_low=max(-1.0, lows[1]),
        one_sided_high=min(1.0, highs[1]),
        standard_error=error,
        small=g < SMALL,
    )


def _robust(sums: Floats, sizes: Floats) -> tuple[float, float]:
    """Mean over all questions and its cluster-robust standard error, from (g,) sums and sizes."""
    g, n = len(sums), float(sizes.sum())
    mean = float(sums.sum() / n)
    return mean, float(np.sqrt(((sums - mean * sizes) ** 2).sum() * g / (g - 1)) / n)


@lru_cache(maxsize=256)
def _t_quantile(probability: float, degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf(probability, degrees))


def percentile_interval(
    sums: Floats, sizes: Floats, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The percentile cluster bootstrap of a mean, (low, high), from (g,) sums and sizes of the clusters."""
    drawn = _draws(len(sums), resamples, seed)
    low, high = np.quantile((drawn @ sums) / (drawn @ sizes), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mcnemar(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """Exact two-sided McNemar test: p-value that the two systems err equally often; 1.0 where they never differ.

    p = min(1, 2 P(X <= min(b, c))), X ~ Binomial(b + c, 1/2), b and c the questions only one side has right.
    It does not know of clusters. Source: McNemar 1947, doi:10.1007/BF02295996.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} answers: the same questions are needed on both sides")
    from scipy.stats import binom

    a, b = np.asarray(ours, dtype=bool), np.asarray(theirs, dtype=bool)
    only_ours, only_theirs = int((a & ~b).sum()), int((~a & b).sum())
    both = only_ours + only_theirs
    return 1.0 if both == 0 else float(min(1.0, 2 * binom.cdf(min(only_ours, only_theirs), both, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    adjusted(i) = max over j <= i of min(1, (m - j + 1) p(j)), p sorted. Raises ValueError on a p outside [0, 1].
    Source: Holm 1979, https://www.jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"{p_values!r}: p-values lie in [0, 1]")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    adjusted = np.empty(len(p))
    adjusted[order] = stepped
    return [float(value) for value in adjusted]


def minimum_detectable_effect(standard_error: float, *, one_sided_error: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference found with the given power: (z(1 - error) + z(power)) x standard error."""
    normal = NormalDist()
    return (normal.inv_cdf(1 - one_sided_error) + normal.inv_cdf(power)) * standard_error


def verdict(difference: Difference, *, margin: float) -> Verdict:
    """The verdict by the one-sided interval, declared margin and error.

    wins: wholly above 0 · competes: wholly above -margin · loses: wholly below -margin · else inconclusive.
    Raises ValueError unless 0 < margin < 1.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin}: a share between 0 and 1 is needed, 0.05 for 5 points")
    if difference.one_sided_low > 0:
        return Verdict.WINS
    if difference.one_sided_low > -margin:
        return Verdict.COMPETES
    if difference.one_sided_high < -margin:
        return Verdict.LOSES
    return Verdict.INCONCLUSIVE
