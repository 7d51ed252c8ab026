"""What a shard builds by its size, and that it does not grow by what is gone; what is found stays the same."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rag.adapters import edge_index
from rag.adapters.edge_index import EdgeIndex
from rag.protocols import EVERYTHING, IndexedChunk, Vectors
from rag.types import Chunk, RetrievalMode

DIMENSIONS = 2048
"""So many that a few thousand points are more than the engine leaves without a graph (20 MB)."""

COUNT = 3000


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_index, "GRAPH_FROM", 2000)
    monkeypatch.setattr(edge_index, "QUANTISE_FROM", COUNT)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    chance = np.random.default_rng(5)
    rows = chance.standard_normal((COUNT + 400, 12)) @ chance.standard_normal((12, DIMENSIONS))
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def chunks(vectors: Vectors, numbers: range) -> list[IndexedChunk]:
    return [
        IndexedChunk(
            id=str(uuid.UUID(int=number + 1)), document_id=f"doc-{number}", title="Pump", text_sha256="0" * 64,
            chunk=Chunk(start=0, end=4, text=f"n{number:03}"), metadata={}, vector=vectors[number],
        )
        for number in numbers
    ]  # fmt: skip


def opened(folder: Path, *, create: bool = False) -> EdgeIndex:
    return EdgeIndex(folder, dimensions=DIMENSIONS, fields={}, create=create)


def recall(index: EdgeIndex, vectors: Vectors, held: range) -> float:
    found = 0
    for asked in range(0, 200, 10):
        scores = vectors[held.start : held.stop] @ vectors[asked]
        best = {f"doc-{held.start + i}" for i in np.argsort(-scores)[:10]}
        hits = index.search(vector=vectors[asked], text="", limit=10, mode=RetrievalMode.DENSE, filter=EVERYTHING)
        found += len(best & {hit.document_id for hit in hits})
    return found / 200


def quantised(folder: Path) -> Iterator[Path]:
    return folder.glob("segments/*/*/quantized*")


def graph(folder: Path) -> Iterator[Path]:
    return folder.glob("segments/*/*/graph.bin")


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*")) / 1e6


def test_a_small_shard_has_no_graph_and_one_that_grows_has(tmp_path: Path, vectors: Vectors) -> None:
    for count, built in ((1999, False), (2000, True)):
        with closing(opened(tmp_path, create=True)) as index:
            index.upsert(chunks(vectors, range(count)))
            index.optimize()
            assert recall(index, vectors, range(count)) >= 0.98
        assert any(graph(tmp_path)) is built


def test_a_graph_goes_with_what_made_it_worth_while(tmp_path: Path, vectors: Vectors) -> None:
    with closing(opened(tmp_path, create=True)) as index:
        index.upsert(chunks(vectors, range(2000)))
        index.optimize()
    assert any(graph(tmp_path))
    with closing(opened(tmp_path, create=True)) as index:
        index.delete_documents([f"doc-{number}" for number in range(900)])
        index.upsert(chunks(vectors, range(2000, 2001)))
        index.optimize()
        assert recall(index, vectors, range(900, 2001)) >= 0.98
    assert not any(graph(tmp_path))


def test_a_shard_whose_documents_change_does_not_grow_with_every_version(tmp_path: Path, vectors: Vectors) -> None:
    sizes = []
    for turn in range(10):
        with closing(opened(tmp_path, create=True)) as index:
            if turn:
                index.delete_documents([f"doc-{number}" for number in range(1000)])
                index.optimize()  # a deletion alone leaves the room to the next addition
            index.upsert(chunks(vectors, range(1500)))
            index.optimize()
            assert index.count() == 1500
        sizes.append(megabytes(tmp_path))
    assert max(sizes) < 3 * sizes[0], sizes
    with closing(opened(tmp_path)) as index:
        assert recall(index, vectors, range(1500)) == 1.0


def test_a_large_shard_is_quantised_and_finds_what_it_found(tmp_path: Path, vectors: Vectors) -> None:
    with closing(opened(tmp_path, create=True)) as index:
        for first in range(0, COUNT, 500):
            index.upsert(chunks(vectors, range(first, first + 500)))
        index.optimize()
        assert recall(index, vectors, range(COUNT)) >= 0.98
    assert any(quantised(tmp_path))
    with closing(opened(tmp_path)) as index:
        assert index.count() == COUNT
        index.upsert(chunks(vectors, range(COUNT, COUNT + 400)))
        assert index.delete_documents([f"doc-{number}" for number in range(200)]) == 200
        index.optimize()
        assert recall(index, vectors, range(200, COUNT + 400)) >= 0.98
        np.testing.assert_allclose(index.vectors([str(uuid.UUID(int=301))]).popitem()[1], vectors[300], atol=1e-6)
    assert any(quantised(tmp_path))


def test_a_shard_that_grows_large_is_quantised_then(tmp_path: Path, vectors: Vectors) -> None:
    with closing(opened(tmp_path, create=True)) as index:
        index.upsert(chunks(vectors, range(COUNT - 1)))
        index.optimize()
    assert not any(quantised(tmp_path))
    with closing(opened(tmp_path, create=True)) as index:
        index.upsert(chunks(vectors, range(COUNT - 1, COUNT + 400)))
        index.optimize()
        assert recall(index, vectors, range(COUNT + 400)) >= 0.98
    assert any(quantised(tmp_path))
