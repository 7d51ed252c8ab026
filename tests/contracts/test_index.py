"""What every Index does: one suite on Qdrant Edge and on a server (a stand-in over its wire, and one at QDRANT_URL).

The last tests compare the two on the same data, as qdrant-client's congruence tests do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rag.adapters import qdrant_index
from rag.adapters.edge_index import EdgeIndex
from rag.adapters.qdrant_index import QdrantIndex, connect
from rag.errors import CorpusError, IncompatibleIndex, IndexLocked, IndexUnavailable, StorageFull
from rag.protocols import Index, IndexedChunk
from rag.types import Chunk, Condition, FieldType, Filter, RetrievalMode, point_id, sha256_text
from tests.fakes.embedder import HashedWords
from tests.fakes.qdrant_server import QdrantProcess

FIELDS = {
    "area": FieldType.KEYWORD,
    "revision": FieldType.INTEGER,
    "pressure": FieldType.FLOAT,
    "valid_from": FieldType.DATETIME,
    "draft": FieldType.BOOL,
}
EVERYTHING = Filter()
EMBEDDER = HashedWords(dimensions=64)

Open = Callable[[], Index]


def chunk(number: int, text: str | None = None) -> IndexedChunk:
    text = text or f"Unit {number} is set to {number * 10} bar in hall {'north' if number % 2 else 'south'}."
    document = f"unit-{number // 2}.md"
    start = (number % 2) * 100
    return IndexedChunk(
        id=point_id("plant", document, start, start + len(text), sha256_text(text)),
        document_id=document,
        title=f"Unit {number}",
        text_sha256=sha256_text(text),
        chunk=Chunk(start=start, end=start + len(text), text=text, heading="Set points"),
        metadata={
            "area": "north" if number % 2 else "south",
            "revision": number,
            "pressure": number / 2,
            "valid_from": f"20{10 + number}-01-01T00:00:00Z",
            "draft": number > 5,
        },
        vector=EMBEDDER.embed([text])[0],
    )


def edge(folder: Path) -> Open:
    return lambda: EdgeIndex(folder / "shard", dimensions=64, fields=FIELDS, create=True)


def server(client: QdrantClient) -> Open:
    domain = f"test-{uuid.uuid4().hex[:8]}"
    return lambda: QdrantIndex(client, domain=domain, generation="g000001", dimensions=64, fields=FIELDS, create=True)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantProcess]:
    running = QdrantProcess(tmp_path_factory.mktemp("qdrant"))
    yield running
    running.close()


@pytest.fixture(params=["edge", "wire", "live"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    if request.param == "live" and not os.environ.get("QDRANT_URL"):
        pytest.skip("QDRANT_URL names no live server")
    if request.param == "edge":
        opened = edge(tmp_path)()
    elif request.param == "wire":
        url = request.getfixturevalue("stand_in").url
        opened = server(connect(url, api_key="", grpc=False, timeout_seconds=10))()
    else:
        key = os.environ.get("QDRANT_API_KEY", "")
        opened = server(connect(os.environ["QDRANT_URL"], api_key=key, grpc=False, timeout_seconds=10))()
    opened.upsert([chunk(number) for number in range(10)])
    yield opened
    opened.close()


def found(
    index: Index, text: str, *, mode: RetrievalMode = RetrievalMode.HYBRID, filter: Filter = EVERYTHING
) -> list[str]:
    passages = index.search(vector=EMBEDDER.embed([text])[0], text=text, limit=20, mode=mode, filter=filter)
    return [passage.title for passage in passages]


@pytest.mark.parametrize("mode", list(RetrievalMode))
def test_the_passage_that_says_it_comes_first(index: Index, mode: RetrievalMode) -> None:
    assert found(index, "unit 7 set to 70 bar", mode=mode)[0] == "Unit 7"


def test_a_passage_carries_all_that_a_citation_needs(index: Index) -> None:
    (first,) = index.search(
        vector=EMBEDDER.embed(["unit 7 70 bar"])[0], text="unit 7 70 bar", limit=1, filter=EVERYTHING
    )
    wanted = chunk(7)
    assert (first.document_id, first.title, first.heading) == ("unit-3.md", "Unit 7", "Set points")
    assert (first.text, first.start, first.end) == (wanted.chunk.text, wanted.chunk.start, wanted.chunk.end)
    assert first.text_sha256 == wanted.text_sha256
    assert first.metadata == wanted.metadata
    assert first.dense_score is not None
    assert first.bm25_score is not None


def test_upserting_again_replaces(index: Index) -> None:
    index.upsert([chunk(number) for number in range(10)])
    assert index.count() == 10


def test_a_document_is_deleted_with_all_its_chunks_and_the_number_is_told(index: Index) -> None:
    assert index.delete_documents(["unit-3.md", "unknown.md"]) == 2
    assert index.count() == 8
    assert "Unit 7" not in found(index, "unit 7 set to 70 bar")
    assert index.delete_documents([]) == 0


def test_chunks_are_deleted_by_id_and_unknown_ids_are_ignored(index: Index) -> None:
    index.delete_chunks([chunk(3).id, str(uuid.uuid4())])
    assert index.count() == 9


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        (Condition(field="area", equals="north"), {1, 3, 5, 7, 9}),
        (Condition(field="revision", equals=4), {4}),
        (Condition(field="revision", any_of=(1, 2)), {1, 2}),
        (Condition(field="area", any_of=("north", "west")), {1, 3, 5, 7, 9}),
        (Condition(field="revision", gte=3, lte=5), {3, 4, 5}),
        (Condition(field="pressure", gte=4), {8, 9}),
        (Condition(field="pressure", equals=1.5), {3}),
        (Condition(field="pressure", equals=4), {8}),
        (Condition(field="revision", equals=4.0), {4}),
        (Condition(field="valid_from", gte="2017-06-01T00:00:00Z"), {8, 9}),
        (Condition(field="draft", equals=True), {6, 7, 8, 9}),
        (Condition(field="nowhere", equals="x"), set()),
    ],
)
def test_filters_admit_exactly_what_they_say(index: Index, condition: Condition, numbers: set[int]) -> None:
    chosen = Filter(conditions=(condition,))
    assert index.count(chosen) == len(numbers)
    assert set(found(index, "unit set bar", filter=chosen)) == {f"Unit {number}" for number in numbers}


def test_all_conditions_and_the_documents_hold_together(index: Index) -> None:
    chosen = Filter(conditions=(Condition(field="area", equals="north"),), documents=("unit-0.md", "unit-1.md"))
    assert set(found(index, "unit", filter=chosen)) == {"Unit 1", "Unit 3"}


def test_words_of_any_script_are_found_and_accents_do_not_matter(index: Index) -> None:
    index.upsert([chunk(20, "Die Dämpfung im Röntgenraum beträgt 5 dB."), chunk(22, "Клапан закрывает оператор.")])
    assert found(index, "Rontgenraum", mode=RetrievalMode.BM25) == ["Unit 20"]
    assert found(index, "оператор", mode=RetrievalMode.BM25) == ["Unit 22"]


def test_a_question_without_words_is_answered_by_the_dense_part(index: Index) -> None:
    assert len(found(index, "??? !!!")) == 10
    assert found(index, "the of and", mode=RetrievalMode.BM25) == []


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    for opened in (edge(tmp_path)(), server(QdrantClient(":memory:"))()):
        assert found(opened, "anything") == []
        opened.close()


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    opened = edge(tmp_path)()
    opened.upsert([chunk(1)])
    opened.close()
    opened.close()
    again = edge(tmp_path)()
    assert again.count() == 1
    again.optimize()
    assert found(again, "unit 1 10 bar") == ["Unit 1"]
    again.close()
    with pytest.raises(IndexUnavailable, match="was closed"):
        again.count()


def test_another_dimension_is_refused(tmp_path: Path) -> None:
    edge(tmp_path)().close()
    with pytest.raises(IncompatibleIndex, match="UNDERSTUDY_EMBEDDER__MODEL"):
        EdgeIndex(tmp_path / "shard", dimensions=32, fields={}, create=False)
    client = QdrantClient(":memory:")
    QdrantIndex(client, domain="d", generation="g000001", dimensions=64, fields={}, create=True)
    with pytest.raises(IncompatibleIndex, match="UNDERSTUDY_EMBEDDER__MODEL"):
        QdrantIndex(client, domain="d", generation="g000001", dimensions=32, fields={}, create=False)


def test_vectors_come_back_as_they_were_written_and_none_for_an_unknown_id(index: Index) -> None:
    chunks = [chunk(number) for number in range(3)]
    index.upsert(chunks)
    unknown = point_id("plant", "nowhere", 0, 1, sha256_text(""))
    held = index.vectors([chunks[2].id, unknown, chunks[0].id])
    assert set(held) == {chunks[0].id, chunks[2].id}
    np.testing.assert_allclose(held[chunks[2].id], chunks[2].vector, atol=1e-6)
    assert index.vectors([]) == {}


def test_chunks_come_back_as_they_were_written_and_none_for_an_unknown_id(index: Index) -> None:
    wanted = {chunk(number).id: chunk(number) for number in (3, 7)}
    unknown = point_id("plant", "nowhere", 0, 1, sha256_text(""))
    held = index.chunks([*wanted, unknown])
    assert set(held) == set(wanted)
    for name, written in wanted.items():
        np.testing.assert_allclose(held[name].vector, written.vector, atol=1e-6)
        assert replace(held[name], vector=written.vector) == written
    assert held[chunk(7).id].search_text == "Unit 7\nSet points\nUnit 7 is set to 70 bar in hall north."


def test_a_missing_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="makes it anew"):
        EdgeIndex(tmp_path / "shard", dimensions=64, fields={}, create=False)
    with pytest.raises(CorpusError, match="makes it anew"):
        QdrantIndex(QdrantClient(":memory:"), domain="d", generation="g000001", dimensions=64, fields={}, create=False)


def test_the_alias_of_a_domain_points_to_its_collection() -> None:
    client = QdrantClient(":memory:")
    for name in ("g000001", "g000002"):
        index = QdrantIndex(client, domain="d", generation=name, dimensions=64, fields={}, create=True)
        index.publish()
        (alias,) = client.get_aliases().aliases
        assert (alias.alias_name, alias.collection_name) == ("understudy_d", f"understudy_d_{name}")


def test_a_collection_is_filled_from_another_to_the_same_results() -> None:
    client = QdrantClient(":memory:")
    old, new = (
        QdrantIndex(client, domain="d", generation=name, dimensions=64, fields=FIELDS, create=True)
        for name in ("g000001", "g000002")
    )
    old.upsert([chunk(number) for number in range(600)])
    new.fill_from(old)
    old.delete_documents(["unit-1.md"])
    assert (old.count(), new.count()) == (598, 600)
    vector = EMBEDDER.embed(["Unit 3"])[0]
    found = new.search(vector=vector, text="unit 3 north", limit=5, filter=Filter(documents=("unit-1.md",)))
    assert [passage.title for passage in found] == ["Unit 3", "Unit 2"]


def test_nothing_is_written_to_a_disk_that_is_nearly_full_and_what_is_there_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = edge(tmp_path)()
    index.upsert([chunk(1)])
    monkeypatch.setattr("rag.adapters.edge_index.RESERVE_BYTES", 1 << 60)
    with pytest.raises(StorageFull, match="MB are free"):
        index.upsert([chunk(2)])
    index.close()
    with pytest.raises(StorageFull, match="UNDERSTUDY_DATA__DIRECTORY"):
        edge(tmp_path)()
    reading = EdgeIndex(tmp_path / "shard", dimensions=64, fields=FIELDS, create=False)
    assert found(reading, "unit 1 10 bar") == ["Unit 1"]
    reading.close()


def in_child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(["tests", "."])
    script = f"import sys\nfrom pathlib import Path\nfolder = Path({str(folder)!r})\n{code}"
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)


def test_a_store_that_another_process_holds_is_told(tmp_path: Path) -> None:
    holder = edge(tmp_path)()
    child = in_child(
        "from rag.adapters.edge_index import EdgeIndex\n"
        "EdgeIndex(folder / 'shard', dimensions=64, fields={}, create=False)",
        tmp_path,
    )
    assert "rag.errors.IndexLocked" in child.stderr
    assert "another process holds the index" in child.stderr
    holder.close()
    assert issubclass(IndexLocked, Exception)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    child = in_child(
        "import os, signal\n"
        "sys.path.insert(0, 'tests/contracts')\n"
        "import test_index as t\n"
        "index = t.edge(folder)()\n"
        "for n in range(30): index.upsert([t.chunk(n)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        tmp_path,
    )
    assert child.returncode == -9, child.stderr
    index = edge(tmp_path)()
    assert index.count() == 30
    index.close()


local_mode_compares_all = pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning")


@local_mode_compares_all
def test_a_server_quantises_from_the_size_on_from_which_the_embedded_index_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(qdrant_index, "QUANTISE_FROM", 10)
    client = QdrantClient(":memory:")
    update, query = client.update_collection, client.query_batch_points
    told: list[Any] = []
    asked: list[Any] = []

    def updated(name: str, **said: Any) -> bool:
        told.append(said["vectors_config"]["dense"])
        return update(name, **said)

    def queried(name: str, requests: list[models.QueryRequest]) -> Any:
        asked.extend(requests)
        return query(name, requests)

    monkeypatch.setattr(client, "update_collection", updated)
    monkeypatch.setattr(client, "query_batch_points", queried)
    index = server(client)()
    index.upsert([chunk(number) for number in range(9)])
    index.optimize()
    assert found(index, "unit 7 set to 70 bar", mode=RetrievalMode.DENSE)
    assert (told, asked.pop().params) == ([], None)
    index.upsert([chunk(9)])
    index.optimize()
    [diff] = told
    assert (diff.on_disk, diff.quantization_config.scalar.type, diff.quantization_config.scalar.always_ram) == (
        True,
        models.ScalarType.INT8,
        True,
    )
    assert found(index, "unit 7 set to 70 bar", mode=RetrievalMode.DENSE)
    [request] = asked
    assert (request.params.quantization.rescore, request.params.quantization.oversampling) == (True, 2.0)
    index.close()


@local_mode_compares_all
def test_what_is_found_stays_the_same_once_it_is_large(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_index, "QUANTISE_FROM", 5)
    before = found(index, "unit 7 set to 70 bar")
    index.optimize()
    index.optimize()
    assert found(index, "unit 7 set to 70 bar") == before


@pytest.mark.parametrize("mode", [RetrievalMode.HYBRID, RetrievalMode.DENSE, RetrievalMode.BM25])
def test_both_backends_find_the_same_with_the_same_scores(tmp_path: Path, mode: RetrievalMode) -> None:
    generator = np.random.default_rng(0)
    vocabulary = [f"word{i}" for i in range(60)]
    texts = [" ".join(generator.choice(vocabulary, size=generator.integers(5, 40))) for _ in range(120)]
    chunks = [chunk(number, text) for number, text in enumerate(texts)]
    embedded, shared = edge(tmp_path)(), server(QdrantClient(":memory:"))()
    for index in (embedded, shared):
        index.upsert(chunks)
    for _ in range(20):
        question = " ".join(generator.choice(vocabulary, size=4))
        chosen = (
            Filter(conditions=(Condition(field="area", equals="north"),)) if generator.random() < 0.5 else EVERYTHING
        )
        vector = EMBEDDER.embed([question])[0]
        one, other = (
            index.search(vector=vector, text=question, limit=10, mode=mode, filter=chosen)
            for index in (embedded, shared)
        )
        assert [p.score for p in one] == pytest.approx([p.score for p in other], abs=1e-4)
        clear = [
            p.document_id
            for a, p in enumerate(one)
            if all(abs(p.score - o.score) > 1e-4 for o in one[:a] + one[a + 1 :])
        ]
        assert set(clear) <= {p.document_id for p in other}
    embedded.close()
