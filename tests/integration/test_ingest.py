"""`apply` on the real embedded index: what is new, changed or gone is written, the rest is left alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.corpus import open_corpus
from ingest.progress import Progress
from ingest.run import Summary, apply
from ingest.target import Target
from ingest.verifying import verify
from rag.adapters.edge_index import EdgeIndex
from rag.catalog import Catalog, Generation
from rag.errors import IncompatibleIndex, IndexLocked
from rag.types import Condition, FieldType, Filter, RetrievalMode
from tests.fakes.embedder import HashedWords


def edge(generation: Generation, create: bool) -> EdgeIndex:
    manifest = generation.manifest
    return EdgeIndex(generation.shard_path, dimensions=manifest.dimensions, fields=manifest.fields, create=create)


@contextmanager
def opened(data: Path, embedder: HashedWords, **declared: Any) -> Iterator[Target]:
    target = Target(
        "plant", catalog=Catalog(data), embedder=embedder, open_index=edge, backend="edge", create=True, **declared
    )
    try:
        yield target
    finally:
        target.close()


def ingest(data: Path, source: Path, *, embedder: HashedWords | None = None, prune: bool = False) -> Summary:
    corpus = open_corpus(source)
    with opened(data, embedder or HashedWords(), fields=corpus.declaration.filterable) as target:
        summary = apply(corpus, target, prune=prune)
        assert verify(target) == []
    return summary


def suite(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "questions.jsonl").write_text('{"id": "q", "question": "never ingested"}\n', "utf-8")
    return folder


ROWS = [{"doc_id": f"d:{n}", "title": f"Pump {n}", "text": f"Pump {n} runs at {n}00 rpm."} for n in range(3)]


def test_a_suite_is_ingested_by_its_ids_and_without_its_questions(tmp_path: Path) -> None:
    summary = ingest(tmp_path / "data", suite(tmp_path / "s", ROWS))
    assert (summary.new, summary.chunks, summary.unreadable) == (3, 3, [])
    with opened(tmp_path / "data", embedder := HashedWords()) as target:
        [vector] = embedder.embed(["Pump 2 rpm"])
        found = target.index.search(
            vector=vector, text="pump 200 rpm", limit=1, mode=RetrievalMode.BM25, filter=Filter()
        )
        assert [(p.document_id, p.title, p.text) for p in found] == [("d:2", "Pump 2", "Pump 2 runs at 200 rpm.")]
        document = target.store.get("d:2")
        assert document is not None
        assert (document.source, found[0].text_sha256) == ("corpus.jsonl#3", document.text_sha256)


def test_the_same_run_twice_embeds_nothing(tmp_path: Path) -> None:
    source = suite(tmp_path / "s", ROWS)
    ingest(tmp_path / "data", source)
    embedder = HashedWords()
    summary = ingest(tmp_path / "data", source, embedder=embedder)
    assert (summary.unchanged, summary.new, summary.changed, summary.chunks) == (3, 0, 0, 0)
    assert embedder.embedded == []


def test_only_a_changed_row_is_embedded_and_its_old_chunk_goes(tmp_path: Path) -> None:
    ingest(tmp_path / "data", suite(tmp_path / "s", ROWS))
    changed = [*ROWS[:2], {**ROWS[2], "text": "Pump 2 was scrapped."}]
    embedder = HashedWords()
    summary = ingest(tmp_path / "data", suite(tmp_path / "s", changed), embedder=embedder)
    assert (summary.changed, summary.unchanged) == (1, 2)
    assert embedder.embedded == ["Pump 2\nPump 2 was scrapped."]
    with opened(tmp_path / "data", embedder) as target:
        assert target.index.count() == 3


def test_a_removed_row_stays_unless_pruned(tmp_path: Path) -> None:
    ingest(tmp_path / "data", suite(tmp_path / "s", ROWS))
    shorter = suite(tmp_path / "s", ROWS[:2])
    assert ingest(tmp_path / "data", shorter).removed == 0
    assert ingest(tmp_path / "data", shorter, prune=True).removed == 1
    with opened(tmp_path / "data", HashedWords()) as target:
        assert [item.id for item in target.store.summaries()] == ["d:0", "d:1"]


def test_pruning_keeps_a_document_that_is_unreadable_now(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nText of {name}.", "utf-8")
    ingest(tmp_path / "data", folder)
    (folder / "a.md").write_text("", "utf-8")
    (folder / "b.md").unlink()
    summary = ingest(tmp_path / "data", folder, prune=True)
    assert (summary.removed, [bad.source for bad in summary.unreadable]) == (1, ["a.md"])


def test_two_documents_with_equal_content_are_two(tmp_path: Path) -> None:
    twins = [{"doc_id": name, "title": "Same", "text": "The same words."} for name in ("a", "b")]
    summary = ingest(tmp_path / "data", suite(tmp_path / "s", twins))
    assert (summary.new, summary.chunks, summary.reused) == (2, 1, 1)


def test_a_repeated_id_is_listed_with_the_place_that_has_it(tmp_path: Path) -> None:
    summary = ingest(tmp_path / "data", suite(tmp_path / "s", [ROWS[0], ROWS[1], ROWS[0]]))
    assert summary.new == 2
    [bad] = summary.unreadable
    assert (bad.source, "corpus.jsonl#1" in bad.reason) == ("corpus.jsonl#3", True)


def test_a_long_document_goes_through_many_calls_and_keeps_its_order(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    text = "\n\n".join(f"Paragraph {n} {n * n} {n**3 + 7} " + "says much " * 55 + "." for n in range(700))
    (folder / "long.txt").write_text(text, "utf-8")
    embedder = HashedWords(dimensions=1024)
    summary = ingest(tmp_path / "data", folder, embedder=embedder)
    assert summary.chunks == len(embedder.embedded) == 700
    with opened(tmp_path / "data", embedder) as target:
        [vector] = embedder.embed(["long\n" + text.split("\n\n")[432]])
        [hit] = target.index.search(vector=vector, text="", limit=1, mode=RetrievalMode.DENSE, filter=Filter())
        assert hit.text == text[hit.start : hit.end] == text.split("\n\n")[432]


def test_progress_counts_what_is_embedded_and_ends_at_all(tmp_path: Path) -> None:
    told: list[Progress] = []
    with opened(tmp_path / "data", HashedWords()) as target:
        apply(open_corpus(suite(tmp_path / "s", ROWS)), target, progress=told.append)
    assert (told[-1].documents, told[-1].total, told[-1].chunks) == (3, 3, 3)
    assert [state.chunks for state in told] == sorted(state.chunks for state in told)


def test_documents_count_as_they_are_embedded_within_a_group_and_what_was_embedded_before_at_once(
    tmp_path: Path,
) -> None:
    texts = [f"Valve {n} is shut." + " And oiled." * n for n in range(600)]
    rows = [{"doc_id": f"d{n}", "title": f"T{n}", "text": text} for n, text in enumerate(texts)]

    told: list[Progress] = []
    with opened(tmp_path / "data", HashedWords()) as target:
        apply(open_corpus(suite(tmp_path / "s", rows)), target, progress=told.append)
        moving = [state.documents for state in told if 0 < state.documents < 600]
        assert len(moving) > 1
        assert moving == sorted(moving)
        told.clear()
        apply(open_corpus(suite(tmp_path / "s", rows)), target, progress=told.append)
    assert [(state.documents, state.total, state.chunks) for state in told] == [(600, 600, 0)]


def test_declared_fields_filter_by_their_type(tmp_path: Path) -> None:
    documents = tmp_path / "c" / "documents"
    documents.mkdir(parents=True)
    (documents / "parts.csv").write_text("id,name,price\nA,valve,12\nB,pump,90\nC,seal,none\n", "utf-8")
    (tmp_path / "c" / "corpus.toml").write_text(
        '[corpus]\nname="c"\n[filterable]\nprice="integer"\n'
        '[[rows]]\npath="parts.csv"\nid="id"\ntitle="name"\nmetadata=["price"]\n',
        "utf-8",
    )
    summary = ingest(tmp_path / "data", tmp_path / "c")
    assert summary.new == 2
    assert ["'price' is 'none'" in bad.reason for bad in summary.unreadable] == [True]
    with opened(tmp_path / "data", HashedWords()) as target:
        assert target.manifest.fields == {"price": FieldType.INTEGER}
        assert target.index.count(Filter(conditions=(Condition(field="price", gte=50),))) == 1


def test_another_embedder_is_refused_with_the_way_out(tmp_path: Path) -> None:
    ingest(tmp_path / "data", suite(tmp_path / "s", ROWS))
    with (
        pytest.raises(IncompatibleIndex, match="built with embedder 'hashed-words'"),
        opened(tmp_path / "data", HashedWords(name="other")),
    ):
        pass


def test_a_domain_has_one_writer_at_a_time(tmp_path: Path) -> None:
    source = suite(tmp_path / "s", ROWS)
    with opened(tmp_path / "data", HashedWords()), pytest.raises(IndexLocked, match="changes domain 'plant' now: wait"):
        ingest(tmp_path / "data", source)
    assert ingest(tmp_path / "data", source).new == 3
