"""A process that uses up one key's requests as fast as it can, beside others that share its Redis.

python -m tests.fakes.limit_taker REDIS_URL LIMIT TRIES: says "ready", and for each key's name that it reads how many of
its tries were let in. Its clock stands still, so that nothing fills up meanwhile.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import SecretStr

from api.caller import Caller
from api.limits import Exhausted, RateLimits
from rag.settings import LimitSettings


async def main(url: str, limit: int, tries: int) -> None:
    limits = RateLimits(LimitSettings(requests_per_minute=limit, redis_url=SecretStr(url)), lambda: 1000.25)

    async def one(caller: Caller) -> int:
        try:
            await limits.take(caller)
        except Exhausted:
            return 0
        return 1

    async with limits.store:
        await limits.store.get("warm")  # connected before the others are, or after: no matter
        print("ready", flush=True)
        while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
            caller = Caller(name, frozenset({"read"}), None)
            print(sum([await one(caller) for _ in range(tries)]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
