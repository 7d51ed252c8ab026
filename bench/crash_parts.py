"""The two processes of bench.crashes: one that changes a domain and is killed, one that asks it all the while.

    python -m bench.crash_parts change DATA SOURCE apply | rebuild | delete [ID ...]
    python -m bench.crash_parts read DATA

Real documents, a tiny embedder of hashed words, and the index that the environment's settings name, embedded or on a
server. Knows no trial.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from ingest import rebuilding, run, writing
from ingest.corpus import open_corpus
from ingest.opening import open_target
from ingest.removal import remove
from ingest.target import Target
from rag.build import open_index
from rag.catalog import Catalog
from rag.errors import RagError
from rag.open_domains import OpenDomain, OpenDomains
from rag.protocols import Index
from rag.settings import Settings, load
from rag.types import Filter, RetrievalMode
from tests.fakes.embedder import HashedWords

DOMAIN = "plant"
EMBEDDER = HashedWords(dimensions=32)
GROUP_CHUNKS = 16
"""So that a run over a hundred chunks commits several times."""

ALL = 5000
"""More chunks than there are: a search by vectors alone then finds every one."""

Seen = tuple[str, int, str]
"""Document, offset and text of a chunk."""


def settings_of(data: Path, variables: Mapping[str, str] = os.environ) -> Settings:
    """What commands run with: the index is where the variables say; superseded generations go early."""
    return load({**variables, "UNDERSTUDY_DATA__DIRECTORY": str(data), "UNDERSTUDY_DATA__GENERATIONS": "1"})


def opened(settings: Settings, *, afresh: bool = False) -> Target:
    """The domain, open for writing; superseded generations are removed as in service."""
    return open_target(settings, DOMAIN, EMBEDDER, create=not afresh, afresh=afresh)


def change(data: Path, source: Path, operation: str, ids: list[str]) -> int:
    """One command, as the command line runs it; 2 where it is refused."""
    writing.GROUP_CHUNKS = GROUP_CHUNKS
    print("ready", flush=True)
    try:
        with closing(opened(settings_of(data), afresh=operation == "rebuild")) as target:
            if operation == "apply":
                run.apply(open_corpus(source), target, prune=True)
            elif operation == "rebuild":
                rebuilding.rebuild(target)
            else:
                remove(target, ids)
    except RagError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print("done", flush=True)
    return 0


def everything(index: Index) -> list[Seen]:
    """Every chunk that a question can find."""
    found = index.search(
        vector=EMBEDDER.embed(["valve"])[0], text="", limit=ALL, mode=RetrievalMode.DENSE, filter=Filter()
    )
    return [(passage.document_id, passage.start, passage.text) for passage in found]


def digest(seen: Iterable[Seen]) -> str:
    """The same for the same chunks, in whatever order."""
    return hashlib.sha256(json.dumps(sorted(seen)).encode()).hexdigest()[:16]


class Asker:
    """The process that asks, as another sees it."""

    def __init__(self, data: Path, variables: Mapping[str, str]) -> None:
        self._data, self._variables, self.died = data, variables, 0
        self._child = self._start()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench.crash_parts", "read", str(self._data)]
        environment = {**os.environ, **self._variables}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def tell(self, command: str) -> tuple[int, list[str], list[str]] | None:
        """Questions asked, states seen, errors; None where the process died, which is started again."""
        assert self._child.stdin is not None  # noqa: S101  # both are pipes
        assert self._child.stdout is not None  # noqa: S101  # as the line above
        try:
            self._child.stdin.write(f"{command}\n")
            self._child.stdin.flush()
            questions, seen, errors = json.loads(self._child.stdout.readline())
        except (BrokenPipeError, ValueError):
            self.close()
            self.died = self._child.returncode
            self._child = self._start()
            return None
        return questions, seen, errors

    def close(self) -> None:
        """End the process."""
        assert self._child.stdin is not None  # noqa: S101  # it is a pipe
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()


class Reader:
    """Asks again and again, as a service does, and remembers each state of the domain that it saw."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._going, self._asked, self._ended = threading.Event(), threading.Semaphore(0), threading.Event()
        self._ended.set()
        self.questions = 0
        self.seen: list[str] = []
        self.errors: list[str] = []

    def go(self) -> None:
        """Begin to ask."""
        self.questions, self.seen, self.errors = 0, [], []
        self._ended.clear()
        self._going.set()
        threading.Thread(target=self._ask, daemon=True).start()

    def mark(self) -> None:
        """Return when a question that was asked after this call is answered."""
        while self._asked.acquire(blocking=False):
            pass
        for _ in range(2):  # the first may have been on its way
            self._asked.acquire()

    def release(self) -> None:
        """Close everything, so that another may open it."""
        self._going.clear()
        self._ended.wait()

    def _ask(self) -> None:
        try:
            self._ask_on()
        except BaseException:  # noqa: BLE001  # the engine's panics are none of Exception's, and this is the end
            traceback.print_exc()
            os._exit(3)

    def _ask_on(self) -> None:
        settings = settings_of(self._data)
        domains = OpenDomains(Catalog(self._data), EMBEDDER, partial(open_index, settings, create=False))
        while self._going.is_set():
            try:
                state = self._state(domains.get(DOMAIN))
                if not self.seen or self.seen[-1] != state:
                    self.seen.append(state)
            except RagError as error:
                if (said := f"{type(error).__name__}: {error}") not in self.errors:
                    self.errors.append(said)
            self.questions += 1
            self._asked.release()
        domains.close()
        self._ended.set()

    @staticmethod
    def _state(domain: OpenDomain) -> str:
        found = everything(domain.index)
        if {name for name, _ in domain.documents.titles()} != {name for name, _, _ in found}:
            return "index and documents differ"
        return digest(found)


def read(data: Path) -> int:
    """Take commands by line: go, mark, release; each is answered by a line."""
    reader = Reader(data)
    for line in sys.stdin:
        getattr(reader, line.strip())()
        print(json.dumps([reader.questions, reader.seen, reader.errors]), flush=True)
    return 0


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    raise SystemExit(read(Path(folder)) if what == "read" else change(Path(folder), Path(rest[0]), rest[1], rest[2:]))
