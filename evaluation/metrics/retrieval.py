"""Retrieval metrics: ranked gains in, one number in [0, 1] out. Pure, so old runs can be re-scored."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def recall(ranked: Sequence[str], gold: Collection[str], *, k: int) -> float:
    """Share of the gold documents among the first k results.

    ranked: document ids, best first (a document may come several times: it counts once)
    Returns 0.0 when there is no gold document. Raises ValueError on k < 1.
    """
    _check(k)
    wanted = set(gold)
    return len(wanted & set(ranked[:k])) / len(wanted) if wanted else 0.0


def hit(ranked: Sequence[str], gold: Collection[str], *, k: int) -> float:
    """1.0 when any gold document is among the first k results, else 0.0. Raises ValueError on k < 1."""
    _check(k)
    return float(bool(set(gold) & set(ranked[:k])))


def reciprocal_rank(ranked: Sequence[str], gold: Collection[str], *, k: int) -> float:
    """1 / rank of the first gold document among the first k results, else 0.0; its mean is MRR@k.

    Source: Voorhees 1999 (TREC-8 question answering track). Raises ValueError on k < 1.
    """
    _check(k)
    wanted = set(gold)
    return next((1.0 / rank for rank, document in enumerate(ranked[:k], start=1) if document in wanted), 0.0)


def ndcg(gains: Sequence[float], judged: Sequence[float], *, k: int) -> float:
    """Normalised discounted cumulative gain of one ranking, in [0, 1].

    gains:  (n,) gain of each result in rank order, 0 = irrelevant
    judged: (m,) every judged gain for the question, any order
    k:      cut-off in ranks, at least 1
    Returns 0.0 when nothing is relevant. Raises ValueError on k < 1 or a negative gain.
    Source: Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418; linear gain, as in trec_eval.
    """
    _check(k)
    if any(gain < 0 for gain in [*gains, *judged]):
        raise ValueError("a gain is negative: gains are 0 for irrelevant and more for relevant results")
    ideal = _discounted(sorted(judged, reverse=True)[:k])
    return _discounted(gains[:k]) / ideal if ideal else 0.0


def document_ndcg(ranked: Sequence[str], gold: Collection[str], *, k: int) -> float:
    """`ndcg` with gain 1 for the first time a gold document comes, 0 for every other result."""
    seen: set[str] = set()
    gains = []
    for document in ranked:
        gains.append(float(document in gold and document not in seen))
        seen.add(document)
    return ndcg(gains, [1.0] * len(set(gold)), k=k)


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _check(k: int) -> None:
    if k < 1:
        raise ValueError(f"k = {k}: a cut-off is at least 1")
