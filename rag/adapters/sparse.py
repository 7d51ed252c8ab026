"""Texts to BM25 weights, offline, by Qdrant Edge's encoder: the same for the embedded index and for a server.

English stop words and stemming, accents folded; words of any other language are kept as they are, so that names,
identifiers and other scripts are still found by their words.
"""

from __future__ import annotations

import hashlib
from functools import cache

import qdrant_edge as edge

Weights = tuple[list[int], list[float]]
"""(indices, values) of a sparse vector."""


K1, B = 0.9, 0.4
"""Lucene-style defaults for short passages (Anserini, doi:10.1145/3239571); against 1.2 and 0.75 they gain a point of
hit@5 on technical pages and lose nothing elsewhere (docs/experiments.md)."""

AVERAGE_WORDS = 100.0
"""Words of a typical chunk after stop words, for BM25's length normalisation."""


_PROBE = "The pumps were running; a pump's naïve seals don't leak at 3.5 bar. T-1042: Prüfung, 漢字, the_end of it."


class Bm25Encoder:
    """Stateless; document frequencies live in the index (modifier IDF)."""

    def __init__(self) -> None:
        self._model = edge.Bm25(
            edge.Bm25Config(language="english", ascii_folding=True, k=K1, b=B, avg_len=AVERAGE_WORDS)
        )

    def document(self, text: str) -> Weights:
        """Term weights of a passage."""
        return _weights(self._model.embed_document(_clean(text)))

    def query(self, text: str) -> Weights:
        """Terms of a question, each once; empty for a question of stop words."""
        return _weights(self._model.embed_query(_clean(text)))


@cache
def fingerprint() -> str:
    """What the encoder makes of a fixed text: changes with words, stems and weights, whoever changed them."""
    encoder = Bm25Encoder()
    made = [*zip(*encoder.document(_PROBE), strict=True), *zip(*encoder.query(_PROBE), strict=True)]
    told = ",".join(f"{index}:{weight:.4f}" for index, weight in sorted(made))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _weights(vector: edge.SparseVector) -> Weights:
    return list(vector.indices), list(vector.values)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
