"""Log lines and request ids: one JSON object a line on standard error, never a question's or an answer's text.

An exception's own message may repeat a caller's words, so that only its type and place are written, unless the settings
ask for texts. Knows no route: it wraps the application from outside, so that a refused request is logged too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
import uuid
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""Ids that are taken from a caller: nothing that could break a log line or a header."""

OWN = "understudy"
"""The logger above all of ours; what others say may quote the texts that they are given."""

_STATE: ContextVar[Mapping[str, Any]] = ContextVar("state of the request that is answered")

log = logging.getLogger("understudy.api")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` adds to it."""

    def __init__(self, *, texts: bool = False) -> None:
        """texts: whether messages of exceptions, and whole messages of libraries, are written"""
        super().__init__()
        self._texts = texts

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, logger, message, the added fields, and the traceback where there is one."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            whole = self._texts
            line["traceback"] = self.formatException(record.exc_info) if whole else places(record.exc_info[1])
        # ASCII, so that no character of a text can break a line or command a terminal.
        return json.dumps(line, default=str)

    def _message(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        if self._texts or record.name.partition(".")[0] == OWN:
            return said
        return said.partition("\n")[0]  # asyncio's further lines show the exception's message


def places(error: BaseException) -> str:
    """A traceback of types and lines, the cause first, without what the exceptions say."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    parts = ["".join(traceback.format_tb(one.__traceback__)) + type(one).__qualname__ for one in reversed(chain)]
    return "\n".join(parts)


def configure(level: str, stream: TextIO | None = None, *, texts: bool = False) -> None:
    """Send every log record of at least `level` to `stream` (standard error) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(texts=texts))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak from warning on: their debug lines may hold the texts that they are given.
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN).setLevel(level.upper())


def request_id(scope: Scope | MutableMapping[str, Any]) -> str:
    """The id of a request: the caller's X-Request-ID where it is a plain one, a fresh one otherwise."""
    state = scope.setdefault("state", {})
    known = state.get("request_id")
    if isinstance(known, str):
        return known
    given = dict(scope["headers"]).get(HEADER.lower().encode(), b"").decode("latin-1")
    identity = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
    state["request_id"] = identity
    return identity


def method_of(scope: Scope | MutableMapping[str, Any]) -> str:
    """The method of a request, `other` for one that HTTP does not know: any word may be sent as one."""
    method = str(scope.get("method"))
    return method if method in METHODS else "other"


def current_request() -> Mapping[str, Any]:
    """The state of the request that is answered now (`request_id`, `caller`), for what is below any route."""
    return _STATE.get({})


def note_problem(scope: Scope | MutableMapping[str, Any], code: str) -> None:
    """Have the request's log line name the problem that was told; its sentence may hold the caller's words."""
    scope.setdefault("state", {})["problem"] = code


def logged(app: ASGIApp) -> ASGIApp:
    """`app` with the request's id in the answer's header, and one log line a request with its time."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        identity = request_id(scope)
        _STATE.set(scope["state"])
        started = time.perf_counter()
        status = 0  # stays 0 where the caller left before there was an answer

        async def tag(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER.lower().encode(), identity.encode())]
            await send(message)

        try:
            await app(scope, receive, tag)
        finally:
            fields = {
                "request_id": identity,
                "method": method_of(scope),
                # The template: a path of no route is the caller's own word, and one of a document names it.
                "path": scope.get("path_template") or "",
                "status": status,
                "milliseconds": round((time.perf_counter() - started) * 1000, 1),
            }
            fields |= {name: scope["state"][name] for name in ("problem", "caller") if name in scope["state"]}
            log.info("request", extra={"fields": fields})

    return call
