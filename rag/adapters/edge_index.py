"""The embedded index: Qdrant Edge, one shard in this process. Knows no domain and no generation.

Dense vectors and BM25 are asked one after the other; how the two rankings become one is rag.fusion's. `rrf` is one
engine query that fuses by reciprocal ranks itself. Searching is by brute force until `optimize` builds a graph, which
pays from some ten thousand points on.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from rag.adapters.points import (
    DENSE,
    DEPTH,
    OVERSAMPLING,
    QUANTISE_FROM,
    SPARSE,
    best,
    comparable,
    contenders,
    field_keys,
    flag,
    payload_of,
    to_chunk,
    to_passage,
)
from rag.adapters.sparse import Bm25Encoder
from rag.errors import CorpusError, IncompatibleIndex, IndexLocked, IndexUnavailable, MissingIndex, StorageFull
from rag.protocols import EVERYTHING, IndexedChunk, Vectors
from rag.types import Condition, FieldType, Filter, Passage, RetrievalMode

GRAPH_FROM = 20_000
"""Points. Below, brute force answers in about a millisecond; building the graph for 10,000 takes two seconds."""

GRAPH_KILOBYTES, NO_GRAPH_KILOBYTES = 10_000, 1 << 40
"""Of vectors in a segment, from where the engine builds a graph for it: its own default, and never."""

Built = Literal["plain", "graph", "quantised"]
"""What a shard is told to build for searching: nothing, a graph, or one over vectors of one byte a dimension."""

RESERVE_BYTES = 64 << 20
"""Below so much free space nothing is written: the engine writes into mapped files, and a page for which the disk has
no room ends the process (SIGBUS) instead of raising an error. Reading needs none."""

_RESCORED = edge.SearchParams(quantization=edge.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING))
"""Of no effect where nothing is quantised."""

_EXACT = edge.SearchParams(exact=True, quantization=edge.QuantizationSearchParams(ignore=True))
"""Every vector that a filter admits compared, the original ones."""

FIELD_INDEX = {
    FieldType.KEYWORD: edge.PayloadSchemaType.Keyword,
    FieldType.INTEGER: edge.PayloadSchemaType.Integer,
    FieldType.FLOAT: edge.PayloadSchemaType.Float,
    FieldType.DATETIME: edge.PayloadSchemaType.Datetime,
}


class EdgeIndex:
    """One shard. Thread-safe; one process at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        dimensions: int,
        fields: Mapping[str, FieldType],
        create: bool,
    ) -> None:
        """Open the shard in `folder`; `create` makes it where there is none.

        Raises IndexLocked, IncompatibleIndex, StorageFull, MissingIndex, CorpusError (damaged).
        """
        self._folder = folder
        self._bm25 = Bm25Encoder()
        self._lock = threading.Lock()
        self._shard: edge.EdgeShard | None = None
        self._fields = dict(fields)
        self._dimensions = dimensions
        self._added, self._gaps = False, True
        with self._errors():
            if create:
                folder.mkdir(parents=True, exist_ok=True)
                self._check_room()
            if (folder / "edge_config.json").exists() or any(folder.glob("segments/*")):
                shard = edge.EdgeShard.load(str(folder), _config(dimensions, _told(folder)))
            elif create:
                shard = edge.EdgeShard.create(str(folder), _config(dimensions, "plain"))
                self._gaps = False
            else:
                raise MissingIndex(
                    f"there is no index in {folder}: `understudy ingest rebuild` makes it anew from the stored texts"
                )
        self._shard = shard
        if create:
            self._index_fields()

    # --- writing ---

    def upsert(self, chunks: Sequence[IndexedChunk]) -> None:
        """Insert or replace by id; in the write-ahead log when this returns."""
        points = [
            edge.Point(
                chunk.id,
                {DENSE: _numbers(chunk.vector), SPARSE: _sparse(self._bm25.document(chunk.search_text))},
                payload_of(chunk),
            )
            for chunk in chunks
        ]
        if points:
            with self._errors():
                self._check_room()
                self._added = True
                self._open().update(edge.UpdateOperation.upsert_points(points))

    def delete_documents(self, document_ids: Sequence[str]) -> int:
        """Remove every chunk of these documents; the number of chunks removed."""
        if not document_ids:
            return 0
        chosen = Filter(documents=tuple(document_ids))
        with self._errors():
            count = self.count(chosen)
            if count:
                self._gaps = True
                self._open().update(edge.UpdateOperation.delete_points_by_filter(_filter(chosen) or edge.Filter()))
        return count

    def delete_chunks(self, ids: Sequence[str]) -> None:
        """Remove chunks by id; unknown ids are ignored."""
        if ids:
            with self._errors():
                self._gaps = True
                self._open().update(edge.UpdateOperation.delete_points(list(ids)))

    def optimize(self) -> None:
        """Build search structures where the shard is large enough for them to pay, and give back what deletion left.

        The engine writes nothing where something was deleted: without this, a domain whose documents change grows by
        every version. One without a graph that was only taken from waits for the next addition, so that a deletion is
        quick; one that was made here and only added to has nothing to give back.
        """
        with self._errors():
            count = self.count()
            if count >= GRAPH_FROM or (self._added and self._gaps):
                self._check_room(sum(path.stat().st_blocks * 512 for path in self._folder.rglob("*")))
                told = _told(self._folder)
                if (wanted := _fitting(count, told)) != told:
                    self._tell(wanted)
                self._open().optimize()
            self._open().flush()

    # --- reading ---

    def search(
        self, *, vector: Vectors, text: str, limit: int, mode: RetrievalMode = RetrievalMode.HYBRID, filter: Filter
    ) -> list[Passage]:
        """At most `limit` passages, best first; see rag.protocols.Index."""
        chosen = _filter(filter)
        dense = edge.Query.Nearest(vector.tolist(), using=DENSE)
        words = self._bm25.query(text)
        lexical = edge.Query.Nearest(_sparse(words), using=SPARSE) if words[0] else None
        depth = max(DEPTH, limit)
        with self._errors():
            shard = self._open()
            if mode is RetrievalMode.RRF and lexical is not None:
                return self._reciprocal(shard, dense, lexical, chosen, limit)
            scores_dense: dict[int, float] = {}
            scores_lexical: dict[int, float] = {}
            if mode is not RetrievalMode.BM25:
                request = edge.QueryRequest(limit=depth, query=dense, filter=chosen, params=_RESCORED)
                scores_dense = _scores(shard.query(request))
            if mode is not RetrievalMode.DENSE and lexical is not None:
                scores_lexical = _scores(shard.query(edge.QueryRequest(limit=depth, query=lexical, filter=chosen)))
            if mode is RetrievalMode.HYBRID and (rest := contenders(text, scores_dense, scores_lexical, limit=limit)):
                # Scored by the engine: vectors handed over as lists of numbers take longer than a search.
                among = edge.Filter(must=[edge.HasIdCondition({UUID(int=key) for key in rest})])
                request = edge.QueryRequest(limit=len(rest), query=dense, filter=among, params=_EXACT)
                scores_dense |= _scores(shard.query(request))
            order = best(mode, text, scores_dense, scores_lexical, limit=limit)
            return self._passages(shard, order, scores_dense, scores_lexical, limit)

    def count(self, filter: Filter = EVERYTHING) -> int:
        """Exact number of chunks that the filter admits."""
        with self._errors():
            return self._open().count(edge.CountRequest(exact=True, filter=_filter(filter)))

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The dense vector of each of these chunks that is there, by id."""
        with self._errors():
            return {str(record.id): _dense_of(record) for record in self._open().retrieve(list(ids), False, [DENSE])}

    def chunks(self, ids: Sequence[str]) -> dict[str, IndexedChunk]:
        """Each of these chunks that is there, as it was written, by id."""
        with self._errors():
            records = self._open().retrieve(list(ids), True, [DENSE])
        return {str(r.id): to_chunk(str(r.id), r.payload or {}, _dense_of(r)) for r in records}

    def close(self) -> None:
        """Flush and release the shard."""
        with self._lock:
            shard, self._shard = self._shard, None
        if shard is not None:
            with self._errors():
                shard.close()

    # --- parts ---

    def _reciprocal(
        self, shard: edge.EdgeShard, dense: edge.Query, lexical: edge.Query, chosen: edge.Filter | None, limit: int
    ) -> list[Passage]:
        hits = shard.query(
            edge.QueryRequest(
                limit=limit,
                query=cast("edge.Fusion", edge.Fusion.Rrf(k=60)),  # a variant of it, though not typed so
                prefetches=[
                    edge.Prefetch(limit=DEPTH, query=dense, filter=chosen, params=_RESCORED),
                    edge.Prefetch(limit=DEPTH, query=lexical, filter=chosen),
                ],
            )
        )
        return self._passages(shard, list(_scores(hits).items()), {}, {}, limit)

    def _passages(
        self,
        shard: edge.EdgeShard,
        order: Sequence[tuple[int, float]],
        dense: Mapping[int, float],
        lexical: Mapping[int, float],
        limit: int,
    ) -> list[Passage]:
        found = shard.retrieve([UUID(int=key) for key, _ in order], True, False)
        records = {_number(record): record.payload or {} for record in found}
        passages = [
            to_passage(records[key], score, dense.get(key), lexical.get(key)) for key, score in order if key in records
        ]
        passages.sort(key=lambda p: (-p.score, p.document_id, p.start))
        return passages[:limit]

    def _tell(self, built: Built) -> None:
        """Have this built from now on: said to the engine when it opens a shard."""
        with self._lock:
            self._open().close()
            self._shard = None
            self._shard = edge.EdgeShard.load(str(self._folder), _config(self._dimensions, built))

    def _index_fields(self) -> None:
        with self._errors():
            for key, kind in field_keys(self._fields).items():
                self._open().update(edge.UpdateOperation.create_field_index(key, FIELD_INDEX[kind]))

    def _open(self) -> edge.EdgeShard:
        shard = self._shard
        if shard is None:
            raise IndexUnavailable(f"the index in {self._folder} was closed")
        return shard

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The engine's exceptions as ours: it raises bare `Exception` with a message."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._full() from error
            raise CorpusError(f"cannot use {self._folder}: {error.strerror}; check owner and permissions") from error
        except Exception as error:
            if type(error) is not Exception:  # the engine raises the bare class; anything finer is not the engine's
                raise
            message = str(error)
            if "WouldBlock" in message or "lock" in message.lower():
                raise IndexLocked(
                    f"another process holds the index in {self._folder}: stop it (a running `understudy serve`, an "
                    "ingestion), or use a Qdrant server (UNDERSTUDY_INDEX__BACKEND=server), which many can share"
                ) from error
            if "No space left" in message or "ENOSPC" in message:
                raise self._full() from error
            if "dimension" in message.lower() or "incompatible" in message.lower():
                raise IncompatibleIndex(
                    f"the index in {self._folder} holds vectors of another length than the embedder makes "
                    f"({message[:200]}): set UNDERSTUDY_EMBEDDER__MODEL back, or delete the domain and ingest it again"
                ) from error
            raise IndexUnavailable(f"the index in {self._folder} failed: {message[:300]}") from error

    def _check_room(self, more: int = 0) -> None:
        """Raise StorageFull while the disk still has room for what is under way; `more`: bytes that are needed."""
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < RESERVE_BYTES + more:
            needed = (RESERVE_BYTES + more) >> 20
            raise StorageFull(
                f"less than {needed:,} MB are free for {self._folder}, which it may need at once: free some, or set "
                "UNDERSTUDY_DATA__DIRECTORY elsewhere"
            )

    def _full(self) -> StorageFull:
        return StorageFull(f"no space left for {self._folder}: free some, or set UNDERSTUDY_DATA__DIRECTORY elsewhere")


def _config(dimensions: int, built: Built) -> edge.EdgeConfig:
    """A shard's configuration. An existing shard takes it over: it must say again what the shard was told before."""
    quantised = built == "quantised"
    small = edge.ScalarQuantizationConfig(type=edge.ScalarType.Int8, memory=edge.Memory.Pinned) if quantised else None
    dense = edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Dot, quantization_config=small)
    kilobytes = NO_GRAPH_KILOBYTES if built == "plain" else GRAPH_KILOBYTES
    return edge.EdgeConfig(
        vectors={DENSE: dense},
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        # read ahead when a shard is opened, or each passage costs a page fault when it is first found
        payload_memory=edge.Memory.Cold if quantised else edge.Memory.Cached,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=kilobytes),  # one left out stays as it was told before
    )


def _fitting(count: int, told: Built) -> Built:
    """What a shard of so many points is to build; what is quantised stays so."""
    if count >= QUANTISE_FROM or told == "quantised":
        return "quantised"
    return "graph" if count >= GRAPH_FROM else "plain"


def _told(folder: Path) -> Built:
    """What a shard was told to build."""
    try:
        config = json.loads((folder / "edge_config.json").read_text("utf-8"))
        if config["vectors"][DENSE].get("quantization_config"):
            return "quantised"
        return "plain" if config["optimizers"]["indexing_threshold"] == NO_GRAPH_KILOBYTES else "graph"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "graph"  # whatever else is wrong with it, the engine says when it opens the shard


def _numbers(vector: Vectors) -> list[float]:
    """A vector as the engine takes it in: any sequence of numbers, an array in half of the time of a list."""
    return cast("list[float]", array("f", vector.astype(np.float32, copy=False).tobytes()))


def _number(point: edge.ScoredPoint | edge.Record) -> int:
    """A point's id as a number: two hundred of them as texts take longer than the search that found them."""
    return cast("UUID", point.id).int


def _scores(hits: Sequence[edge.ScoredPoint]) -> dict[int, float]:
    return {_number(hit): hit.score for hit in hits}


def _sparse(weights: tuple[list[int], list[float]]) -> edge.SparseVector:
    return edge.SparseVector(indices=weights[0], values=weights[1])


def _filter(filter: Filter) -> edge.Filter | None:
    conditions: list[Any] = [_condition(condition) for condition in filter.conditions]
    if filter.documents is not None:
        conditions.append(edge.FieldCondition("document_id", match=edge.MatchAny(list(filter.documents))))
    return edge.Filter(must=conditions) if conditions else None


def _condition(condition: Condition) -> edge.FieldCondition:
    key = f"metadata.{condition.field}"
    if condition.any_of is not None:
        return edge.FieldCondition(key, match=edge.MatchAny(cast("list[str]", list(condition.any_of))))
    if (value := condition.equals) is not None:
        if isinstance(value, bool):
            return edge.FieldCondition(f"flags.{condition.field}", match=edge.MatchValue(flag(value)))
        if comparable(value):
            return edge.FieldCondition(key, range=edge.RangeFloat(gte=value, lte=value))
        return edge.FieldCondition(key, match=edge.MatchValue(cast("str | int", value)))
    low, high = condition.gte, condition.lte
    if isinstance(low, str) or isinstance(high, str):
        return edge.FieldCondition(key, range=edge.RangeDateTime(gte=_text(low), lte=_text(high)))
    return edge.FieldCondition(key, range=edge.RangeFloat(gte=low, lte=high))


def _dense_of(hit: edge.ScoredPoint | edge.Record) -> Vectors:
    """(d,) float32 of a point that was asked for with its dense vector."""
    held = cast("dict[str, list[float]]", hit.vector)
    return np.asarray(held[DENSE], np.float32)


def _text(bound: float | str | None) -> str | None:
    return None if bound is None else str(bound)
