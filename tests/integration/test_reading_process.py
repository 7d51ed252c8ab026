"""Files read in a process of its own: the same text as here, and no file that it does not outlive."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.readers import reader_for
from ingest.reading_process import ReadingProcess
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


def test_a_file_that_needs_too_much_memory_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "huge.txt").write_bytes(b"word " * 60_000_000)
    reading = ReadingProcess(seconds=60, megabytes=512)
    try:
        with pytest.raises(UnreadableDocument, match=r"more memory than a reader may take|crashed"):
            reading.read(reader_for(tmp_path / "huge.txt"), tmp_path / "huge.txt")
    finally:
        reading.close()
