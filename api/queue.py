"""Who is answered when: one worker, first come first served, a bounded number waiting. Knows no HTTP.

The pipeline blocks, so it runs in the worker's thread; what it yields crosses to the event loop piece by piece.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

from rag.errors import Cancelled, ModelBusy, RagError

T = TypeVar("T")

FIRST_GUESS_SECONDS = 1.0
"""Service time assumed until one was measured: about that of the packaged model on two cores."""

SMOOTHING = 0.3
"""Weight of the newest service time in the running mean: the last five or so decide."""

Work = Callable[[Callable[[], bool]], Iterator[T]]
"""What a ticket asks for: called with `cancelled`, yields results until it ends or raises."""


class Ticket(Generic[T]):
    """A place in the queue; iterate `events` on the event loop for the results."""

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self._results: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._cancelled = threading.Event()
        self.submitted = time.monotonic()
        self.waited_seconds: float | None = None
        """From its submission until its work began; None before."""
        self.observe: Callable[[T | Exception | None], None] = lambda _: None
        """Told of everything that arrives, on the event loop: results, what was raised, None for the end."""

    def cancel(self, error: RagError | None = None) -> None:
        """The results are not wanted any more: iterating ends at once with `error`, Cancelled where none is given.

        Safe to call at any time, from any thread.
        """
        self._cancelled.set()
        self._put(error or Cancelled("the caller went away"))

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    async def events(self) -> AsyncIterator[T]:
        """Results in order. Raises what the work raised, and what `cancel` was given."""
        while True:
            result = await self._results.get()
            if result is None:
                return
            if isinstance(result, Exception):
                raise result
            yield result

    def run(self) -> bool:
        """Do the work, and say whether it came to its end; called by the worker's thread only."""
        self.waited_seconds = time.monotonic() - self.submitted
        try:
            for result in self._work(self.cancelled):
                if self.cancelled():
                    return False
                self._put(result)
            self._put(None)
        except Exception as error:  # noqa: BLE001  # handed to the request that waits for it
            self._put(error)
            return False
        return True

    def _put(self, result: T | Exception | None) -> None:
        # A loop that is closed has nobody left to read.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrive, result)

    def _arrive(self, result: T | Exception | None) -> None:
        self.observe(result)
        self._results.put_nowait(result)


class AnswerQueue:
    """One worker thread; `submit` on the event loop, `close` once."""

    def __init__(self, *, max_waiting: int) -> None:
        """At most `max_waiting` tickets wait beside the one that is served."""
        self._max_waiting = max_waiting
        self._waiting: deque[Ticket[object]] = deque()
        self._running = False
        self._closing = False
        self._service_seconds = FIRST_GUESS_SECONDS
        self._measured = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="answers", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Ticket[T]:
        """A place at the end of the queue. Raises ModelBusy when every place is taken or the server stops."""
        ticket = Ticket(work, asyncio.get_running_loop())
        with self._changed:
            # Whoever left gives the place to the next one at once, not when its turn would have come.
            self._waiting = deque(item for item in self._waiting if not item.cancelled())
            ahead = len(self._waiting) + self._running
            if self._closing:
                raise ModelBusy("the server is stopping; ask again in a moment", retry_after=self._service_seconds)
            if ahead > self._max_waiting:
                wait = self.expected_wait(ahead)
                raise ModelBusy(
                    f"{len(self._waiting)} questions wait already, which is all that may: try again in "
                    f"{max(1, round(wait))} s",
                    retry_after=wait,
                )
            self._waiting.append(ticket)  # type: ignore[arg-type]  # the worker never looks at the results
            self._changed.notify()
        return ticket

    def expected_wait(self, ahead: int) -> float:
        """Seconds until `ahead` questions are served, as long as the latest ones took."""
        return self._service_seconds * ahead

    def waiting(self) -> int:
        """Tickets that wait and are still wanted."""
        with self._changed:
            return sum(not ticket.cancelled() for ticket in self._waiting)

    async def close(self) -> None:
        """Serve who waits, then end the worker; new tickets are refused from now on."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._running = False
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                ticket = self._waiting.popleft()
                self._running = True
            if ticket.cancelled():
                continue
            started = time.monotonic()
            # A refusal or a caller who left says nothing about how long an answer takes.
            if ticket.run():
                self._learn(time.monotonic() - started)

    def _learn(self, seconds: float) -> None:
        weight = SMOOTHING if self._measured else 1.0
        self._measured = True
        self._service_seconds += weight * (seconds - self._service_seconds)
