"""Follows a path: what changes below it is applied as soon as it has come to rest, until it is told to stop.

The path is looked at every few seconds, by names, sizes and times: that works on every file system, network ones too,
and one look at 10,000 files takes a fraction of a second. Knows no domain and no command.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.progress import Progress
from ingest.run import Summary
from rag.errors import RagError

REST_SECONDS = 1.0
"""Nothing may have changed for so long before a change is applied: a copy of many files is one change."""

PATIENCE_SECONDS = 60.0
"""A path that never comes to rest is applied after this all the same, and what failed is tried again."""


class Stopped(Exception):
    """Raised out of a run that is told to stop; what it has embedded waits for the next one."""


@dataclass(slots=True)
class Watched:
    """What was done while a path was followed."""

    applies: int = 0
    failures: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    seconds: float = 0.0


def follow(
    path: Path,
    apply: Callable[[Callable[[Progress], None]], Summary],
    *,
    stop: threading.Event,
    every: float,
    done: Callable[[Summary], None],
    failed: Callable[[Exception], None],
    rest: float = REST_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> Watched:
    """Apply at once, and then whatever changes, until `stop` is set; an error ends a round and never the watch.

    apply: one run, with the progress that ends it when it is to stop. every: seconds between two looks.
    """
    begin = time.monotonic()
    total = Watched()
    applied = refused = b""
    again = 0.0

    def look(_: Progress) -> None:
        if stop.is_set():
            raise Stopped

    while not stop.is_set():
        seen = fingerprint(path)
        if seen != applied and (seen != refused or time.monotonic() >= again):
            seen = _at_rest(path, seen, stop, rest, patience)
            if stop.is_set():
                break
            try:
                summary = apply(look)
            except Stopped:
                break
            except (RagError, OSError) as error:
                refused, again = seen, time.monotonic() + patience
                total.failures += 1
                failed(error)
            else:
                applied = seen
                _add(total, summary)
                done(summary)
        stop.wait(every)
    total.seconds = time.monotonic() - begin
    return total


def fingerprint(path: Path) -> bytes:
    """Changes with every file below a path that comes, goes, or is written; hidden ones do not count."""
    digest = hashlib.blake2b(digest_size=16)
    for line in _files(path):
        digest.update(line)
    return digest.digest()


def _files(path: Path) -> Iterator[bytes]:
    try:
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except NotADirectoryError:
        yield _line(path.name, path)
        return
    except OSError as error:  # gone, or closed to us: that is a state as well
        yield f"{path}\0{error.errno}\n".encode("utf-8", "surrogateescape")
        return
    for entry in found:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield _line(entry.path, entry)


def _line(name: str, file: os.DirEntry[str] | Path) -> bytes:
    try:
        state = file.stat()
    except OSError:
        return f"{name}\0gone\n".encode("utf-8", "surrogateescape")
    return f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ino}\n".encode("utf-8", "surrogateescape")


def _at_rest(path: Path, seen: bytes, stop: threading.Event, rest: float, patience: float) -> bytes:
    """The fingerprint once it has stayed the same for `rest` seconds, or `patience` is over."""
    until = time.monotonic() + patience
    while not stop.wait(rest) and time.monotonic() < until:
        now = fingerprint(path)
        if now == seen:
            break
        seen = now
    return seen


def _add(total: Watched, summary: Summary) -> None:
    total.applies += 1
    total.new += summary.new
    total.changed += summary.changed
    total.moved += summary.moved
    total.removed += summary.removed
