"""Reads files in a process of its own, with limits of time and memory: whatever a parser does, this one goes on.

Parsers of office formats run for seconds and hold the interpreter's lock meanwhile, which a server that answers cannot
have; a damaged file can make them hang, crash or eat all memory. Knows no corpus.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import IO

from ingest.readers import Extracted, Reader
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
        child = self._started()
        assert child.stdin is not None  # noqa: S101  # both are pipes
        assert child.stdout is not None  # noqa: S101  # as the line above
        try:
            child.stdin.write(json.dumps(str(path)).encode() + b"\n")
            child.stdin.flush()
            line = _line(child.stdout, self._seconds + (START_SECONDS if self._fresh else 0))
        except TimeoutError:
            self._kill()
            raise UnreadableDocument(f"its reader took longer than {self._seconds:g} s") from None
        except (BrokenPipeError, EOFError):
            self._kill()
            raise UnreadableDocument(
                f"its reader crashed: the file is damaged, or needs more than {self._megabytes:,} MB to be read"
            ) from None
        self._fresh = False
        answer = json.loads(line)
        if "unreadable" in answer:
            raise UnreadableDocument(answer["unreadable"])
        answer["layout"] = tuple(PlacedText(*item) for item in answer["layout"])
        return Extracted(**answer)

    def close(self) -> None:
        """End the process; a second call does nothing. Who is let go without it ends it too."""
        self._kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._fresh = True
            self._child = subprocess.Popen(  # nothing of it comes from a caller
                [sys.executable, "-m", "ingest.worker", str(self._megabytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._ended = weakref.finalize(self, _end, self._child)
        return self._child

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self._ended.detach()
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.communicate()


def _line(pipe: IO[bytes], seconds: float) -> bytes:
    """The next line. Raises TimeoutError when it is not whole in time, EOFError when the pipe ends."""
    deadline = time.monotonic() + seconds
    line = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            piece = pipe.read1(1 << 20)  # type: ignore[attr-defined]  # a pipe of Popen is buffered
            if not piece:
                raise EOFError
            line += piece
    return bytes(line)
