"""Whose turn it is: some workers, callers in turns, a bounded number waiting. Knows no HTTP and no key.

The pipeline blocks, so it runs in the workers' threads; what it yields crosses to the event loop piece by piece. Each
caller's own questions are answered in order of arrival; among callers the one that has the fewest in work is next.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

from api.promises import Promises
from rag.errors import Cancelled, ModelBusy, RagError, TooManyRequests
from rag.service_rate import ServiceRate

T = TypeVar("T")

FIRST_GUESS_SECONDS = 1.0
"""Service time assumed until one was measured: about that of the packaged model on two cores."""

Work = Callable[[Callable[[], bool]], Iterator[T]]
"""What a ticket asks for: called with `cancelled`, yields results until it ends or raises."""


class Results(Generic[T]):
    """The reading end of an answer; iterate `events` on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._cancelled = threading.Event()
        self.submitted = time.monotonic()
        self.started: float | None = None
        """When its work began, on the same clock; None before."""
        self.observe: Callable[[T | Exception | None], None] = lambda _: None
        """Told of everything that arrives, on the event loop: results, what was raised, None for the end."""

    @property
    def waited_seconds(self) -> float | None:
        """From its submission until its work began, 0 where it was in work already; None before."""
        return None if self.started is None else max(0.0, self.started - self.submitted)

    def cancel(self, error: RagError | None = None) -> None:
        """The results are not wanted any more: iterating ends at once with `error`, Cancelled where none is given.

        Safe to call at any time, from any thread.
        """
        self._cancelled.set()
        self.put(error or Cancelled("the caller went away"))

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    async def next(self) -> T | None:
        """The next result, None at the end. Raises what the work raised, and what `cancel` was given."""
        result = await self._arrived.get()
        if isinstance(result, Exception):
            raise result
        return result

    async def events(self) -> AsyncIterator[T]:
        """Results in order. Raises as `next` does."""
        while (result := await self.next()) is not None:
            yield result

    def put(self, result: T | Exception | None) -> None:
        """Add a result, what was raised, or None for the end; from any thread."""
        # A loop that is closed has nobody left to read.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.arrive, result)

    def arrive(self, result: T | Exception | None) -> None:
        """The same, on the event loop."""
        self.observe(result)
        self._arrived.put_nowait(result)


class Ticket(Results[T]):
    """A place in the queue, and the results of its work."""

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop, *, caller: str) -> None:
        super().__init__(loop)
        self._work = work
        self.caller = caller

    def run(self) -> bool:
        """Do the work, and say whether it came to its end; called by a worker's thread only."""
        self.started = time.monotonic()
        try:
            for result in self._work(self.cancelled):
                if self.cancelled():
                    return False
                self.put(result)
            self.put(None)
        except Exception as error:  # noqa: BLE001  # handed to the request that waits for it
            self.put(error)
            return False
        return True


class FairQueue:
    """Worker threads and who waits for them; `submit` on the event loop, `close` once."""

    def __init__(
        self,
        *,
        max_waiting: int,
        workers: int = 1,
        max_waiting_each: int | None = None,
        kind: str = "questions",
        guess: float = FIRST_GUESS_SECONDS,
    ) -> None:
        """At most `max_waiting` tickets wait beside those that are served, `max_waiting_each` of any one caller.

        Where several callers are here, each may have its share of the places: who had more would wait with the last of
        them for as many rounds of everybody's turns. Where there are more callers than places, they have them in turns.
        kind: what waits, in a refusal; guess: seconds that one takes, until one was finished
        """
        self._max_waiting, self._max_each = max_waiting, max_waiting_each
        self._kind = kind
        self._waiting: dict[str, deque[Ticket[object]]] = {}
        self._served: Counter[str] = Counter()
        """how many of each caller's are in work"""
        self._turn = 0
        self._turns: dict[str, int] = {}
        """when each caller's last turn was, as long as there is work"""
        self._promises = Promises()
        self._closing = False
        self._rate = ServiceRate(guess)
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._serve, name=f"{kind}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work[T], *, caller: str = "", seconds: float = math.inf) -> Ticket[T]:
        """A place in the queue; seconds: the longest that its end can be waited for.

        Raises ModelBusy when all places are taken, it closes, or the turn would come too late; TooManyRequests for one
        caller.
        """
        ticket = Ticket(work, asyncio.get_running_loop(), caller=caller)
        with self._changed:
            # Whoever left gives the place to the next one at once, not when its turn would have come.
            for name in list(self._waiting):
                self._keep(name, deque(item for item in self._waiting[name] if not item.cancelled()))
            here = self._here()
            if self._closing:
                raise ModelBusy("the server is stopping; ask again in a moment", retry_after=self._rate.seconds)
            own = len(self._waiting.get(caller, ()))
            missing = self._missing(caller, here)
            if missing > 0:
                wait = self._rate.wait(missing)
                if caller and not own:
                    self._promises.make(caller, wait)
                raise ModelBusy(
                    f"{here - self._served.total()} {self._kind} wait already, which with those that are promised a "
                    f"place is all that may: try again in {max(1, round(wait))} s",
                    retry_after=wait,
                )
            if caller and own >= self._share(caller):
                wait = self._rate.wait(own)
                raise TooManyRequests(
                    f"{own} {self._kind} of this key wait already, which is its share: try again in "
                    f"{max(1, round(wait))} s",
                    retry_after=wait,
                )
            wait = self._rate.wait(self._ahead(caller))
            if wait > seconds:
                raise ModelBusy(
                    f"at the present pace its turn comes in {round(wait)} s, after the {seconds:g} s that it may take: "
                    "try again later",
                    retry_after=wait - seconds,
                )
            self._promises.keep(caller)
            self._waiting.setdefault(caller, deque()).append(ticket)  # type: ignore[arg-type]  # a worker never looks at results
            self._changed.notify()
        return ticket

    def expected_wait(self) -> float:
        """Seconds until all that are here now are served, as long as the latest ones took."""
        with self._changed:
            return self._rate.wait(self._here())

    async def run(self, work: Callable[[], T], *, caller: str = "") -> T:
        """What `work` returns or raises, in its turn; see submit. Whoever stops waiting gives the place back."""
        # In a tuple, since None is a ticket's end and may be what `work` returns.
        ticket = self.submit(lambda _: iter([(work(),)]), caller=caller)
        try:
            found = await ticket.next()
        finally:
            ticket.cancel()
        assert found is not None  # noqa: S101  # the end comes after the one result
        return found[0]

    def waiting(self) -> int:
        """Tickets that wait and are still wanted."""
        with self._changed:
            return sum(not ticket.cancelled() for tickets in self._waiting.values() for ticket in tickets)

    async def close(self) -> None:
        """Serve who waits, then end the workers; new tickets are refused from now on."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                ticket = self._next()
                if ticket.cancelled():
                    continue
                self._served[ticket.caller] += 1
                self._rate.begin()
            finished = ticket.run()
            with self._changed:
                self._served[ticket.caller] -= 1
                self._served += Counter()  # drops callers with none
                if not self._served and not self._waiting:
                    self._turns.clear()
                # A refusal or a caller who left says nothing about how long an answer takes.
                self._rate.end(finished=finished)

    def _next(self) -> Ticket[object]:
        """The oldest ticket of the caller with the fewest in work; among such callers, of whose turn is longest ago."""

        def turn(name: str) -> tuple[int, int, float]:
            return self._served[name], self._turns.get(name, 0), self._waiting[name][0].submitted

        caller = min(self._waiting, key=turn)
        self._turn += 1
        self._turns[caller] = self._turn
        tickets = self._waiting[caller]
        ticket = tickets.popleft()
        self._keep(caller, tickets)
        return ticket

    def _here(self) -> int:
        """How many wait or are served."""
        return sum(map(len, self._waiting.values())) + self._served.total()

    def _missing(self, caller: str, here: int) -> int:
        """How many must be served before this caller finds a place; 0 or less where there is one."""
        # One place more than may wait: whoever comes when a worker is free does not wait.
        free = self._max_waiting + len(self._threads) - here
        if not caller:  # nobody can tell who of them was here before
            return here if free <= 0 else 0
        # No promise keeps the workers idle: those it was made to may never come back.
        return 1 - free + (self._promises.before(caller) if self._waiting else 0)

    def _share(self, caller: str) -> int:
        """How many of this caller's may wait now."""
        callers = {caller, *self._waiting, *self._served, *self._promises.callers()}
        share = max(1, self._max_waiting // len(callers))
        return share if self._max_each is None else min(share, self._max_each)

    def _ahead(self, caller: str) -> int:
        """How many are served before what this caller asks now: its own, and as many of each other's turns."""
        own = len(self._waiting.get(caller, ()))
        others = (min(len(tickets), own + 1) for name, tickets in self._waiting.items() if name != caller)
        return self._served.total() + own + sum(others)

    def _keep(self, caller: str, tickets: deque[Ticket[object]]) -> None:
        if tickets:
            self._waiting[caller] = tickets
        else:
            del self._waiting[caller]
