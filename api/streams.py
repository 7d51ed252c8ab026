"""A ticket's events as server-sent events to one caller, who may leave at any moment. Knows no pipeline.

The whole answer is sent here, rather than by an iterator that a framework may never start, so that whoever
leaves gives the worker back whenever that is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from litestar.types import ASGIApp, Receive, Scope, Send

from api import wire
from api.logs import note_problem, request_id
from api.problems import Problem, describe
from api.queue import Results
from rag.types import Event

HEARTBEAT_SECONDS = 10.0
"""Well under the 30 to 60 s after which common proxies close a quiet connection."""

UNBUFFERED = [(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
"""What keeps proxies from holding a stream back."""

HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), *UNBUFFERED]


class Wording(Protocol):
    """How events are written on the wire; nothing is sent for an empty text."""

    def event(self, event: Event) -> bytes:
        """What is sent for an event."""
        ...

    def failure(self, problem: Problem) -> bytes:
        """What is sent where the answer fails midway, as the last of it."""
        ...


class NumberedEvents:
    """Each event under its own name, numbered from 1."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, event: Event) -> bytes:
        """The event itself."""
        self._number += 1
        return wire.to_event(event.type, self._number, event)

    def failure(self, problem: Problem) -> bytes:
        """An event `error`."""
        return wire.to_event("error", self._number + 1, problem)


async def gone(receive: Receive) -> None:
    """Return when the caller has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(work: Awaitable[Any], receive: Receive, leave: Callable[[], None]) -> Any:
    """The result of `work`; `leave` is called as soon as the caller has left, and at the end in any case."""
    watch = asyncio.create_task(gone(receive))
    watch.add_done_callback(lambda _: leave())
    try:
        return await work
    finally:
        leave()
        watch.cancel()


async def begin(
    ticket: Results[Event], receive: Receive, *, wording: Wording | None = None, heartbeat: float = HEARTBEAT_SECONDS
) -> ASGIApp:
    """Wait for the first event, and give the response that sends it and all that follow.

    Raises what the ticket raises before its first event, so that it is told as a plain problem.
    """
    spoken = wording or NumberedEvents()
    events = ticket.events()
    watch = asyncio.create_task(gone(receive))
    watch.add_done_callback(lambda _: ticket.cancel())
    try:
        first = await anext(events)
    except BaseException:
        ticket.cancel()
        watch.cancel()
        raise

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # `watch` receives
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            async for chunk in _chunks(first, events, spoken, scope, heartbeat):
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            ticket.cancel()
            watch.cancel()

    return respond


async def _chunks(
    first: Event, events: AsyncIterator[Event], spoken: Wording, scope: Scope, heartbeat: float
) -> AsyncIterator[bytes]:
    """Events as they come, a heartbeat where none comes for a while, and the problem if it fails midway."""
    yield spoken.event(first)
    upcoming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait([upcoming], timeout=heartbeat)
            if not done:
                yield wire.HEARTBEAT
                continue
            event = upcoming.result()
            if event is None:
                return
            yield spoken.event(event)
            upcoming = asyncio.ensure_future(anext(events, None))
    except Exception as error:  # noqa: BLE001  # the status is sent already: the problem comes as the last event
        problem = describe(error, identity=request_id(scope))
        note_problem(scope, problem.code)
        yield spoken.failure(problem)
    finally:
        upcoming.cancel()
