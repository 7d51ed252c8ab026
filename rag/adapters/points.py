"""What both indexes agree on: names of vectors, the payload of a point, how candidates are ranked, what is large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import numpy as np

from rag.fusion import Scores, combine, dense_weight
from rag.protocols import IndexedChunk, Vectors
from rag.types import Chunk, FieldType, MetadataValue, Passage, RetrievalMode

Key = TypeVar("Key", str, int)
"""What tells points apart: the text of a UUID, or its number, which is compared in a tenth of the time."""

DENSE, SPARSE = "dense", "bm25"
DEPTH = 100
"""Candidates of each ranking that are fused."""

SAME_SCORE = 1e-6
"""Scores nearer than this are shown as one, and then the document and the place decide."""

QUANTISE_FROM = 200_000
"""Points. From here on graph and search run over vectors of one byte a dimension, held in memory; the original ones
stay on the disk, as far as memory is needed for other things, and rank what was found anew."""

OVERSAMPLING = 2.0
"""Candidates of a search over such vectors that are ranked anew, for each that is wanted."""


def payload_of(chunk: IndexedChunk) -> dict[str, Any]:
    """What is stored beside a chunk's vectors: all that its passage shows."""
    flags = {name: flag(value) for name, value in chunk.metadata.items() if isinstance(value, bool)}
    return {
        "document_id": chunk.document_id,
        "title": chunk.title,
        "heading": chunk.chunk.heading,
        "text": chunk.chunk.text,
        "start": chunk.chunk.start,
        "end": chunk.chunk.end,
        "text_sha256": chunk.text_sha256,
        "metadata": chunk.metadata,
        **({"flags": flags} if flags else {}),
    }


def flag(value: bool) -> str:
    """A truth value as it is filtered: a word, because Edge 0.9 takes Python's True for the number 1."""
    return "true" if value else "false"


def comparable(value: MetadataValue) -> TypeGuard[float]:
    """Whether a value is asked for as a range of itself, which a field of whole numbers and one of others both have.

    A range is of floats, which tell whole numbers apart up to 2**53.
    """
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**53)


def field_keys(fields: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """Payload key and type of every index over the payload: the document, and each filterable field."""
    keys = {"document_id": FieldType.KEYWORD}
    for name, kind in fields.items():
        if kind is FieldType.BOOL:
            keys[f"flags.{name}"] = FieldType.KEYWORD
        else:
            keys[f"metadata.{name}"] = kind
    return keys


def to_passage(payload: Mapping[str, Any], score: float, dense: float | None, bm25: float | None) -> Passage:
    """The passage of a stored payload."""
    shown = {name: value for name, value in payload.items() if name != "flags"}
    return Passage(**shown, score=round(score, 6), dense_score=dense, bm25_score=bm25)


def to_chunk(name: str, payload: Mapping[str, Any], vector: Vectors) -> IndexedChunk:
    """The chunk that was written as this point."""
    return IndexedChunk(
        id=name,
        document_id=payload["document_id"],
        title=payload["title"],
        text_sha256=payload["text_sha256"],
        chunk=Chunk(**{field: payload[field] for field in ("start", "end", "text", "heading")}),
        metadata=payload["metadata"],
        vector=vector,
    )


def contenders(question: str, dense: Mapping[Key, float], bm25: Mapping[Key, float], *, limit: int) -> list[Key]:
    """Of hits by words alone those that may be among the best `limit` once their cosine is known.

    Where `dense` is full it holds the nearest that the filter admits, so that no other is nearer than the last of them:
    what does not come in with that one's cosine needs none, and the best `limit` are the same as if all were scored.
    """
    rest = [key for key in bm25 if key not in dense]
    if not rest or len(dense) < max(DEPTH, limit):
        return rest
    at_best = _fused(question, list(dense) + rest, dense, bm25, unknown=min(dense.values()))
    known = at_best[: len(dense)]
    least = float(np.partition(known, -limit)[-limit]) - SAME_SCORE
    return [key for key, most in zip(rest, at_best[len(dense) :].tolist(), strict=True) if most >= least]


def best(
    mode: RetrievalMode, question: str, dense: Mapping[Key, float], bm25: Mapping[Key, float], *, limit: int
) -> list[tuple[Key, float]]:
    """(id, score) of the best `limit` of what either ranking found, best first, and of those as good as the last."""
    if mode is RetrievalMode.HYBRID:
        keys = list(dense)
        keys += [key for key in bm25 if key not in dense]
        scores = _fused(question, keys, dense, bm25, unknown=0.0)
    else:
        alone: Mapping[Key, float] = bm25 if mode is RetrievalMode.BM25 or not dense else dense
        keys = list(alone)
        scores = np.fromiter(alone.values(), np.float64, len(alone))
    if len(keys) > limit:
        least = float(np.partition(scores, -limit)[-limit]) - SAME_SCORE
        chosen = np.flatnonzero(scores >= least).tolist()
        keys, scores = [keys[row] for row in chosen], scores[chosen]
    pairs: list[tuple[Key, float]] = list(zip(keys, scores.tolist(), strict=True))
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _fused(
    question: str, keys: Sequence[Key], dense: Mapping[Key, float], bm25: Mapping[Key, float], *, unknown: float
) -> Scores:
    """(n,) scores of candidates; `unknown`: the cosine of one that `dense` does not hold."""
    return combine(
        np.fromiter((dense.get(key, unknown) for key in keys), np.float64, len(keys)),
        np.fromiter((bm25.get(key, 0.0) for key in keys), np.float64, len(keys)),
        weight=dense_weight(question),
    )
