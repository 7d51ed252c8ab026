"""Reads files in a process of its own, with limits of time and memory: whatever a parser does, this one goes on.

Parsers of office formats run for seconds and hold the interpreter's lock meanwhile, which a server that answers cannot
have; a damaged file can make them hang, crash or eat all memory. Knows no corpus.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from ingest.readers import Extracted, Reader
from ingest.rows import BadRow, Mapping, Row
from rag.errors import UnreadableDocument
from rag.page_boxes import PlacedText

START_SECONDS = 30.0
"""Granted to the first file on top: the process imports its parsers."""


class ReadingProcess:
    """Started at the first file, ended by `close`, started anew after a file that it did not survive."""

    def __init__(self, *, seconds: float, megabytes: int) -> None:
        """The limits of one file."""
        self._seconds, self._megabytes = seconds, megabytes
        self._child: subprocess.Popen[bytes] | None = None
        self._fresh = True

    def read(self, _: Reader, path: Path) -> Extracted:
        """The text of a file. Raises UnreadableDocument with a plain reason."""
        answer = self._answer({"path": str(path)})
        answer["layout"] = tuple(PlacedText(*item) for item in answer["layout"])
        return Extracted(**answer)

    def rows(self, path: Path, name: str, mapping: Mapping | None) -> Generator[Row | BadRow, None, None]:
        """The rows of a file as they are read; some wait in the pipe, and no other file may be read meanwhile.

        The time of a file is granted to each row: who takes them may be slow. Raises UnreadableDocument.
        """
        question: dict[str, Any] | None = {
            "path": str(path),
            "name": name,
            "mapping": asdict(mapping) if mapping else None,
        }
        whole = False
        try:
            while not whole:
                answer = self._answer(question)
                question, whole = None, "end" in answer
                if "reason" in answer:
                    yield BadRow(**answer)
                elif not whole:
                    yield Row(**answer)
        except UnreadableDocument:
            whole = True
            raise
        finally:
            if not whole:  # rows that nobody took would be given as the next file's
                self._kill()

    def close(self) -> None:
        """End the process; a second call does nothing. Who is let go without it ends it too."""
        self._kill()

    def _answer(self, question: dict[str, Any] | None) -> dict[str, Any]:
        """The next line that the process says, after this question where there is one."""
        child, lines = self._started()
        assert child.stdin is not None  # noqa: S101  # it is a pipe
        try:
            if question is not None:
                child.stdin.write(json.dumps(question).encode() + b"\n")
                child.stdin.flush()
            line = lines.next(self._seconds + (START_SECONDS if self._fresh else 0))
        except TimeoutError:
            self._kill()
            raise UnreadableDocument(f"its reader took longer than {self._seconds:g} s") from None
        except (BrokenPipeError, EOFError):
            self._kill()
            raise UnreadableDocument(
                f"its reader crashed: the file is damaged, or needs more than {self._megabytes:,} MB to be read"
            ) from None
        self._fresh = False
        answer: dict[str, Any] = json.loads(line)
        if "unreadable" in answer:
            raise UnreadableDocument(answer["unreadable"])
        return answer

    def _started(self) -> tuple[subprocess.Popen[bytes], _Lines]:
        if self._child is None:
            self._fresh = True
            self._child = subprocess.Popen(  # nothing of it comes from a caller
                [sys.executable, "-m", "ingest.worker", str(self._megabytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._ended = weakref.finalize(self, _end, self._child)
            assert self._child.stdout is not None  # noqa: S101  # it is a pipe
            self._lines = _Lines(self._child.stdout)
        return self._child, self._lines

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self._ended.detach()
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.communicate()


class _Lines:
    """The lines of a pipe, waited for."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)
        self._whole: deque[bytes] = deque()
        self._begun = bytearray()

    def next(self, seconds: float) -> bytes:
        """The next line. Raises TimeoutError when it is not whole in time, EOFError when the pipe ends."""
        deadline = time.monotonic() + seconds
        while not self._whole:
            if not self._poll.poll(1000 * max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            piece = os.read(self._pipe.fileno(), 1 << 20)
            if not piece:
                raise EOFError
            first, *others = piece.split(b"\n")
            self._begun += first
            for other in others:
                self._whole.append(bytes(self._begun))
                self._begun = bytearray(other)
        return self._whole.popleft()
