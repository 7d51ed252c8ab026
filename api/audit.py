"""The audit log: who created, revoked, brought in, removed or was refused, as JSON lines in the data directory.

Refused is also who named a domain that its key is not bound to, stored or not: the caller gets a 404 as for what is
not there, and here is the line that shows a key being tried on others' domains.

Never a secret, a question or an answer: time, request id, key id, action, domain, outcome. It is bounded: a file that
is full is kept once beside the new one, so that a flood of refusals fills no disk. Knows no route.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.logs import request_id

FILE = "audit.jsonl"
OLDER = "audit.1.jsonl"

LARGEST = 32 * 1024 * 1024
"""Bytes of one file: some 150,000 lines."""

REFUSED = frozenset({401, 403, 429})

log = logging.getLogger("understudy.api")


class AuditLog:
    """Appends to one file; several processes may."""

    def __init__(self, data_directory: Path) -> None:
        self._path = data_directory / FILE

    def write(self, action: str, *, outcome: str, key: str = "", domain: str = "", request: str = "") -> None:
        """One line. A disk that takes none is told in the service's log: auditing stops no answer."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": request,
            "key": key,
            "action": action,
            "domain": domain[:80],
            "outcome": outcome,
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > LARGEST:
                self._path.replace(self._path.with_name(OLDER))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            log.exception("the audit log takes no line", extra={"fields": {"reason": error.strerror}})


def note(scope: Scope, **fields: str) -> None:
    """Have the request's line say more: `key`, `needs` (the scope of the route), `domain`, `unbound` (a domain that the
    key is not bound to, which makes a line whatever the status)."""
    scope.setdefault("state", {}).setdefault("audit", {}).update(fields)


def audited(app: ASGIApp, audit: AuditLog) -> ASGIApp:
    """`app` with a line for each refused request, and for each that brings in, removes or administers."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        status = 0  # stays 0 where the caller left before there was an answer

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            said = scope.get("state", {}).get("audit", {})
            unbound = said.get("unbound", "")
            if unbound or status in REFUSED or said.get("needs") in ("ingest", "admin"):
                audit.write(
                    f"{scope['method']} {scope.get('path_template') or 'no route'}",
                    outcome=str(status),
                    key=said.get("key", ""),
                    domain=unbound or said.get("domain", "") or str(scope.get("path_params", {}).get("domain", "")),
                    request=request_id(scope),
                )

    return call
