"""A text that a domain has embedded is not embedded again, whatever else about its document or this program changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ingest import chunkers, recipes, writing
from ingest.corpus import open_corpus
from ingest.plan import Plan, plan
from ingest.rebuilding import rebuild
from ingest.removal import remove
from ingest.run import Summary, apply
from ingest.verifying import verify
from rag.catalog import Catalog
from rag.documents import DocumentStore
from tests.fakes.domains import DIMENSIONS, open_edge, opened
from tests.fakes.embedder import HashedWords

BOOK = {"book.md": "# Book\n\n" + "\n\n".join(f"## Part {n}\n\nSentence of part {n}. " for n in range(6))}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def bring(source: Path, texts: Mapping[str, str], *, prune: bool = False) -> tuple[Plan, Summary, list[str]]:
    """What was planned, what was done, and which texts were embedded then; every vector is checked."""
    for name, text in texts.items():
        (source / name).write_text(text, "utf-8")
    data, embedder = source.parent / "data", HashedWords(dimensions=DIMENSIONS)
    with opened(data, embedder) as target:
        told = plan(open_corpus(source), target, prune=prune)
        sampled = len(embedder.embedded)
        summary = apply(open_corpus(source), target, prune=prune)
        assert verify(target) == []
    assert (told.chunks, told.reused) == (summary.chunks, summary.reused)
    right(data)
    return told, summary, embedder.embedded[sampled:]


def right(data: Path) -> None:
    """Every vector is that of its own text."""
    live = Catalog(data).live("plant")
    index, store = open_edge(live), DocumentStore(live.documents_path, writable=False)
    with closing(index), closing(store):
        names = [chunk.id for item in store.summaries() for chunk in store.chunks(item.id)]
        chunks = [chunk for name in names for chunk in index.chunks([name]).values()]
    assert len(chunks) == len(names)
    wanted = HashedWords(dimensions=DIMENSIONS).embed([chunk.search_text for chunk in chunks])
    assert np.allclose(np.stack([chunk.vector for chunk in chunks]), wanted, atol=1e-6)


def test_another_version_of_what_is_embedded_embeds_only_what_reads_otherwise(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, _ = bring(source, BOOK)
    assert first.chunks == 6
    monkeypatch.setattr(recipes, "EMBEDDING", "title-heading-text-99")
    _, again, texts = bring(source, BOOK)
    assert (again.changed, again.chunks, again.reused, texts) == (1, 0, 6, [])
    _, last, _ = bring(source, BOOK)
    assert last.unchanged == 1


def test_a_text_that_stands_in_another_document_now_is_not_embedded_again(source: Path) -> None:
    bring(source, BOOK)
    _, summary, texts = bring(source, {"second.md": "# Book\n\n## Part 2\n\nSentence of part 2.\n\n## Part 9\n\nNew."})
    assert (summary.new, summary.reused, texts) == (1, 1, ["Book\nPart 9\nNew."])
    _, summary, texts = bring(source, {"third.md": "# Volume\n\n## Part 2\n\nSentence of part 2."})
    assert (summary.reused, texts) == (0, ["Volume\nPart 2\nSentence of part 2."])


@pytest.mark.parametrize(("together", "computed"), [(2048, 0), (1, 1)])
def test_documents_that_exchange_their_titles_never_lend_a_vector_that_is_being_replaced(
    source: Path, monkeypatch: pytest.MonkeyPatch, together: int, computed: int
) -> None:
    monkeypatch.setattr(writing, "GROUP_CHUNKS", together)
    bring(source, {"a.md": "# A\n\nIt runs.", "b.md": "# B\n\nIt runs."})
    for name, text in {"a.md": "# B\n\nIt runs.", "b.md": "# A\n\nIt runs."}.items():
        (source / name).write_text(text, "utf-8")
    with opened(source.parent / "data") as target:  # the chunks' ids stay, whose vector each is changes
        summary = apply(open_corpus(source), target)
    assert (summary.changed, summary.chunks, summary.reused) == (2, computed, 2 - computed)
    right(source.parent / "data")


def test_a_deleted_document_lends_nothing(source: Path) -> None:
    bring(source, {**BOOK, "other.md": "# Other\n\nAnother."})
    with opened(source.parent / "data") as target:
        assert remove(target, ["book.md"]).chunks == 6
    _, summary, _ = bring(source, BOOK)
    assert (summary.new, summary.chunks, summary.reused) == (1, 6, 0)


def test_a_rebuild_for_another_chunker_embeds_only_what_it_cuts_otherwise(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(source, BOOK)
    data, embedder = source.parent / "data", HashedWords(dimensions=DIMENSIONS)
    monkeypatch.setattr(chunkers, "FINGERPRINT", chunkers.FINGERPRINT + "+")
    with opened(data, embedder, afresh=True) as target:
        done = rebuild(target)
        assert verify(target) == []
    assert (done.changed, done.chunks, done.reused, embedder.embedded) == (1, 0, 6, [])
    assert sorted(path.name for path in (data / "domains" / "plant").iterdir() if path.is_dir()) == [
        "g000001",
        "g000002",
    ]
    right(data)


def test_a_rebuild_without_a_reason_trusts_no_vector(source: Path) -> None:
    bring(source, BOOK)
    embedder = HashedWords(dimensions=DIMENSIONS)
    with opened(source.parent / "data", embedder, afresh=True) as target:
        done = rebuild(target)
    assert (done.chunks, done.reused, len(embedder.embedded)) == (6, 0, 6)


def test_a_domain_of_an_older_version_is_taken_up_and_knows_its_texts_from_then_on(source: Path) -> None:
    bring(source, BOOK)
    live = Catalog(source.parent / "data").live("plant")
    with closing(sqlite3.connect(live.documents_path)) as old:
        old.executescript("DROP INDEX chunks_embedded; ALTER TABLE chunks DROP COLUMN embedded;")
    with closing(DocumentStore(live.documents_path, writable=False)) as store:
        assert store.made_of(["00" * 16]) == {}
    _, summary, _ = bring(source, {"second.md": "# Book\n\n## Part 2\n\nSentence of part 2."})
    assert (summary.new, summary.unchanged, summary.chunks) == (1, 1, 1)  # whose text it was is not known
    _, summary, _ = bring(source, {"third.md": "# Book\n\n## Part 2\n\nSentence of part 2."})
    assert (summary.new, summary.chunks, summary.reused) == (1, 0, 1)
