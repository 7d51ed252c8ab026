"""A followed folder: every change is applied once it is at rest, errors are told and passed, the end is orderly."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.corpus import open_corpus
from ingest.progress import Progress
from ingest.run import Summary, apply
from ingest.target import Target
from ingest.verifying import verify
from ingest.watching import Watched, fingerprint, follow
from rag.catalog import Catalog
from rag.documents import DocumentStore
from rag.errors import IndexUnavailable, RagError
from tests.fakes.command_line import run, settle
from tests.fakes.domains import DIMENSIONS, open_edge
from tests.fakes.embedder import HashedWords
from tests.fakes.ingest_server import SlowWords


class Watch:
    """`follow` in a thread, over a domain with the hashed embedder."""

    def __init__(self, folder: Path, data: Path, embedder: HashedWords, *, rest: float = 0.1) -> None:
        self.data, self.source, self.embedder = data, folder, embedder
        self.stop = threading.Event()
        self.done: list[Summary] = []
        self.failed: list[Exception] = []
        self.total = Watched()
        self.trouble: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(rest,))
        self.thread.start()

    def _run(self, rest: float) -> None:
        self.total = follow(
            self.source,
            self._apply,
            stop=self.stop,
            every=0.05,
            done=self.done.append,
            failed=self.failed.append,
            rest=rest,
            patience=0.5,
        )

    def _apply(self, progress: Callable[[Progress], None]) -> Summary:
        if self.trouble:
            raise self.trouble
        with closing(open_target(self.data, self.embedder)) as target:
            return apply(open_corpus(self.source), target, prune=True, progress=progress)

    def until(self, applies: int = 0, failures: int = 0) -> None:
        limit = time.monotonic() + 60
        while len(self.done) < applies or len(self.failed) < failures:
            assert time.monotonic() < limit, (self.done, self.failed)
            time.sleep(0.02)

    def end(self) -> None:
        self.stop.set()
        self.thread.join()


def open_target(data: Path, embedder: HashedWords) -> Target:
    return Target("plant", catalog=Catalog(data), embedder=embedder, open_index=open_edge, backend="edge", create=True)


def documents(data: Path) -> list[str]:
    with closing(open_target(data, HashedWords(dimensions=DIMENSIONS))) as target:
        assert verify(target) == []
        return [item.id for item in target.summaries()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nAlpha.", "utf-8")
    return tmp_path / "docs"


@pytest.fixture
def watch(source: Path, tmp_path: Path) -> Iterator[Watch]:
    opened = Watch(source, tmp_path / "data", HashedWords(dimensions=DIMENSIONS))
    yield opened
    opened.end()


def test_what_is_added_changed_renamed_and_deleted_is_followed(watch: Watch) -> None:
    watch.until(applies=1)
    (watch.source / "b.md").write_text("# B\n\nBeta.", "utf-8")
    watch.until(applies=2)
    (watch.source / "a.md").rename(watch.source / "c.md")
    watch.until(applies=3)
    (watch.source / "b.md").write_text("# B\n\nBeta, revised.", "utf-8")
    watch.until(applies=4)
    (watch.source / "b.md").unlink()
    watch.until(applies=5)
    watch.end()
    told = [(item.new, item.changed, item.moved, item.removed) for item in watch.done]
    assert told == [(1, 0, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 0, 1)]
    assert documents(watch.data) == ["c.md"]
    assert (watch.total.applies, watch.total.new, watch.total.moved, watch.total.failures) == (5, 2, 1, 0)


def test_files_that_come_one_after_the_other_are_one_change_and_none_is_left_out(source: Path, tmp_path: Path) -> None:
    watch = Watch(source, tmp_path / "data", HashedWords(dimensions=DIMENSIONS), rest=0.3)
    watch.until(applies=1)
    for number in range(5):
        (source / f"n{number}.md").write_text(f"# N{number}\n\nNumber {number}.", "utf-8")
        time.sleep(0.05)
    watch.until(applies=2)
    watch.end()
    assert sum(item.new for item in watch.done) == 6
    assert len(watch.done) <= 3  # a machine under load may see a rest where there is none


def test_a_folder_that_never_rests_is_applied_all_the_same(source: Path, tmp_path: Path) -> None:
    watch = Watch(source, tmp_path / "data", HashedWords(dimensions=DIMENSIONS), rest=0.2)
    until = time.monotonic() + 30
    while not watch.done and time.monotonic() < until:
        (source / "log.txt").write_text(f"It is {time.monotonic_ns()} now.", "utf-8")
        time.sleep(0.01)
    watch.end()
    assert watch.done


def test_a_round_that_fails_is_told_and_tried_again(watch: Watch) -> None:
    watch.until(applies=1)
    watch.trouble = IndexUnavailable("gone")
    (watch.source / "b.md").write_text("# B\n\nBeta.", "utf-8")
    watch.until(failures=2)
    watch.trouble = None
    watch.until(applies=2)
    watch.source.rename(watch.source.with_name("away"))
    count = len(watch.failed)
    watch.until(failures=count + 1)
    assert "there is nothing at" in str(watch.failed[-1])
    watch.source.with_name("away").rename(watch.source)
    watch.end()
    assert documents(watch.data) == ["a.md", "b.md"]  # a folder that was away for a while took nothing with it


def test_a_stop_in_the_middle_of_a_run_keeps_what_is_embedded_for_the_next_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.writing.GROUP_CHUNKS", 10)
    for number in range(60):
        (source / f"n{number:02}.md").write_text(f"# N{number}\n\nNumber {number}.", "utf-8")
    data = tmp_path / "data"
    watch = Watch(source, data, SlowWords(0.05))
    side = data / "domains" / "plant" / "g000001" / "documents.sqlite"
    limit = time.monotonic() + 60
    while not side.exists() or not written(side):
        assert time.monotonic() < limit
        time.sleep(0.02)
    watch.end()
    assert (watch.done, watch.failed, Catalog(data).domains()) == ([], [], [])
    again = HashedWords(dimensions=DIMENSIONS)
    with closing(open_target(data, again)) as target:
        summary = apply(open_corpus(source), target, prune=True)
    assert (summary.new, summary.chunks) == (61, len(again.embedded))
    assert 0 < summary.chunks < 61
    assert len(documents(data)) == 61


def written(side: Path) -> int:
    """Documents in a file that is being made in this moment: at first without its tables, then without all of them."""
    try:
        with closing(DocumentStore(side, writable=False)) as store:
            return store.counts()[0]
    except RagError:
        return 0


def test_a_fingerprint_sees_files_and_not_hidden_ones(source: Path) -> None:
    before = fingerprint(source)
    assert fingerprint(source) == before
    (source / ".a.md.swp").write_text("editor", "utf-8")
    assert fingerprint(source) == before
    os.utime(source / "a.md", ns=(1, 1))
    touched = fingerprint(source)
    assert touched != before
    (source / "sub").mkdir()
    (source / "sub" / "b.md").write_text("b", "utf-8")
    assert fingerprint(source) != touched
    assert fingerprint(source / "a.md") != fingerprint(source / "nowhere")


Command = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def command(source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """What `watch` prints as JSON, where these changes are made one after the other and each is applied."""
    changes: list[Callable[[], None]] = []

    def one_after_the_other(
        _: Path,
        apply: Callable[[Callable[[Progress], None]], Summary],
        *,
        done: Callable[[Summary], None],
        **__: object,
    ) -> Watched:
        for change in (lambda: None, *changes):
            change()
            done(apply(lambda _: None))
        return Watched()

    monkeypatch.setattr("ingest.watching.follow", one_after_the_other)
    settle(source.parent / "data", monkeypatch)

    def told(arguments: list[str], *wanted: Callable[[], None]) -> list[dict[str, Any]]:
        changes.extend(wanted)
        assert run("watch", str(source), "--domain", "plant", "--json", *arguments) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()[:-1]]

    return told


@pytest.mark.parametrize(("arguments", "expected"), [([], (0, 1, 1)), (["--keep"], (1, 0, 0))])
def test_the_command_follows_renames_and_deletes_unless_it_is_told_to_keep(
    source: Path, command: Command, arguments: list[str], expected: tuple[int, int, int]
) -> None:
    (source / "gone.md").write_text("# Gone\n\nSoon.", "utf-8")

    def change() -> None:
        (source / "a.md").rename(source / "b.md")
        (source / "gone.md").unlink()

    _, second = command(arguments, change)
    assert (second["new"], second["moved"], second["removed"]) == expected
    assert documents(source.parent / "data") == (["b.md"] if not arguments else ["a.md", "b.md", "gone.md"])


def test_the_command_reads_in_a_process_with_limits_and_goes_on_after_a_file_that_takes_too_long(
    source: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDY_UPLOADS__FILE_SECONDS", "0.001")

    def change() -> None:  # a.md was read first, with the time that the process needs to start granted on top
        (source / "slow.html").write_text("<p>" + "<b>word</b> " * 200_000, "utf-8")

    _, second = command([], change)
    assert [(item["source"], item["reason"]) for item in second["unreadable"]] == [
        ("slow.html", "its reader took longer than 0.001 s")
    ]
    assert documents(source.parent / "data") == ["a.md"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_ends_cleanly_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "docs").mkdir()
    arguments = ["watch", str(tmp_path / "docs"), "--domain", "d", "--every", "0.1", "--json"]
    child = subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments],
        env={**os.environ, "UNDERSTUDY_DATA__DIRECTORY": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    first = json.loads(child.stdout.readline())
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert (first["event"], "holds no file" in first["message"]) == ("error", True)
    end = json.loads(out.splitlines()[-1])
    assert (end["event"], end["applies"], end["failures"]) == ("end", 0, 1)
