"""Two rankings of one question become one: a weighted sum of scores. Pure; knows no engine.

A convex combination of normalised scores keeps what reciprocal rank fusion throws away, namely by how much a
passage leads (Bruch, Gai & Ingber 2022, arXiv:2210.11934). How much the dense part counts depends on the question:
an identifier or an acronym is found by its letters, not by its meaning. Measured in docs/experiments.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rag.types import Passage

Scores = npt.NDArray[np.float64]

DENSE_WEIGHT = 0.65
"""Weight of the cosine for a question in plain words. NQ hit@5 is flat from 0.6 to 0.8, MIRAGE from 0.5 to 0.8."""

DENSE_WEIGHT_IDENTIFIERS = 0.25
"""The same for a question with an identifier or acronym. Chosen on PubMed questions, where 0.2 to 0.35 are alike."""

IDENTIFIER = re.compile(
    r"\b(?=[\w.\-/]*\d)(?=[\w.\-/]*[^\W\d_])\w[\w.\-/]*\w\b"  # letters and digits: T1185, P-214, CVE-2021-44228
    r"|\b[A-Z][A-Z0-9&.\-]{2,}\b"  # an acronym of three or more: MITRE, ATT&CK, PTSD
)


def dense_weight(question: str) -> float:
    """The weight of the dense ranking for a question, in [0, 1]."""
    return DENSE_WEIGHT_IDENTIFIERS if IDENTIFIER.search(question) else DENSE_WEIGHT


def combine(dense: Scores, bm25: Scores, *, weight: float) -> Scores:
    """(n,) fused scores in [0, 1] of n candidates of one question.

    dense: (n,) cosine to the question; bm25: (n,) BM25 score, 0 where the passage shares no word;
    weight: the dense part's. Each is divided by its best candidate's score, so that the best passage of either list
    gets that list's whole weight. Raises ValueError when lengths differ or the weight is outside [0, 1].
    """
    if dense.shape != bm25.shape:
        raise ValueError(f"{dense.shape} dense and {bm25.shape} BM25 scores are not of the same candidates")
    if not 0 <= weight <= 1:
        raise ValueError(f"the weight {weight} is not in [0, 1]")
    return weight * _by_best(dense) + (1 - weight) * _by_best(bm25)


def _by_best(scores: Scores) -> Scores:
    clipped = np.maximum(scores, 0.0)
    best = clipped.max(initial=0.0)
    return clipped / best if best > 0 else clipped


def leading(first: Sequence[Passage], found: Sequence[Passage]) -> list[Passage]:
    """Passages of both rankings, those of the first in front, each once."""
    known = {(passage.document_id, passage.start): passage for passage in (*first, *found)}
    return list(known.values())
