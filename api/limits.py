"""How many requests a key has left, counted in a Litestar store: memory, or Redis for several processes.

A bucket that holds one minute's requests and fills evenly, kept as one number: the time at which it is full again
(GCRA). Exact, for several processes too: a store has no atomic step, so in Redis a number is set by a script that looks
whether it is still the one that was read. Knows no key's scopes and no route.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from litestar.stores.base import Store
from litestar.stores.memory import MemoryStore

from api.caller import Caller
from rag.errors import InvalidSettings, LimitsUnavailable, TooManyRequests
from rag.settings import LimitSettings

WINDOW = 60
"""Seconds."""

REDIS_SECONDS = 2.0
"""Longest wait for Redis: a count that takes longer than a search protects nothing."""

NAMESPACE = "understudy-limits"

SWAP = """if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1"""
"""Redis runs a script in one step."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a caller has left after a request."""

    limit: int
    remaining: int
    reset: int
    """Whole seconds until all of it is there again."""

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers has them, in the form that clients read today."""
        return {
            "RateLimit-Policy": f"{self.limit};w={WINDOW}",
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class Swap(Protocol):
    """Sets a number in a store where it is still the one that was read; whether it was."""

    async def __call__(self, identity: str, before: bytes, after: str, seconds: int) -> bool:
        """before: empty where there was none; seconds: after which it is forgotten"""
        ...


def open_store(settings: LimitSettings) -> tuple[Store, Swap, tuple[type[Exception], ...]]:
    """The store that the settings name, how a number in it is set, and what it raises when it cannot be reached.

    Raises InvalidSettings for Redis without its library, or what is no URL of it.
    """
    url = settings.redis_url.get_secret_value()
    if not url:
        memory = MemoryStore()

        async def put(identity: str, before: bytes, after: str, seconds: int) -> bool:  # noqa: ARG001  # ours alone
            await memory.set(identity, after, expires_in=seconds)
            return True

        return memory, put, ()
    if find_spec("redis") is None:
        raise InvalidSettings("UNDERSTUDY_LIMITS__REDIS_URL needs the redis library: pip install 'understudy[redis]'")
    from litestar.stores.redis import RedisStore
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    try:
        client = Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    except ValueError as error:
        raise InvalidSettings(f"UNDERSTUDY_LIMITS__REDIS_URL: {error}") from None
    script = client.register_script(SWAP)

    async def swap(identity: str, before: bytes, after: str, seconds: int) -> bool:
        return bool(await script(keys=[f"{NAMESPACE}:{identity}"], args=[before, after, seconds]))

    return RedisStore(client, namespace=NAMESPACE, handle_client_shutdown=True), swap, (RedisError, OSError)


class RateLimits:
    """Counts requests; called on the event loop."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds that mean the same in every process. Raises InvalidSettings."""
        self._default = settings.requests_per_minute
        self.store, self._swap, self._unreachable = open_store(settings)
        self._clock = clock
        self._turn = asyncio.Lock()

    async def take(self, caller: Caller) -> Standing | None:
        """Count one request; None where the caller has no limit. Raises TooManyRequests, LimitsUnavailable."""
        return await self._counted(caller, 1, owed=False)

    async def owe(self, caller: Caller, requests: int) -> Standing | None:
        """Count more requests of one that was let in: what is not left is owed, and the next ones wait for it.

        So a batch that is larger than a minute's limit is answered, and costs what its questions would have cost one
        by one. None where the caller has no limit. Raises LimitsUnavailable.
        """
        return await self._counted(caller, requests, owed=True)

    async def _counted(self, caller: Caller, requests: int, *, owed: bool) -> Standing | None:
        limit = caller.requests_per_minute or self._default
        if not limit:
            return None
        try:
            async with self._turn:
                return await self._count(caller.id, limit, requests, owed=owed)
        except self._unreachable as error:
            reason = type(error).__name__  # its words may hold the URL, and that a password
            raise LimitsUnavailable(
                f"the requests of keys cannot be counted ({reason}): start Redis, or unset UNDERSTUDY_LIMITS__REDIS_URL"
            ) from error

    async def _count(self, identity: str, limit: int, requests: int, *, owed: bool) -> Standing:
        step = WINDOW / limit
        while True:
            now = self._clock()
            stored = await self.store.get(identity) or b""
            full = max(now, float(stored)) if stored else now
            wait = 0.0 if owed else full + step - WINDOW - now
            # a millionth of a second: rounding of a sum of floats must not cost the last request
            if wait > 1e-6:
                standing = Standing(limit, 0, math.ceil(full - now))
                raise Exhausted(standing, retry_after=wait)
            full += step * requests
            if await self._swap(identity, stored, repr(full), max(WINDOW, math.ceil(full - now)) + 1):
                return Standing(limit, max(0, int((WINDOW - (full - now)) / step + 1e-6)), math.ceil(full - now))
            # Another process has counted since; each time round, one of them has been let through.


class Exhausted(TooManyRequests):
    """The limit is used up, with what the caller has left."""

    code = TooManyRequests.code

    def __init__(self, standing: Standing, *, retry_after: float) -> None:
        super().__init__(
            f"this key may ask {standing.limit} times a minute: try again in {max(1, math.ceil(retry_after))} s",
            retry_after=retry_after,
        )
        self.standing = standing
