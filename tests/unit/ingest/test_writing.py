"""Documents are read ahead and written behind: by how much, and what becomes of an error on either side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.chunkers import chunks_of
from ingest.embedding import SLICE_CHUNKS, Embedded, Ready
from ingest.progress import Meter
from ingest.writing import FIRST_CHUNKS, MOST_BEHIND, write
from rag.errors import CorpusError
from rag.types import Document
from tests.fakes.domains import DIMENSIONS, opened
from tests.fakes.embedder import HashedWords


def documents(count: int) -> Iterator[Ready]:
    for number in range(count):
        document = Document(id=f"d{number}", title="", text=f"pump {number}", file_sha256="0" * 64, source="a.md")
        yield Ready(document, "", chunks_of(document))


def meter() -> Meter:
    return Meter({}, None)


def test_the_embedder_waits_once_enough_is_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, held, called = HashedWords(dimensions=DIMENSIONS), threading.Event(), threading.Semaphore(0)
    plain = embedder.embed

    def embed(texts: list[str]) -> object:
        called.release()
        return plain(texts)

    monkeypatch.setattr(embedder, "embed", embed)
    with opened(tmp_path, embedder) as target, ThreadPoolExecutor(1) as run:
        written = target.write

        def slow(done: Embedded) -> int:
            held.wait()
            return written(done)

        monkeypatch.setattr(target, "write", slow)
        count = 20 * SLICE_CHUNKS
        running = run.submit(write, documents(count), target, meter())
        while called.acquire(timeout=0.5):
            pass
        assert not running.done()
        assert FIRST_CHUNKS < len(embedder.embedded) <= (MOST_BEHIND + 1) * SLICE_CHUNKS
        held.set()
        assert running.result().computed == count == target.store.counts()[1]


def test_an_error_in_writing_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as target:

        def full(done: Embedded) -> int:
            raise CorpusError(f"no room for {len(done.documents)}")

        monkeypatch.setattr(target, "write", full)
        with pytest.raises(CorpusError, match=f"no room for {FIRST_CHUNKS // 2}"):
            write(documents(5000), target, meter())


def test_an_error_in_reading_ends_the_run_after_what_came_before_it(tmp_path: Path) -> None:
    def broken() -> Iterator[Ready]:
        yield from documents(3 * FIRST_CHUNKS)
        raise CorpusError("the folder went away")

    with opened(tmp_path) as target:
        with pytest.raises(CorpusError, match="the folder went away"):
            write(broken(), target, meter())
        assert target.store.counts() == (3 * FIRST_CHUNKS, 3 * FIRST_CHUNKS)


def test_a_generation_that_begins_empty_is_made_while_the_first_documents_are_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, plain = HashedWords(dimensions=DIMENSIONS), HashedWords.embed
    there: list[bool] = []

    def embed(texts: list[str]) -> object:
        there.append(target.generation is not None)
        return plain(embedder, texts)

    monkeypatch.setattr(embedder, "embed", embed)
    with opened(tmp_path, embedder) as target:
        target.begin()
        write(documents(FIRST_CHUNKS), target, meter())
        assert not there[0]
        assert target.store.counts() == (FIRST_CHUNKS, FIRST_CHUNKS)
        assert target.promote()
        there.clear()
        target.begin()
        write(documents(1), target, meter())
        assert there == [True]  # one that has something to lend is copied before
