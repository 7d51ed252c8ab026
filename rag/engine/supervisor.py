"""Keeps the generator process alive and hands it requests, as many as it may hold; the process schedules them.

What its death means: an error for whoever was told words already, another try in the next process for all others, a
restart for the service. Knows no chat template; speaks rag.engine.wire.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from rag.engine.environment import child_environment
from rag.engine.wire import Frame, read_frame, write_frame
from rag.errors import Cancelled, EngineDied, InvalidQuestion, ModelBusy, ModelTimeout, ModelUnavailable
from rag.service_rate import ServiceRate

LOAD_SECONDS = 120.0
"""Longest wait for a model to load; a 135M model takes a tenth of a second, a 7B one from a slow disk a minute."""

POLL_SECONDS = 0.02
"""How often a waiting caller looks whether it was cancelled."""

MAX_QUICK_DEATHS = 3
"""Processes that may die in a row without finishing a request before the model counts as unusable."""

TRIES = 2
"""Processes that a request may see die before it is refused: it may be what kills them."""

OBEY_SECONDS = 60.0
"""Longest wait for a cancelled request to be let go; a process that does not obey hangs, and is ended."""

LAST = frozenset({"finished", "scored", "extracted", "cancelled", "failed"})
"""Frames after which nothing more is told of a request."""


class Child:
    """One generator process and the requests that are with it."""

    def __init__(self, load: Frame) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rag.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=child_environment(),
            start_new_session=True,  # Ctrl-C goes to the service, which drains; its end is the child's end of input
        )
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._inboxes: dict[int, queue.SimpleQueue[Frame | None]] = {0: queue.SimpleQueue()}
        self._leaving: dict[int, float] = {}
        self._dead = False
        self._words = ""
        self._reader = threading.Thread(target=self._read, name="engine-replies", daemon=True)
        self._reader.start()
        self.send(load)

    @property
    def alive(self) -> bool:
        """Whether the process still answers."""
        return not self._dead

    def inbox(self, number: int) -> queue.SimpleQueue[Frame | None]:
        """Where the replies to a request arrive; None is put there when the process has died."""
        with self._lock:
            box: queue.SimpleQueue[Frame | None] = self._inboxes.setdefault(number, queue.SimpleQueue())
            if self._dead:
                box.put(None)
            return box

    def forget(self, number: int) -> None:
        """No more replies to this request are wanted."""
        with self._lock:
            self._inboxes.pop(number, None)

    def give_up(self, number: int) -> None:
        """Cancel a request without waiting for it; a process that does not let go of an earlier one is ended."""
        now = time.monotonic()
        with self._lock:
            self._inboxes.pop(number, None)
            self._leaving[number] = now
            hangs = now - min(self._leaving.values()) > OBEY_SECONDS
        self.send({"id": number, "type": "cancel"})
        if hangs:
            self.process.kill()

    def send(self, frame: Frame) -> None:
        """Send a request; a dead process is told of by its inbox."""
        # A lock of its own: a process that is busy replying reads no more, and its replies need the other one.
        with self._writing, contextlib.suppress(OSError, ValueError):
            assert self.process.stdin is not None  # noqa: S101  # given PIPE above
            write_frame(self.process.stdin, frame)  # type: ignore[arg-type]  # IO[bytes] is a BinaryIO here

    def last_words(self) -> str:
        """The end of what the process wrote to standard error, and how it ended."""
        if self._errors.closed:
            return self._words
        code = self.process.poll()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        lines = [line for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        self._words = f"{how}; {lines[-1].strip()}" if lines else how
        return self._words

    def stop(self) -> None:
        """End the process and wait for it."""
        with self._writing, contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._reader is not threading.current_thread():
            self._reader.join()
        self.last_words()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101  # given PIPE above
        with contextlib.suppress(OSError, ValueError):
            while (frame := read_frame(self.process.stdout)) is not None:  # type: ignore[arg-type]  # as above
                with self._lock:
                    box = self._inboxes.get(frame["id"])
                    if frame["type"] in LAST:
                        self._leaving.pop(frame["id"], None)
                if box is not None:
                    box.put(frame)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        with self._lock:
            self._dead = True
            boxes = list(self._inboxes.values())
        for box in boxes:
            box.put(None)


class Supervisor:
    """A generator process that is there when it is needed. Thread-safe."""

    def __init__(self, load: Frame, *, max_waiting: int) -> None:
        """load: the fields of the wire's `load` frame; max_waiting: requests that may wait beside those worked on.

        The process starts at once, in the background; `wait_ready` or the first request waits for it.
        """
        self._load = {**load, "id": 0, "type": "load"}
        self._room = max_waiting + load.get("parallel", 1)
        self._numbers = itertools.count(1)
        self._inside = 0
        self._rate = ServiceRate(1.0)
        self._counting = threading.Lock()
        self._child_lock = threading.Lock()
        self._child: Child | None = None
        self._ready: Frame | None = None
        self._quick_deaths = 0
        self._closed = False
        self.restarts = 0
        self._spawn()

    # --- the process ---

    @property
    def alive(self) -> bool:
        """Whether a generator process is up now."""
        child = self._child
        return child is not None and child.alive

    @property
    def process_id(self) -> int | None:
        """The process's id, or None between two processes."""
        child = self._child
        return child.process.pid if child is not None and child.alive else None

    def wait_ready(self, timeout: float = LOAD_SECONDS) -> Frame:
        """The `ready` frame of the current process, started again where it died. Raises ModelUnavailable."""
        with self._child_lock:
            return self._ready_child(time.monotonic() + timeout)[1]

    def _spawn(self) -> Child:
        self._ready = None
        self._child = Child(self._load)
        return self._child

    def _ready_child(self, deadline: float) -> tuple[Child, Frame]:
        while True:
            if self._closed:
                raise Cancelled("the model was closed")
            child = self._child
            if child is None or not child.alive:
                if child is not None:
                    self._bury(child)
                child = self._spawn()
                self.restarts += 1
            if self._ready is not None:
                return child, self._ready
            try:
                frame = child.inbox(0).get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                child.stop()
                raise ModelUnavailable(
                    f"loading {self._load['path']} took longer than {LOAD_SECONDS:.0f} s: try a smaller model"
                ) from None
            if frame is None:
                continue
            if frame["type"] == "failed":
                self._child = None
                child.stop()
                raise ModelUnavailable(
                    f"llama.cpp cannot load {self._load['path']}: {frame['message']}; "
                    "`understudy models verify` checks the file, another model is UNDERSTUDY_MODEL__NAME"
                )
            self._ready = frame
            return child, frame

    def _bury(self, child: Child) -> None:
        words = child.last_words()
        child.stop()
        self._quick_deaths += 1
        if self._quick_deaths > MAX_QUICK_DEATHS:
            self._quick_deaths = 0
            self._child = None
            raise ModelUnavailable(
                f"the generator process died {MAX_QUICK_DEATHS + 1} times in a row ({words}): "
                "check memory (a smaller model or UNDERSTUDY_MODEL__CONTEXT_TOKENS) and the model file"
            )

    def close(self) -> None:
        """Stop the process; requests that wait get Cancelled."""
        self._closed = True
        with self._child_lock:
            if self._child is not None:
                self._child.stop()
                self._child = None

    # --- requests ---

    def count(self, texts: list[list[list[object]]]) -> tuple[list[int], int]:
        """Token counts of lists of [text, special] segments, and how many begin-of-text tokens come on top."""
        for _ in range(MAX_QUICK_DEATHS):
            with self._child_lock:
                child, _ready = self._ready_child(time.monotonic() + LOAD_SECONDS)
            number = next(self._numbers)
            box = child.inbox(number)
            child.send({"id": number, "type": "count", "texts": texts})
            frame = box.get()
            child.forget(number)
            if frame is not None:
                return list(frame["counts"]), int(frame["bos"])
        raise EngineDied("the generator process died while it counted tokens; ask again")

    def generate(
        self, request: Frame, *, timeout: float, cancelled: Callable[[], bool] | None = None
    ) -> Iterator[Frame]:
        """Run one generation: yields `piece` frames, then the `finished` frame.

        request: prefix, rest, max_tokens, temperature, seed, stop. Waits for its turn first.
        Raises ModelBusy, ModelTimeout, Cancelled, EngineDied, InvalidQuestion (too long), ModelUnavailable.
        """
        yield from self._work({**request, "type": "generate"}, timeout, cancelled or _never)

    def score(self, request: Frame, *, timeout: float, cancelled: Callable[[], bool] | None = None) -> Frame:
        """Score continuations of one prompt: the `scored` frame.

        request: prefix, rest, continuations (texts, none empty). Waits for its turn and raises as `generate` does.
        """
        (frame,) = self._work({**request, "type": "score"}, timeout, cancelled or _never)
        return frame

    def extract(self, request: Frame, *, timeout: float, cancelled: Callable[[], bool] | None = None) -> Frame:
        """Find the likeliest answers within some texts: the `extracted` frame.

        request: prefix, rest, texts, alternatives, max_tokens. Waits for its turn and raises as `generate` does.
        """
        (frame,) = self._work({**request, "type": "extract"}, timeout, cancelled or _never)
        return frame

    def statistics(self) -> dict[str, int]:
        """Counters and gauges of the process; empty while there is none. Never waits for a model to load."""
        child = self._child
        if child is None or not child.alive or self._ready is None:
            return {}
        number = next(self._numbers)
        box = child.inbox(number)
        child.send({"id": number, "type": "statistics"})
        try:
            frame = box.get(timeout=1.0)
        except queue.Empty:
            frame = None
        child.forget(number)
        return dict(frame["counts"]) if frame is not None else {}

    def _work(self, request: Frame, timeout: float, cancelled: Callable[[], bool]) -> Iterator[Frame]:
        deadline = time.monotonic() + timeout
        with self._counting:
            if self._inside >= self._room:
                wait = max(1.0, self._rate.wait(self._inside))
                raise ModelBusy(f"{self._inside} requests are with the model already", retry_after=wait)
            self._inside += 1
            self._rate.begin()
        finished = False
        try:
            self._check(deadline, cancelled)
            yield from self._run(request, deadline, cancelled)
            finished = True
            self._quick_deaths = 0
        finally:
            with self._counting:
                self._inside -= 1
                self._rate.end(finished=finished)

    def _run(self, request: Frame, deadline: float, cancelled: Callable[[], bool]) -> Iterator[Frame]:
        words = ""
        for _ in range(TRIES):
            with self._child_lock:
                child, _ready = self._ready_child(min(deadline, time.monotonic() + LOAD_SECONDS))
            number = next(self._numbers)
            box = child.inbox(number)
            told = over = False
            try:
                child.send({**request, "id": number})
                while True:
                    try:
                        frame = box.get(timeout=POLL_SECONDS)
                    except queue.Empty:
                        self._check(deadline, cancelled)
                        continue
                    if frame is None:
                        over = True
                        break
                    match frame["type"]:
                        case "piece":
                            told = True
                            yield frame
                            self._check(deadline, cancelled)
                        case "finished" | "scored" | "extracted":
                            over = True
                            yield frame
                            return
                        case "failed":
                            over = True
                            raise InvalidQuestion(f"{frame['message']}: ask something shorter")
            finally:
                if over:
                    child.forget(number)
                else:
                    child.give_up(number)
            words = self._restart(child)
            if told:
                raise EngineDied(f"the generator process died during this answer ({words}); ask again")
        raise EngineDied(f"the generator process died twice while it held this request ({words}); ask something else")

    def _restart(self, child: Child) -> str:
        """Replace a dead process, unless another request did; how it ended."""
        with self._child_lock:
            words = child.last_words()
            if self._child is child and not self._closed:
                self._bury(child)
                self._spawn()
                self.restarts += 1
        return words

    def _check(self, deadline: float, cancelled: Callable[[], bool]) -> None:
        if self._closed or cancelled():
            raise Cancelled("the request was cancelled")
        if time.monotonic() > deadline:
            raise ModelTimeout(
                "the answer was not finished within its deadline: ask for a shorter one, or try again later"
            )


def _never() -> bool:
    return False
