"""A stream of events to one caller: comments while it is quiet, and nothing kept for a caller who is gone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api import streams
from api.queue import FairQueue
from api.wire import to_event, to_json, to_line
from rag.errors import Cancelled
from rag.types import Event, Message, TokenEvent


async def never() -> Any:
    """Receive from a caller who stays."""
    await asyncio.Event().wait()


def test_a_quiet_stream_is_kept_open_by_comments() -> None:
    quiet = threading.Event()

    def work(cancelled: Callable[[], bool]) -> Iterator[Event]:
        yield TokenEvent(text="a")
        quiet.wait(5)
        yield TokenEvent(text="b")

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body", b"").startswith(b":"):
            quiet.set()

    async def run() -> None:
        queue = FairQueue(max_waiting=1)
        respond = await streams.begin(queue.submit(work), never, heartbeat=0.01)
        scope: Any = {"type": "http", "headers": [], "state": {}}
        await respond(scope, never, send)
        await queue.close()

    asyncio.run(run())
    bodies = [message["body"] for message in sent[1:]]
    assert [body[:1] for body in bodies if not body.startswith(b":")] == [b"i", b"i", b""]
    assert bodies[1].startswith(b": ")
    assert bodies[1].endswith(b"\n\n")
    assert b'id: 2\nevent: token\ndata: {"type":"token","text":"b"}\n\n' in bodies


def test_a_caller_who_left_before_the_first_event_is_not_waited_for() -> None:
    begun, cancelled_seen = threading.Event(), threading.Event()

    async def hangs_up() -> Any:
        assert await asyncio.to_thread(begun.wait, 5)
        return {"type": "http.disconnect"}

    def work(cancelled: Callable[[], bool]) -> Iterator[Event]:
        begun.set()
        while not cancelled():
            threading.Event().wait(0.005)
        cancelled_seen.set()
        raise Cancelled("gone")
        yield TokenEvent(text="never")

    async def run() -> None:
        queue = FairQueue(max_waiting=1)
        with pytest.raises(Cancelled):
            await asyncio.wait_for(streams.begin(queue.submit(work), hangs_up), 5)
        await queue.close()

    asyncio.run(run())
    assert cancelled_seen.is_set()


def test_half_a_surrogate_pair_in_a_stored_text_is_escaped_rather_than_fatal() -> None:
    assert to_json(Message(role="user", content="a\ud800b")) == b'{"role": "user", "content": "a\\ud800b"}'


def test_a_value_stays_on_one_line_for_readers_that_know_more_line_ends_than_json() -> None:
    token = TokenEvent(text="one\x85two\u2028three\u2029four\nfive\x0b\x0c\x1c\x1d\x1e")
    line = to_line(token)
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == json.loads(to_json(token))
    event = to_event("token", 1, token).decode()
    assert [part.partition(": ")[0] for part in event.splitlines()] == ["id", "event", "data", ""]
