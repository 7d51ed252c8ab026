"""Accuracy as reported: the judge's rate corrected for the judge's own error, with an interval that includes it.

Rogan-Gladen per answer style: true = (seen + specificity - 1) / (sensitivity + specificity - 1), summed over styles
by their share. The interval draws questions (by cluster) and the judge's error rates anew each time. Pure.
Source: Rogan & Gladen 1978, doi:10.1093/oxfordjournals.aje.a112510; errors drawn from Beta(found + 1/2, missed + 1/2)
(Jeffreys), as in Lang & Reiczigel 2014, doi:10.1016/j.prevetmed.2013.09.015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from evaluation.judge import Judgement, StyleError
from evaluation.statistics import cluster_weights
from rag.types import Value

Floats = NDArray[np.float64]
EXACT = "exact"


class Rate(Value):
    """A share of correct answers, in [0, 1]."""

    n: int
    judged: float = Field(description="as the judge sees it")
    corrected: float = Field(description="corrected for the judge's error")
    low: float = Field(description="lower end of the interval of the corrected rate")
    high: float
    level: float


def corrected_rate(seen: Floats, share: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """Rogan-Gladen over styles.

    seen, share, sensitivity, specificity: (..., s) rate called correct in a style, the style's share of the answers,
    and the judge's two rates there. Returns (...,) in [0, 1].
    A style in which the judge knows nothing (sensitivity + specificity <= 1.05) is left as it is seen.
    """
    power = sensitivity + specificity - 1.0
    known = power > 0.05
    true = np.where(known, (seen + specificity - 1.0) / np.where(known, power, 1.0), seen)
    return cast(Floats, (np.clip(true, 0.0, 1.0) * share).sum(axis=-1))


def score_rate(
    judgements: Sequence[Judgement],
    errors: Mapping[str, StyleError],
    *,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Rate:
    """Rate of correct answers with the judge's error taken out, and an interval that holds both errors.

    errors: by style, `Judge.fitted.errors` (or `errors_left_out`, for a system the judge has never seen)
    clusters: (n,) gold document of each answer; each its own where None
    Raises ValueError without judgements.
    """
    n = len(judgements)
    if n == 0:
        raise ValueError("no judgement is given: there is no rate to report")
    styles = sorted({j.style for j in judgements})
    of = np.array([styles.index(j.style) for j in judgements])
    one_hot = np.eye(len(styles))[of]
    correct = np.array([j.correct for j in judgements], dtype=np.float64)
    counts = [errors.get(style, StyleError(correct=0, correct_found=0, wrong=0, wrong_found=0)) for style in styles]
    sensitivity, specificity = np.array([c.sensitivity for c in counts]), np.array([c.specificity for c in counts])
    total, hits = one_hot.sum(axis=0), (one_hot * correct[:, None]).sum(axis=0)
    point = float(corrected_rate(hits / total, total / n, sensitivity, specificity))
    generator = np.random.default_rng(seed)
    weights = cluster_weights(clusters or [str(i) for i in range(n)], resamples, generator)
    totals, found = weights @ one_hot, weights @ (one_hot * correct[:, None])
    drawn_se, drawn_sp = (np.ones((resamples, len(styles))) for _ in range(2))
    for k, (style, c) in enumerate(zip(styles, counts, strict=True)):
        if style != EXACT and c.correct and c.wrong:
            drawn_se[:, k] = generator.beta(c.correct_found + 0.5, c.correct - c.correct_found + 0.5, resamples)
            drawn_sp[:, k] = generator.beta(c.wrong_found + 0.5, c.wrong - c.wrong_found + 0.5, resamples)
    everyone = np.maximum(totals.sum(axis=1, keepdims=True), 1e-12)
    drawn = corrected_rate(found / np.maximum(totals, 1e-12), totals / everyone, drawn_se, drawn_sp)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Rate(n=n, judged=float(correct.mean()), corrected=point, low=float(low), high=float(high), level=level)
