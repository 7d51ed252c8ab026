"""One question that many ask at once is answered once, and the answer is kept for a while where a setting says so.

A flight is an answer on its way: the first who asks starts it, whoever asks the same meanwhile hears all of it from the
beginning, and it is given up when nobody is left. Who may ask what was decided before. Knows no HTTP and no pipeline.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from api.queue import Results, Ticket
from rag.errors import ModelTimeout, RagError
from rag.types import DoneEvent, Event, Question

Heard = Event | Exception | None
"""What arrives: an event, what was raised, None for the end."""


class Follower(Results[Event]):
    """One listener of a flight, who may leave at any moment and waits no longer than a deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, seconds: float, wait: Callable[[], float]) -> None:
        """seconds: until its deadline; wait: told at the deadline, seconds after which another try makes sense"""
        super().__init__(loop)
        self.left: Callable[[], None] = lambda: None
        """called on the event loop when this listener goes before the end"""
        self._seconds, self._wait = seconds, wait
        self._deadline = loop.call_later(seconds, self._late)
        self._over = False

    def _late(self) -> None:
        said = f"there was no answer within {self._seconds:g} s, waiting included: try again later"
        self.cancel(ModelTimeout(said, retry_after=self._wait()))

    def cancel(self, error: RagError | None = None) -> None:
        """See Results; the flight is told."""
        super().cancel(error)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.left)

    def arrive(self, result: Heard) -> None:
        """See Results; nothing arrives after the end."""
        if self._over:
            return
        self._over = result is None or isinstance(result, Exception)
        if self._over:
            self._deadline.cancel()
        super().arrive(result)


class _Flight:
    def __init__(self, ticket: Ticket[Event], state: str) -> None:
        self.ticket = ticket
        self.state = state
        self.heard: list[Heard] = []
        self.followers: list[Follower] = []

    def whole(self) -> bool:
        """Whether the answer is there, though its end may be still to come."""
        return any(isinstance(event, DoneEvent) for event in self.heard)


class Flights:
    """The answers on their way, and the latest that are kept. Everything is called on the event loop."""

    def __init__(self, *, kept: int, wait: Callable[[], float]) -> None:
        """kept: answers that are kept at the most, the least recently asked ones going first; 0 keeps none.

        wait: seconds until all that are in work or waiting now are answered
        """
        self._most, self._wait = kept, wait
        self._flying: dict[Question, _Flight] = {}
        self._kept: OrderedDict[Question, tuple[str, list[Heard]]] = OrderedDict()
        """answers, and what they rested on"""
        self.joined = self.replayed = 0
        """answers that were heard along, and that came from those kept"""

    def ask(
        self,
        question: Question,
        start: Callable[[], Ticket[Event]],
        *,
        seconds: float,
        watch: Callable[[Follower], None],
        state: Callable[[], str],
    ) -> Follower:
        """The events of an answer; `start` puts it in the queue where it is not on its way, and may refuse.

        seconds: longest wait for its end; watch: told of the listener before anything arrives; state: what an answer
        rests on beside its question, asked where answers are kept: one that rested on another is not given again
        """
        loop = asyncio.get_running_loop()
        # Read before the work begins: what changes meanwhile makes an answer that is never given again.
        now = _told(state) if self._most else ""
        if heard := self._still_true(question, now):
            self.replayed += 1
            follower = Follower(loop, seconds=seconds, wait=self._wait)
            follower.started = follower.submitted
            watch(follower)
            for result in heard:
                follower.arrive(result)
            return follower
        flight = self._flying.get(question)
        if flight is None:
            flight = self._flying[question] = _Flight(start(), now)
            flight.ticket.observe = lambda result: self._arrived(question, flight, result)
        else:
            self.joined += 1
        follower = Follower(loop, seconds=seconds, wait=self._wait)
        watch(follower)
        follower.left = lambda: self._leave(question, flight, follower)
        flight.followers.append(follower)
        follower.started = flight.ticket.started
        for result in flight.heard:
            follower.arrive(result)
        return follower

    def _arrived(self, question: Question, flight: _Flight, result: Heard) -> None:
        flight.heard.append(result)
        over = result is None or isinstance(result, Exception)
        if over and self._flying.get(question) is flight:
            del self._flying[question]
        if result is None and flight.whole() and flight.state:
            self._kept[question] = (flight.state, flight.heard)
            self._kept.move_to_end(question)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        for follower in list(flight.followers):
            follower.started = flight.ticket.started
            follower.arrive(result)

    def _leave(self, question: Question, flight: _Flight, follower: Follower) -> None:
        if follower in flight.followers:
            flight.followers.remove(follower)
        # Whoever has the whole answer leaves before its end has arrived: that gives up nothing.
        if not flight.followers and self._flying.get(question) is flight and not flight.whole():
            del self._flying[question]
            flight.ticket.cancel()

    def _still_true(self, question: Question, now: str) -> list[Heard]:
        known = self._kept.get(question)
        if known is None:
            return []
        if known[0] != now:
            del self._kept[question]
            return []
        self._kept.move_to_end(question)
        return known[1]


def _told(state: Callable[[], str]) -> str:
    """What there is to rest on; nothing where that cannot be told, and then no answer is kept."""
    try:
        return state()
    except RagError:
        return ""
