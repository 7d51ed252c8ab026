"""HTTP that cannot be read, comes too slowly or on too many connections is refused as a problem too.

Knows no application: none is reached. uvicorn answers unreadable bytes itself, in plain text, and waits for a slow
caller for ever; this replaces what it says, and gives every head, body and unread answer a time.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.logs import HEADER
from api.problems import MEDIA_TYPE, Problem, crowded, too_slow, unreadable

BYTES_PER_SECOND = 1024
"""Each of these gives a body that is being sent another second: a large one may take long, a dripping one may not."""

CROWDED_SECONDS = 2.0
"""Time for a request's head on a connection beyond the bound: it is read only to be refused."""

log = logging.getLogger("understudy.api")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for a caller, and for how many."""

    head_seconds: float
    body_seconds: float
    """Time for a whole body, each `BYTES_PER_SECOND` that came adding a second."""
    unread_seconds: float
    """Time in which a caller must read on, once so much waits for it that sending had to pause."""
    connections: int


class ProblemProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 over h11, with bounded patience."""

    patience: ClassVar[Patience]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a head; beyond the bound, to refuse what it asks, beyond twice that, to cut off."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._waits_for: object = None
        self._began = 0.0
        self._received = 0
        self._unread: asyncio.TimerHandle | None = None
        self._crowded = len(self.connections) > self.patience.connections
        if self._crowded:
            self.app = _refuse_crowded
        if len(self.connections) > 2 * self.patience.connections:
            log.warning("a connection was cut off", extra={"fields": {"connections": len(self.connections)}})
            self.connections.discard(self)
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on, and see what is waited for now."""
        self._received += len(data)
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on with what was sent ahead."""
        super().on_response_complete()
        if self.timeout_keep_alive_task is None:
            self._watch()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller does not read: wait a while, then cut it off."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.patience.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller reads again."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's sentence names no way out
        """Refuse what was sent, and close the connection: what follows on it cannot be told apart from it."""
        self._refuse(unreadable(uuid.uuid4().hex))

    def _watch(self) -> None:
        """Have the right timer run: a head's, a body's, or none where all that was asked is here."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            # A request that has come since the last look begins a body of its own.
            self._start((h11.SEND_BODY, self.cycle), self.patience.body_seconds)
        elif state is h11.IDLE and self.conn.our_state is h11.IDLE:
            self._start(h11.IDLE, CROWDED_SECONDS if self._crowded else self.patience.head_seconds)
        else:
            self._stop()

    def _start(self, waits_for: object, seconds: float) -> None:
        if self._waits_for == waits_for:
            return
        self._stop()
        self._waits_for = waits_for
        self._began, self._received = self.loop.time(), 0
        self._timer = self.loop.call_later(seconds, self._expire)

    def _stop(self) -> None:
        self._waits_for = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        body = self._waits_for is not h11.IDLE
        earned = self._began + self.patience.body_seconds + self._received / BYTES_PER_SECOND
        left = earned - self.loop.time()
        # A handler that has not asked for more yet is not the caller's delay: reading is paused then.
        if body and (left > 0 or self.flow.read_paused):
            self._timer = self.loop.call_later(max(left, 1.0), self._expire)
            return
        self._waits_for = self._timer = None
        if body:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if body or self.conn.trailing_data[0]:
            self._refuse(too_slow(uuid.uuid4().hex))
        else:  # nothing was asked: an answer would be taken for that of the next request
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = problem.model_dump_json().encode()
            headers = [
                ("content-type", MEDIA_TYPE),
                ("content-length", str(len(body))),
                (HEADER.lower(), problem.request_id),
                ("connection", "close"),
            ]
            reason = problem.title.encode()
            parts = (h11.Response(status_code=problem.status, headers=headers, reason=reason), h11.Data(data=body))
            for event in (*parts, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def patient(patience: Patience) -> type[asyncio.Protocol]:
    """The protocol with its patience set; uvicorn makes one for each connection."""
    return cast("type[asyncio.Protocol]", type("PatientProtocol", (ProblemProtocol,), {"patience": patience}))


async def _refuse_crowded(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that refuses everything, for connections beyond the bound."""
    problem = crowded(uuid.uuid4().hex)
    body = problem.model_dump_json().encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
        (HEADER.lower().encode(), problem.request_id.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
