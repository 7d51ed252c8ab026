"""Two rankings of one question become one: a weighted sum of scores. Pure; knows no engine.

A convex combination of normalised scores keeps what reciprocal rank fusion throws away, namely by how much a
passage leads (Bruch, Gai & Ingber 2022, arXiv:2210.11934). Both scores are normalised with the floor that the
score itself has: BM25 with 0, cosine with 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

DENSE_WEIGHT = 0.5
"""Weight of the cosine; the rest is BM25's."""


def combine(dense: Scores, bm25: Scores, *, dense_weight: float = DENSE_WEIGHT) -> Scores:
    """(n,) fused scores in [0, 1] of n candidates of one question.

    dense: (n,) cosine to the question; bm25: (n,) BM25 score, 0 where the passage shares no word.
    Each is divided by its best candidate's score, so that the best passage of either list gets that list's
    whole weight. Raises ValueError when lengths differ or the weight is outside [0, 1].
    """
    if dense.shape != bm25.shape:
        raise ValueError(f"{dense.shape} dense and {bm25.shape} BM25 scores are not of the same candidates")
    if not 0 <= dense_weight <= 1:
        raise ValueError(f"the weight {dense_weight} is not in [0, 1]")
    return dense_weight * _by_best(dense) + (1 - dense_weight) * _by_best(bm25)


def _by_best(scores: Scores) -> Scores:
    clipped = np.maximum(scores, 0.0)
    best = clipped.max(initial=0.0)
    return clipped / best if best > 0 else clipped
