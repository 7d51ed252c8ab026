"""Log lines and request ids: one JSON object a line on standard error, never a question's or an answer's text.

Knows no route: it wraps the application from outside, so that a refused request is logged too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"

_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""Ids that are taken from a caller: nothing that could break a log line or a header."""

log = logging.getLogger("understudy.api")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, logger, message, the added fields, and the traceback where there is one."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every log record of at least `level` to `stream` (standard error) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak from warning on: their debug lines may hold the texts that they are given.
    root.setLevel(logging.WARNING)
    logging.getLogger("understudy").setLevel(level.upper())


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
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "milliseconds": round((time.perf_counter() - started) * 1000, 1),
            }
            if "problem" in scope["state"]:
                fields["problem"] = scope["state"]["problem"]
            log.info("request", extra={"fields": fields})

    return call
