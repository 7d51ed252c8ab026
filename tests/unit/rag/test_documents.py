"""The document store: what is committed stays and is seen, what is not is remembered as pending."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rag.documents import DocumentStore, StoredChunk
from rag.errors import CorpusError
from rag.types import Document

CHUNKS = (StoredChunk(id="c1", start=0, end=5), StoredChunk(id="c2", start=6, end=11))


def document(document_id: str = "a.md", text: str = "hello world") -> Document:
    return Document(
        id=document_id,
        title=f"Title of {document_id}",
        text=text,
        file_sha256="f" * 64,
        source=document_id,
        metadata={"revision": 3, "draft": False, "weight": 1.5, "part": "\u00dc-7"},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[DocumentStore]:
    opened = DocumentStore(path, writable=True)
    yield opened
    opened.close()


def test_a_committed_document_comes_back_whole(store: DocumentStore) -> None:
    store.commit([(document(), "recipe-1", CHUNKS)])
    assert store.get("a.md") == document()
    assert store.chunks("a.md") == list(CHUNKS)
    assert store.counts() == (1, 2)


def test_pages_of_summaries_join_without_a_gap(store: DocumentStore) -> None:
    names = ["B.md", "a#2", "a/1.md", "a/1.md ", "é.md", "z.md"]
    store.commit([(document(name, f"text of {name}"), "recipe-1", ()) for name in names])
    store.commit([(document("a/1.md"), "recipe-1", CHUNKS)])
    seen: list[str] = []
    while page := store.summaries(after=seen[-1] if seen else "", limit=2):
        assert len(page) <= 2
        seen += [each.id for each in page]
    assert seen == sorted(names, key=str.encode) == [each.id for each in store.summaries()]
    (first,) = store.summaries(after="a#2", limit=1)
    assert (first.id, first.characters, first.chunks, first.text_sha256) == ("a/1.md", 11, 2, document().text_sha256)


def test_metadata_keeps_its_types(store: DocumentStore) -> None:
    store.commit([(document(), "recipe-1", ())])
    found = store.get("a.md")
    assert found is not None
    assert [type(found.metadata[key]) for key in ("revision", "draft", "weight", "part")] == [int, bool, float, str]


def test_text_of_any_script_keeps_its_offsets(store: DocumentStore) -> None:
    text = "\U0001f9ea \u7b2c\u4e00\u7ae0 \u0628\u0633\u0645 e\u0301\r\n\x00 end"
    store.commit([(document(text=text), "recipe-1", ())])
    found = store.get("a.md")
    assert found is not None
    assert found.text == text
    assert found.text_sha256 == document(text=text).text_sha256


def test_an_unknown_document_is_none(store: DocumentStore) -> None:
    assert store.get("absent.md") is None
    assert store.chunks("absent.md") == []


def test_summaries_are_by_id_and_carry_no_text(store: DocumentStore) -> None:
    store.commit([(document("b.md"), "r", ()), (document("a.md", "four"), "r", CHUNKS)])
    first, second = store.summaries()
    assert (first.id, first.characters, first.chunks, first.recipe) == ("a.md", 4, 2, "r")
    assert (second.id, second.chunks) == ("b.md", 0)
    assert first.text_sha256 == document(text="four").text_sha256


def test_a_new_version_replaces_text_and_chunks(store: DocumentStore) -> None:
    store.commit([(document(), "recipe-1", CHUNKS)])
    store.commit([(document(text="bye"), "recipe-2", [StoredChunk(id="c3", start=0, end=3)])])
    assert store.counts() == (1, 1)
    assert [chunk.id for chunk in store.chunks("a.md")] == ["c3"]


def made(name: str, digest: str) -> list[StoredChunk]:
    return [StoredChunk(id=name, start=0, end=5, embedded=digest)]


def test_a_chunk_is_found_by_the_text_that_its_vector_was_made_of(store: DocumentStore) -> None:
    one, other = "0a" * 16, "ff" * 16
    store.commit([(document("a.md"), "r", made("a1", one)), (document("b.md"), "r", made("b1", one))])
    store.commit([(document("c.md"), "r", made("c1", ""))])
    assert store.made_of([one, other, ""]) == {one: "a1"}
    assert store.chunks("a.md") == made("a1", one)
    assert store.made_of([one], without={"a.md"}) == {one: "b1"}
    assert store.made_of([one], without={"a.md", "b.md"}) == {}
    store.begin([("a.md", ["a1"])])  # its vector is being replaced
    assert store.made_of([one]) == {one: "b1"}
    store.commit([(document("a.md"), "r", made("a1", other))])
    assert store.made_of([one, other]) == {one: "b1", other: "a1"}
    store.delete(["b.md"])
    assert store.made_of([one]) == {}


def test_many_documents_are_asked_for_and_written_in_a_few_statements(store: DocumentStore) -> None:
    names = [f"d{number}" for number in range(1300)]
    digests = {name: f"{number:032x}" for number, name in enumerate(names)}
    texts = {name: f"{name} says what no other document says: {name}" for name in names}
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)
    assert store.made_of(list(digests.values())) == {}
    assert store.chunk_ids(names) == {}
    assert len(statements) < 10
    store.commit([(document(name, texts[name]), "r", made(f"c-{name}", digests[name])) for name in names])
    assert sum(told.startswith("SELECT") for told in statements) < 100
    store._db.set_trace_callback(None)
    assert store.made_of([*digests.values(), "ff" * 16]) == {digest: f"c-{name}" for name, digest in digests.items()}
    assert store.chunk_ids([*names, "absent"]) == {name: [f"c-{name}"] for name in names}


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_documents_are_linked_alike_however_many_are_written_at_once(store: DocumentStore, at_once: int) -> None:
    words = "the relief valve of the northern hall opens at a pressure that the table states and closes below it again"
    texts = {f"d{number:02}": f"{words} {'whenever ' * (number % 3)}" for number in range(6)}
    texts |= {f"e{number:02}": f"another text altogether, the number {number} of a row of them" for number in range(30)}
    many = [(document(name, text), "r", ()) for name, text in texts.items()]
    for first in [*range(0, len(many), at_once), 0, 7]:  # some are written a second time
        store.commit(many[first : first + at_once])
    said = {each.id: each.same_as for each in store.summaries()}
    assert {said[f"d{number:02}"] for number in range(1, 6)} == {"d00"}
    assert {said[name] for name in said if name.startswith("e")} | {said["d00"]} == {""}


def test_a_file_of_an_older_version_knows_of_no_text(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    with closing(DocumentStore(path, writable=True)) as store:
        store.commit([(document("a.md"), "r", made("a1", "0a" * 16))])
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP INDEX chunks_embedded; ALTER TABLE chunks DROP COLUMN embedded;")
    for writable in (False, True):
        with closing(DocumentStore(path, writable=writable)) as store:
            assert store.made_of(["0a" * 16]) == {}
            assert store.chunks("a.md") == made("a1", "")
    with closing(DocumentStore(path, writable=True)) as store:
        store.commit([(document("a.md"), "r", made("a1", "0a" * 16))])
        assert store.made_of(["0a" * 16]) == {"0a" * 16: "a1"}


def test_chunks_come_by_offset(store: DocumentStore) -> None:
    store.commit([(document(), "r", CHUNKS[::-1])])
    assert [chunk.start for chunk in store.chunks("a.md")] == [0, 6]


def test_a_document_is_pending_from_begin_to_commit(store: DocumentStore) -> None:
    store.begin([("a.md", ["c1", "c2"])])
    assert store.pending() == {"a.md": ["c1", "c2"]}
    assert store.get("a.md") is None
    store.commit([(document(), "r", CHUNKS)])
    assert store.pending() == {}


def test_an_interrupted_change_is_pending_at_the_next_start(path: Path, store: DocumentStore) -> None:
    store.commit([(document(), "r", CHUNKS)])
    store.begin([("a.md", ["c1", "c3"]), ("b.md", ["c4"])])
    store.close()
    reopened = DocumentStore(path, writable=True)
    assert reopened.pending() == {"a.md": ["c1", "c3"], "b.md": ["c4"]}
    assert reopened.get("a.md") == document()
    reopened.close()


def test_delete_forgets_document_chunks_and_pending(store: DocumentStore) -> None:
    store.commit([(document("a.md"), "r", CHUNKS), (document("b.md"), "r", ())])
    store.begin([("a.md", ["c1"])])
    store.delete(["a.md", "absent.md"])
    assert store.get("a.md") is None
    assert store.pending() == {}
    assert store.counts() == (1, 0)


def test_a_commit_that_breaks_off_leaves_nothing_of_itself(store: DocumentStore) -> None:
    store.commit([(document("a.md"), "r", CHUNKS)])

    def breaking() -> Iterator[StoredChunk]:
        yield StoredChunk(id="c9", start=0, end=1)
        raise KeyboardInterrupt

    class Breaking(tuple[StoredChunk, ...]):
        __slots__ = ()

        def __iter__(self) -> Iterator[StoredChunk]:
            return breaking()

    with pytest.raises(KeyboardInterrupt):
        store.commit([(document("b.md"), "r", ()), (document("a.md", "new"), "r", Breaking())])
    assert store.get("b.md") is None
    assert store.get("a.md") == document("a.md")
    assert store.chunks("a.md") == list(CHUNKS)
    store.commit([(document("b.md"), "r", ())])
    assert store.counts() == (2, 2)


def test_a_reader_sees_only_whole_commits_while_a_writer_writes(path: Path, store: DocumentStore) -> None:
    store.commit([(document("a.md", "0"), "r", ()), (document("b.md", "0"), "r", ())])
    reader = DocumentStore(path, writable=False)
    done = threading.Event()
    counts: set[tuple[int, int]] = set()

    def read() -> None:
        while not done.is_set():
            counts.add(reader.counts())

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(1, 40):
        chunks = [StoredChunk(id=f"{turn}-{n}", start=n, end=n + 1) for n in range(turn % 2 * 3)]
        store.commit([(document("a.md", str(turn)), "r", chunks), (document("b.md", str(turn)), "r", ())])
    done.set()
    thread.join()
    latest = reader.get("a.md")
    reader.close()
    assert counts <= {(2, 0), (2, 3)}
    assert counts
    assert latest is not None
    assert latest.text == "39"


def test_threads_may_share_one_store(store: DocumentStore) -> None:
    def write(name: str) -> None:
        for turn in range(20):
            store.commit([(document(f"{name}-{turn}"), "r", [StoredChunk(id=f"{name}-{turn}", start=0, end=1)])])

    threads = [threading.Thread(target=write, args=(name,)) for name in ("x", "y", "z")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.counts() == (60, 60)


def test_a_reader_writes_nothing(path: Path, store: DocumentStore) -> None:
    reader = DocumentStore(path, writable=False)
    with pytest.raises(CorpusError, match="readonly"):
        reader.commit([(document(), "r", ())])
    reader.close()


@pytest.mark.parametrize("writable", [True, False])
def test_a_file_that_is_no_store_is_refused_with_the_way_out(path: Path, *, writable: bool) -> None:
    path.write_bytes(b"this is no database, only text that is longer than a header " * 100)
    with pytest.raises(CorpusError, match=r"cannot use .*delete the domain and ingest again"):
        DocumentStore(path, writable=writable)


def test_a_store_without_its_tables_is_refused_by_a_reader(path: Path) -> None:
    sqlite3.connect(path).close()
    path.touch()
    with pytest.raises(CorpusError, match="no such table"):
        DocumentStore(path, writable=False)


def test_a_store_that_is_not_there_is_not_made_by_a_reader(path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot use"):
        DocumentStore(path, writable=False)
    assert not path.exists()


def test_a_truncated_store_is_told_when_it_is_read(path: Path, store: DocumentStore) -> None:
    store.commit([(document(f"{n}.md", "text " * 500), "r", ()) for n in range(50)])
    store.close()
    os.truncate(path, path.stat().st_size // 2)

    def read_everything() -> None:
        with closing(DocumentStore(path, writable=True)) as damaged:
            damaged.summaries()

    with pytest.raises(CorpusError, match="if it is damaged, delete the domain"):
        read_everything()


def test_closing_twice_does_nothing(store: DocumentStore) -> None:
    store.close()
    store.close()


def test_no_file_descriptor_is_left_open(path: Path) -> None:
    def descriptors() -> int:
        try:
            return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count, and the folder is no real one
        except OSError as error:
            if error.errno == errno.ENOENT:
                pytest.skip("no /proc on this system")
            raise

    DocumentStore(path, writable=True).close()
    before = descriptors()
    for _ in range(5):
        opened = DocumentStore(path, writable=True)
        opened.commit([(document(), "r", ())])
        opened.close()
    assert descriptors() == before
