"""Abstention and calibration: how well a confidence orders answers, and whether it means what it says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RiskCoverage:
    """Risk among the answers kept, for every coverage, most confident first; all three have one entry a threshold."""

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    threshold: tuple[float, ...]


def risk_coverage(confidence: Sequence[float], correct: Sequence[bool]) -> RiskCoverage:
    """The risk-coverage curve.

    coverage(t) = share of answers with confidence >= t; risk(t) = share of these that are wrong.
    Equal confidences are kept or dropped together. Raises ValueError on unequal lengths or without answers.
    Source: El-Yaniv & Wiener 2010, https://jmlr.org/papers/v11/el-yaniv10a.html.
    """
    scores, right = _checked(confidence, correct)
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    last = np.append(scores[1:] != scores[:-1], True)  # the end of each run of equal confidences
    kept = np.arange(1, len(scores) + 1)[last]
    wrong = np.cumsum(~right)[last]
    return RiskCoverage(
        coverage=tuple(float(c) for c in kept / len(scores)),
        risk=tuple(float(r) for r in wrong / kept),
        threshold=tuple(float(t) for t in scores[last]),
    )


def aurc(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Area under the risk-coverage curve: mean over i of the risk among the i most confident answers; lower is better.

    Within a run of equal confidences the expected risk over all orders is taken, so ties gain nothing.
    Source: Geifman, Uziel & El-Yaniv 2019, https://openreview.net/forum?id=SJfb5jCqKm.
    """
    scores, right = _checked(confidence, correct)
    levels, group = np.unique(-scores, return_inverse=True)
    size = np.bincount(group, minlength=len(levels))
    share = np.bincount(group, weights=(~right).astype(float), minlength=len(levels)) / size
    order = np.argsort(group, kind="stable")
    wrong = np.cumsum(share[group[order]])
    return float((wrong / np.arange(1, len(scores) + 1)).mean())


def calibration_error(confidence: Sequence[float], correct: Sequence[bool], *, bins: int = 10) -> float:
    """Expected calibration error in [0, 1]: sum over bins of share x |mean confidence - accuracy|.

    Bins hold equal numbers of answers (as nearly as possible), so that none is empty where confidences crowd.
    Raises ValueError on a confidence outside [0, 1] or bins < 1.
    Source: Naeini, Cooper & Hauskrecht 2015, doi:10.1609/aaai.v29i1.9602; equal-mass bins: Nixon et al. 2019,
    arXiv:1904.01685.
    """
    scores, right = _checked(confidence, correct)
    if bins < 1 or ((scores < 0) | (scores > 1)).any():
        raise ValueError("confidences lie in [0, 1], and at least one bin is needed")
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(abs(scores[part].mean() - right[part].mean()) * len(part) for part in parts) / len(scores))


def _checked(confidence: Sequence[float], correct: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    if not len(confidence) or len(confidence) != len(correct):
        raise ValueError(f"{len(confidence)} confidences and {len(correct)} outcomes: one for each answer is needed")
    return np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
