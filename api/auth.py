"""Who may call a route: a key in a header becomes a Caller, or the request is refused before its body is read.

Every route declares `opt = {"scope": ...}`: read, ingest, admin, or none for what everybody may see. One that
declares nothing takes admin over all domains. As long as no key was ever created, the user of this machine may do
everything from this machine; a key that was revoked counts as created. Knows no question and no domain's content.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Message, Scope

from api import origins
from api.audit import note
from api.caller import LOCAL, NOBODY, SCOPES, Caller
from api.keys import Key, Keys
from api.limits import Exhausted, RateLimits
from rag.errors import NotAllowed, NotAuthenticated, RagError

OPEN = "none"
"""The scope of what needs no key."""

HEADER = "x-api-key"

HOW = "send a key as `Authorization: Bearer …` or `X-API-Key: …`; the operator makes one: `understudy keys create`"

log = logging.getLogger("understudy.api")

Connection = ASGIConnection[Any, Any, Any, Any]


class Gate:
    """The guard of every route."""

    def __init__(self, keys: Keys, limits: RateLimits, *, remote: bool) -> None:
        """remote: other machines reach this service, so that nothing is open without a key."""
        self._keys = keys
        self._limits = limits
        self._remote = remote

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Note who calls in `scope["user"]`. Raises NotAuthenticated, NotAllowed, TooManyRequests, KeysUnreadable."""
        scope = connection.scope
        needed = scope_of(handler, str(scope.get("method", "")))
        note(scope, needs=needed)
        scope["user"] = NOBODY
        if not self._keys.all() and not self._remote:
            server = scope.get("server") or ("", None)
            origins.check(str(scope.get("method", "")), connection.headers, listening=str(server[0]))
            scope["user"] = LOCAL
            note(scope, key=LOCAL.id)
            return
        key = self._key(connection, needed)
        if key is None:
            return
        found = key.caller()
        note(scope, key=found.id)
        scope["state"]["caller"] = found.id  # for the request's log line
        scope["user"] = found
        if needed == OPEN:
            return
        try:
            standing = await self._limits.take(found)
        except Exhausted as refused:
            scope["state"]["rate_limit"] = refused.standing.headers()
            raise
        if standing is not None:
            scope["state"]["rate_limit"] = standing.headers()
        if needed not in found.scopes:
            raise NotAllowed(f"this needs a key of scope {needed}; this one has {', '.join(sorted(found.scopes))}")
        if needs_every_domain(handler) and found.domains is not None:
            raise NotAllowed("this tells of every domain, and this key is bound to some")
        await self._note_use(key)

    def _key(self, connection: Connection, needed: str) -> Key | None:
        """The key that came. What is open is open with a bad key too, and then nobody's."""
        try:
            presented = presented_key(connection)
            if presented is None:
                raise NotAuthenticated(f"this needs a key: {HOW}", given=False)
            return self._keys.find(presented)
        except NotAuthenticated:
            if needed == OPEN:
                return None
            raise

    async def _note_use(self, key: Key) -> None:
        if key.last_used == datetime.now(UTC).date():
            return
        try:
            await asyncio.to_thread(self._keys.note_use, key.id)
        except RagError as error:
            log.warning("the use of a key could not be noted", extra={"fields": {"key": key.id, "reason": str(error)}})


def scope_of(handler: BaseRouteHandler, method: str = "") -> str:
    """What a route needs; admin where it declares nothing that is known. Asking which methods a path takes is open."""
    if method == "OPTIONS":
        return OPEN
    declared = str(handler.opt.get("scope"))
    return declared if declared in (*SCOPES, OPEN) else "admin"


def needs_every_domain(handler: BaseRouteHandler) -> bool:
    """Whether a key that is bound to some domains is refused: `opt = {"all_domains": True}`, or no scope declared."""
    return bool(handler.opt.get("all_domains", "scope" not in handler.opt))


def presented_key(connection: Connection) -> str | None:
    """The key that came in a header; None where none came. Raises NotAuthenticated for a header that holds none."""
    said = connection.headers.getall("authorization", [])
    plain = connection.headers.getall(HEADER, [])
    if not said and not plain:
        return None
    if len(said) + len(plain) > 1:
        raise NotAuthenticated(f"more than one key came: {HOW}", given=True)
    if plain:
        return plain[0]
    kind, _, value = said[0].partition(" ")
    if kind.lower() != "bearer" or not value.strip():
        raise NotAuthenticated(f"the Authorization header holds no bearer key: {HOW}", given=True)
    return value.strip()


async def count_more(scope: Scope, limits: RateLimits, requests: int) -> None:
    """Count what else a request asks for, where its key has a limit. Raises LimitsUnavailable."""
    if requests and "rate_limit" in scope["state"]:
        standing = await limits.owe(scope["user"], requests)
        if standing is not None:
            scope["state"]["rate_limit"] = standing.headers()


async def tell_limits(message: Message, scope: Scope) -> None:
    """A hook before each response starts: what the caller has left."""
    if message["type"] == "http.response.start":
        told = scope.get("state", {}).get("rate_limit", {})
        message["headers"] = [
            *message["headers"],
            *((name.lower().encode(), value.encode()) for name, value in told.items()),
        ]


async def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """The dependency `caller`."""
    found: Caller = request.scope["user"]
    return found
