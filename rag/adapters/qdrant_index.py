"""The shared index: a Qdrant server or cluster through qdrant-client. Knows no manifest.

One collection for each domain, generation and installation, `understudy_<domain>~<generation>~<identity>`, behind the
alias `understudy_<domain>`; no domain's name has a tilde, so no collection is called like an alias. Vectors, BM25
weights and ranking are those of the embedded index, so both give the same results on the same data
(tests/contracts/test_index.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast
from urllib.parse import SplitResult, urlsplit

import numpy as np
from grpc import RpcError, StatusCode
from qdrant_client import QdrantClient
from qdrant_client import models as q
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from rag.adapters.points import (
    DENSE,
    DEPTH,
    OVERSAMPLING,
    QUANTISE_FROM,
    SPARSE,
    best,
    comparable,
    field_keys,
    flag,
    payload_of,
    to_chunk,
    to_passage,
)
from rag.adapters.sparse import Bm25Encoder, Weights
from rag.errors import IncompatibleIndex, IndexUnavailable, InvalidSettings, MissingIndex, RagError, StorageFull
from rag.protocols import EVERYTHING, IndexedChunk, Vectors
from rag.types import Condition, FieldType, Filter, Passage, RetrievalMode

FIELD_INDEX = {
    FieldType.KEYWORD: q.PayloadSchemaType.KEYWORD,
    FieldType.INTEGER: q.PayloadSchemaType.INTEGER,
    FieldType.FLOAT: q.PayloadSchemaType.FLOAT,
    FieldType.DATETIME: q.PayloadSchemaType.DATETIME,
}
UPSERT_POINTS = 256
"""Points of one request: about a megabyte."""

_STATUS = {StatusCode.UNAUTHENTICATED: 401, StatusCode.PERMISSION_DENIED: 403, StatusCode.NOT_FOUND: 404}

_RESCORED = q.SearchParams(quantization=q.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING))
"""Of a search over quantised vectors."""


def connect(url: str, *, api_key: str, grpc: bool, timeout_seconds: float) -> QdrantClient:
    """A client for a server; nothing is dialled yet.

    qdrant-client warns of a key that goes over plain HTTP, also where it never leaves this machine. Raises
    InvalidSettings for an address or a key that can be none.
    """
    key = api_key.strip()
    if not (key.isascii() and key.isprintable()):
        raise InvalidSettings("UNDERSTUDY_INDEX__API_KEY holds characters that no key has: copy it again")
    address = _address(url)
    local = address.hostname in ("localhost", "127.0.0.1", "::1")
    return QdrantClient(
        url=url,
        api_key=(key or None) if not local else None,
        headers={"api-key": key} if local and key else None,
        prefer_grpc=grpc,
        timeout=max(1, round(timeout_seconds)),
        check_compatibility=False,
    )


def shown(url: str) -> str:
    """A server's address for messages: the key goes by a setting of its own, and so should no other secret be there."""
    address = _address(url)
    return f"{address.scheme}://{address.netloc}{address.path}".rstrip("/")


def _address(url: str) -> SplitResult:
    try:
        address = urlsplit(url)
        fits = address.scheme in ("http", "https") and address.hostname and not re.search(r"\s", url)
        fits = fits and "@" not in address.netloc and not address.query and (address.port or 1) > 0
    except ValueError:
        fits = False
    if not fits:
        raise InvalidSettings(
            "UNDERSTUDY_INDEX__URL is no address of a server: give one like http://127.0.0.1:6333, the key by "
            "UNDERSTUDY_INDEX__API_KEY"
        )
    return address


class QdrantIndex:
    """One collection of a server. Thread-safe."""

    def __init__(
        self,
        client: QdrantClient,
        *,
        domain: str,
        generation: str,
        identity: str = "",
        alias: str = "understudy",
        dimensions: int,
        fields: Mapping[str, FieldType],
        create: bool,
        where: str = "",
        shard_number: int = 1,
        replication_factor: int = 1,
    ) -> None:
        """Open the collection; `create` makes it where there is none. `where`: the server, for messages.

        identity: tells the generation from one of its name that another installation has on the same server; empty
        for one of before there were identities. alias: what a domain's alias begins with.

        Raises IndexUnavailable, IncompatibleIndex, MissingIndex.
        """
        self._client: QdrantClient | None = client
        self._where = where or "the Qdrant server"
        self._name = f"understudy_{domain}" + (f"~{generation}~{identity}" if identity else f"_{generation}")
        self._alias = f"{alias}_{domain}"
        self._missing = (
            f"{self._where} has no collection {self._name}: `understudy ingest rebuild --domain {domain}` makes it "
            "anew from the stored texts"
        )
        self._bm25 = Bm25Encoder()
        with self._errors():
            if not client.collection_exists(self._name):
                if not create:
                    raise MissingIndex(self._missing)
                client.create_collection(
                    self._name,
                    vectors_config={DENSE: q.VectorParams(size=dimensions, distance=q.Distance.DOT)},
                    sparse_vectors_config={SPARSE: q.SparseVectorParams(modifier=q.Modifier.IDF)},
                    shard_number=shard_number,
                    replication_factor=replication_factor,
                )
            if create:
                for key, kind in field_keys(fields).items():
                    client.create_payload_index(self._name, key, FIELD_INDEX[kind])
            params = client.get_collection(self._name).config.params.vectors
        dense = cast("dict[str, q.VectorParams]", params)[DENSE]
        self._params = _RESCORED if dense.quantization_config is not None else None
        held = dense.size
        if held != dimensions:
            raise IncompatibleIndex(
                f"collection {self._name} holds vectors of {held} numbers, the embedder makes {dimensions}: "
                "set UNDERSTUDY_EMBEDDER__MODEL back, or delete the domain and ingest it again"
            )

    # --- writing ---

    def upsert(self, chunks: Sequence[IndexedChunk]) -> None:
        """Insert or replace by id; durable when it returns."""
        with self._errors():
            for start in range(0, len(chunks), UPSERT_POINTS):
                points = [
                    q.PointStruct(
                        id=chunk.id,
                        vector={DENSE: chunk.vector.tolist(), SPARSE: _sparse(self._bm25.document(chunk.search_text))},
                        payload=payload_of(chunk),
                    )
                    for chunk in chunks[start : start + UPSERT_POINTS]
                ]
                self._open().upsert(self._name, points, wait=True)

    def delete_documents(self, document_ids: Sequence[str]) -> int:
        """Remove every chunk of these documents; the number of chunks removed."""
        if not document_ids:
            return 0
        chosen = Filter(documents=tuple(document_ids))
        count = self.count(chosen)
        with self._errors():
            if count:
                self._open().delete(self._name, q.FilterSelector(filter=_filter(chosen) or q.Filter()), wait=True)
        return count

    def delete_chunks(self, ids: Sequence[str]) -> None:
        """Remove chunks by id; unknown ids are ignored."""
        if ids:
            with self._errors():
                self._open().delete(self._name, q.PointIdsList(points=list(ids)), wait=True)

    def drop(self) -> None:
        """Remove the collection with all its points and its alias."""
        with self._errors():
            self._open().delete_collection(self._name)

    def optimize(self) -> None:
        """Have a large collection quantised, which the server does in the background, answering meanwhile.

        Below, it compares every vector of a small segment and builds a graph over a large one by itself.
        """
        with self._errors():
            client = self._open()
            if self._params is None and self.count() >= QUANTISE_FROM:
                small = q.ScalarQuantizationConfig(type=q.ScalarType.INT8, always_ram=True)
                diff = q.VectorParamsDiff(on_disk=True, quantization_config=q.ScalarQuantization(scalar=small))
                client.update_collection(self._name, vectors_config={DENSE: diff})
                self._params = _RESCORED

    def publish(self) -> None:
        """Point the domain's alias at this collection, in one step, if it does not yet."""
        with self._errors():
            known = {item.alias_name: item.collection_name for item in self._open().get_aliases().aliases}
            if known.get(self._alias) == self._name:
                return
            operations: list[q.CreateAliasOperation | q.DeleteAliasOperation] = []
            if self._alias in known:
                operations.append(q.DeleteAliasOperation(delete_alias=q.DeleteAlias(alias_name=self._alias)))
            created = q.CreateAlias(collection_name=self._name, alias_name=self._alias)
            operations.append(q.CreateAliasOperation(create_alias=created))
            self._open().update_collection_aliases(change_aliases_operations=operations)

    def fill_from(self, other: QdrantIndex) -> None:
        """Copy every point of another collection of the server; both hold the same points when this returns."""
        with self._errors():
            offset = None
            while True:
                records, offset = self._open().scroll(
                    other._name, limit=UPSERT_POINTS, offset=offset, with_payload=True, with_vectors=True
                )
                points = [
                    q.PointStruct(id=record.id, vector=cast("q.VectorStruct", record.vector), payload=record.payload)
                    for record in records
                ]
                if points:
                    self._open().upsert(self._name, points, wait=True)
                if offset is None:
                    return

    # --- reading ---

    def search(
        self, *, vector: Vectors, text: str, limit: int, mode: RetrievalMode = RetrievalMode.HYBRID, filter: Filter
    ) -> list[Passage]:
        """At most `limit` passages, best first; see rag.protocols.Index."""
        chosen, nearest = _filter(filter), vector.tolist()
        words = self._bm25.query(text)
        depth = max(DEPTH, limit)
        dense = q.QueryRequest(query=nearest, using=DENSE, limit=depth, filter=chosen, params=self._params)
        lexical = None
        if words[0]:
            lexical = q.QueryRequest(
                query=_sparse(words),
                using=SPARSE,
                limit=depth,
                filter=chosen,
                with_vector=[DENSE] if mode is RetrievalMode.HYBRID else False,
            )
        with self._errors():
            client = self._open()
            if mode is RetrievalMode.RRF and lexical is not None:
                hits = client.query_points(
                    self._name,
                    prefetch=[
                        q.Prefetch(query=nearest, using=DENSE, limit=DEPTH, filter=chosen, params=self._params),
                        q.Prefetch(query=_sparse(words), using=SPARSE, limit=DEPTH, filter=chosen),
                    ],
                    query=q.RrfQuery(rrf=q.Rrf(k=60)),
                    limit=limit,
                    with_payload=True,
                ).points
                return _sorted([to_passage(hit.payload or {}, hit.score, None, None) for hit in hits])
            both: list[q.QueryRequest | None] = [
                dense if mode is not RetrievalMode.BM25 else None,
                lexical if mode is not RetrievalMode.DENSE else None,
            ]
            requests = [request for request in both if request is not None]
            if not requests:
                return []
            found = client.query_batch_points(self._name, requests=requests)
            scores_dense: dict[str, float] = {}
            scores_lexical: dict[str, float] = {}
            for request, response in zip(requests, found, strict=True):
                scores = scores_lexical if request is lexical else scores_dense
                scores.update({str(hit.id): hit.score for hit in response.points})
                if mode is RetrievalMode.HYBRID and request is lexical:
                    for hit in response.points:
                        if str(hit.id) not in scores_dense:
                            scores_dense[str(hit.id)] = float(np.dot(_dense_of(hit), vector))
            order = best(mode, text, scores_dense, scores_lexical, limit=limit)
            records = client.retrieve(self._name, [key for key, _ in order], with_payload=True)
        payloads = {str(record.id): record.payload or {} for record in records}
        return _sorted(
            [
                to_passage(payloads[key], score, scores_dense.get(key), scores_lexical.get(key))
                for key, score in order
                if key in payloads
            ]
        )[:limit]

    def count(self, filter: Filter = EVERYTHING) -> int:
        """Exact number of chunks that the filter admits."""
        with self._errors():
            return self._open().count(self._name, count_filter=_filter(filter), exact=True).count

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The dense vector of each of these chunks that is there, by id."""
        with self._errors():
            records = self._open().retrieve(self._name, list(ids), with_payload=False, with_vectors=[DENSE])
        return {str(record.id): _dense_of(record) for record in records}

    def chunks(self, ids: Sequence[str]) -> dict[str, IndexedChunk]:
        """Each of these chunks that is there, as it was written, by id."""
        with self._errors():
            records = self._open().retrieve(self._name, list(ids), with_payload=True, with_vectors=[DENSE])
        return {str(r.id): to_chunk(str(r.id), r.payload or {}, _dense_of(r)) for r in records}

    def close(self) -> None:
        """Release the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # --- parts ---

    def _open(self) -> QdrantClient:
        if self._client is None:
            raise IndexUnavailable(f"the connection to {self._where} was closed")
        return self._client

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UnexpectedResponse as error:
            raise self._told(error.status_code or 0, str(error)) from error
        except RpcError as error:
            raise self._told(_STATUS.get(error.code(), 0), str(error.details())) from error
        except QdrantException as error:  # too many requests
            raise IndexUnavailable(f"{self._where} is busy ({_line(str(error))}): try again in a moment") from error
        except (json.JSONDecodeError, AssertionError) as error:  # the client asserts that there is a result
            raise IndexUnavailable(
                f"{self._where} does not answer as Qdrant does: correct UNDERSTUDY_INDEX__URL"
            ) from error
        except (ResponseHandlingException, ApiException, OSError) as error:
            raise IndexUnavailable(
                f"{self._where} cannot be reached ({error}): start it, or correct UNDERSTUDY_INDEX__URL"
            ) from error

    def _told(self, status: int, message: str) -> RagError:
        if status == 404:
            return MissingIndex(self._missing)
        if status in (401, 403):
            return IndexUnavailable(f"{self._where} refuses the key: correct UNDERSTUDY_INDEX__API_KEY")
        if "no space left" in message.lower():
            return StorageFull(f"{self._where} has no space left: free some on its disk")
        return IndexUnavailable(f"{self._where} failed: {_line(message)}")


def _line(message: str) -> str:
    """What an error says, on one line."""
    return " ".join(message.split())[:300]


def _sorted(passages: list[Passage]) -> list[Passage]:
    return sorted(passages, key=lambda p: (-p.score, p.document_id, p.start))


def _dense_of(hit: q.ScoredPoint | q.Record) -> Vectors:
    """(d,) float32 of a point that was asked for with its dense vector."""
    return np.asarray(cast("dict[str, list[float]]", hit.vector)[DENSE], np.float32)


def _sparse(weights: Weights) -> q.SparseVector:
    return q.SparseVector(indices=weights[0], values=weights[1])


def _filter(filter: Filter) -> q.Filter | None:
    conditions: list[q.Condition] = [_condition(condition) for condition in filter.conditions]
    if filter.documents is not None:
        conditions.append(q.FieldCondition(key="document_id", match=q.MatchAny(any=list(filter.documents))))
    return q.Filter(must=conditions) if conditions else None


def _condition(condition: Condition) -> q.FieldCondition:
    key = f"metadata.{condition.field}"
    if condition.any_of is not None:
        return q.FieldCondition(key=key, match=q.MatchAny(any=cast("list[str]", list(condition.any_of))))
    if (value := condition.equals) is not None:
        if isinstance(value, bool):
            return q.FieldCondition(key=f"flags.{condition.field}", match=q.MatchValue(value=flag(value)))
        if comparable(value):
            return q.FieldCondition(key=key, range=q.Range(gte=value, lte=value))
        return q.FieldCondition(key=key, match=q.MatchValue(value=value))
    low, high = condition.gte, condition.lte
    if isinstance(low, str) or isinstance(high, str):
        bounds = {"gte": low, "lte": high}
        return q.FieldCondition(key=key, range=q.DatetimeRange.model_validate(bounds))
    return q.FieldCondition(key=key, range=q.Range(gte=low, lte=high))
