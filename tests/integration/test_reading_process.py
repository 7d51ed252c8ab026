"""Files read in a process of its own: the same text as here, and no file that it does not outlive."""

from __future__ import annotations

import os
import re
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest import rows
from ingest.corpus import Found, Unreadable, open_corpus
from ingest.readers import reader_for
from ingest.reading_process import ReadingProcess
from ingest.rows import Mapping
from rag.errors import UnreadableDocument

CORPUS = Path(__file__).parents[2] / "corpora" / "plant" / "documents"


@pytest.fixture
def reading() -> Iterator[ReadingProcess]:
    process = ReadingProcess(seconds=20, megabytes=1024)
    yield process
    process.close()


def test_every_format_gives_the_text_that_it_gives_here(reading: ReadingProcess) -> None:
    paths = [path for path in sorted(CORPUS.rglob("*")) if path.suffix in (".md", ".pdf", ".docx", ".html", ".txt")]
    assert {path.suffix for path in paths} == {".md", ".pdf", ".docx", ".html", ".txt"}
    for path in paths:
        assert reading.read(reader_for(path), path) == reader_for(path).read(path)


def test_an_unreadable_file_is_told_by_its_reason_and_the_next_is_read(tmp_path: Path, reading: ReadingProcess) -> None:
    (tmp_path / "bad\nname.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "good.md").write_text("# Good\n\nText \ud7ff.", "utf-8")
    with pytest.raises(UnreadableDocument, match="the PDF is damaged"):
        reading.read(reader_for(tmp_path / "x.pdf"), tmp_path / "bad\nname.pdf")
    assert reading.read(reader_for(tmp_path / "x.md"), tmp_path / "good.md").title == "Good"


def test_a_reader_that_hangs_or_is_killed_costs_one_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs.md")  # nobody writes to it, so that any reader waits for ever
    (tmp_path / "good.md").write_text("# Good\n\nText.", "utf-8")
    reading = ReadingProcess(seconds=0.5, megabytes=1024)
    try:
        assert reading.read(reader_for(tmp_path / "good.md"), tmp_path / "good.md").title == "Good"
        with pytest.raises(UnreadableDocument, match=r"longer than 0\.5 s"):
            reading.read(reader_for(tmp_path / "hangs.md"), tmp_path / "hangs.md")
        assert reading.read(reader_for(tmp_path / "good.md"), tmp_path / "good.md").title == "Good"
        child = reading._child
        assert child is not None
        threading.Timer(0.1, os.kill, (child.pid, signal.SIGKILL)).start()
        with pytest.raises(UnreadableDocument, match="its reader crashed"):
            reading.read(reader_for(tmp_path / "hangs.md"), tmp_path / "hangs.md")
    finally:
        reading.close()


TABLES = {
    "a.csv": 'id,name,note\n1,Valve,opens at 3 bar\n2,,\n,Pump,"runs,\nand runs"\n',
    "b.tsv": "name\tnote\nCr\u00e8me\t\U0001f600\n",
    "c.json": '[{"id": "x", "text": "Words \\ud800.", "size": 1.5, "new": true, "deep": [1]}, 7, {"text": " "}]',
    "d.jsonl": '{"id": "y", "text": "Words.", "size": NaN}\nno JSON\n[1]\n\n{"id": "z", "text": "More."}\n',
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("mapping", [None, Mapping(title="name", text=("note",), metadata=("id",))])
def test_every_table_gives_the_rows_that_it_gives_here(
    tmp_path: Path, reading: ReadingProcess, name: str, mapping: Mapping | None
) -> None:
    (tmp_path / name).write_text(TABLES[name], "utf-8")
    found = list(reading.rows(tmp_path / name, name, mapping))
    assert found
    assert repr(found) == repr(list(rows.read(tmp_path / name, name, mapping)))


def test_rows_that_nobody_takes_are_not_given_as_the_next_files(tmp_path: Path, reading: ReadingProcess) -> None:
    (tmp_path / "many.jsonl").write_text('{"text": "Old."}\n' * 50_000, "utf-8")
    (tmp_path / "one.csv").write_text("text\nNew.\n", "utf-8")
    taken = reading.rows(tmp_path / "many.jsonl", "many.jsonl", None)
    assert next(taken).source == "many.jsonl#1"
    taken.close()
    assert [row.source for row in reading.rows(tmp_path / "one.csv", "one.csv", None)] == ["one.csv#1"]
    assert sum(1 for _ in reading.rows(tmp_path / "many.jsonl", "many.jsonl", None)) == 50_000


def test_a_table_that_hangs_or_has_no_header_costs_one_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs.csv")
    (tmp_path / "blank.csv").write_text("\n\n", "utf-8")
    (tmp_path / "one.csv").write_text("text\nNew.\n", "utf-8")
    reading = ReadingProcess(seconds=0.5, megabytes=1024)

    def read(name: str) -> list[rows.Row | rows.BadRow]:
        return list(reading.rows(tmp_path / name, name, None))

    try:
        assert len(read("one.csv")) == 1
        with pytest.raises(UnreadableDocument, match=r"longer than 0\.5 s"):
            read("hangs.csv")
        with pytest.raises(UnreadableDocument, match="no header row"):
            read("blank.csv")
        with pytest.raises(UnreadableDocument, match="cannot be read: No such file"):
            read("gone.csv")
        assert len(read("one.csv")) == 1
    finally:
        reading.close()


def test_json_that_needs_too_much_memory_is_unreadable_and_takes_none_here(tmp_path: Path) -> None:
    (tmp_path / "hog.json").write_bytes(b"[" + b"[]," * 10_000_000 + b"[]]")
    (tmp_path / "one.csv").write_text("text\nNew.\n", "utf-8")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with closing(ReadingProcess(seconds=60, megabytes=512)) as reading:
        hog, one = open_corpus(tmp_path, reading=reading).documents()
    assert isinstance(hog, Unreadable)
    assert re.search("more memory than a reader may take|crashed", hog.reason)
    assert isinstance(one, Found)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_file_that_needs_too_much_memory_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "huge.txt").write_bytes(b"word " * 60_000_000)
    reading = ReadingProcess(seconds=60, megabytes=512)
    try:
        with pytest.raises(UnreadableDocument, match=r"more memory than a reader may take|crashed"):
            reading.read(reader_for(tmp_path / "huge.txt"), tmp_path / "huge.txt")
    finally:
        reading.close()
