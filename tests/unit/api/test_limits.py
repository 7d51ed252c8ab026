"""Limits of requests: counted by a clock that is set by hand, in memory and in a real Redis."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.caller import Caller
from api.limits import Exhausted, RateLimits
from rag.errors import InvalidSettings, LimitsUnavailable
from rag.settings import LimitSettings

ROOT = Path(__file__).parents[3]
DESK = Caller("desk", frozenset({"read"}), None)


class Clock:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.time = 1000.25

    def __call__(self) -> float:
        return self.time


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis server of our own, on a socket of the file system."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("REQUIRE_REDIS"):
            pytest.fail("no redis-server is on the path")
        pytest.skip("no redis-server is on the path")
    socket = tmp_path_factory.mktemp("redis") / "redis.sock"
    arguments = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not socket.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield f"unix://{socket}"
    server.terminate()
    server.wait(10)


@pytest.fixture(params=["memory", "redis"])
def settings(request: pytest.FixtureRequest) -> LimitSettings:
    url = request.getfixturevalue("redis") if request.param == "redis" else ""
    return LimitSettings(requests_per_minute=4, redis_url=SecretStr(url))


def test_a_minute_holds_as_many_requests_as_the_limit_says_and_fills_evenly(settings: LimitSettings) -> None:
    clock = Clock()

    async def scene() -> None:
        limits = RateLimits(settings, clock)
        async with limits.store:
            left = []
            for _ in range(4):
                standing = await limits.take(DESK)
                assert standing is not None
                left.append((standing.remaining, standing.reset))
            assert left == [(3, 15), (2, 30), (1, 45), (0, 60)]
            with pytest.raises(Exhausted, match="4 times a minute: try again in 15 s") as caught:
                await limits.take(DESK)
            assert caught.value.retry_after == pytest.approx(15)
            assert caught.value.standing.headers() == {
                "RateLimit-Policy": "4;w=60",
                "RateLimit-Limit": "4",
                "RateLimit-Remaining": "0",
                "RateLimit-Reset": "60",
            }
            clock.time += 15
            assert await limits.take(DESK)
            with pytest.raises(Exhausted):
                await limits.take(DESK)
            clock.time += 3600
            standing = await limits.take(DESK)
            assert standing is not None
            assert standing.remaining == 3
            await limits.store.delete("desk")

    asyncio.run(scene())


def test_one_key_does_not_use_up_anothers_requests(settings: LimitSettings) -> None:
    async def scene() -> None:
        limits = RateLimits(settings, Clock())
        async with limits.store:
            other = Caller("other", frozenset(), None, requests_per_minute=1)
            assert await limits.take(other)
            with pytest.raises(Exhausted, match="1 times a minute"):
                await limits.take(other)
            assert await limits.take(DESK)
            for name in ("desk", "other"):
                await limits.store.delete(name)

    asyncio.run(scene())


def test_many_requests_at_once_are_counted_exactly(settings: LimitSettings) -> None:
    async def scene() -> list[object]:
        limits = RateLimits(settings, Clock())
        async with limits.store:
            found = await asyncio.gather(*(limits.take(DESK) for _ in range(50)), return_exceptions=True)
            await limits.store.delete("desk")
            return list(found)

    found = asyncio.run(scene())
    assert sum(isinstance(item, Exhausted) for item in found) == 46


def test_one_who_comes_after_another_counts_on_from_it(redis: str) -> None:
    settings = LimitSettings(requests_per_minute=4, redis_url=SecretStr(redis))
    clock = Clock()

    async def one() -> object:
        limits = RateLimits(settings, clock)
        async with limits.store:
            return await limits.take(DESK)

    for _ in range(4):
        assert asyncio.run(one())
    with pytest.raises(Exhausted):
        asyncio.run(one())


def let_in(url: str, *, processes: int, limit: int, rounds: int) -> list[int]:
    """How many requests each round's new key got through several processes that ask at the same time."""
    command = [sys.executable, "-m", "tests.fakes.limit_taker", url, str(limit), str(2 * limit)]
    with ExitStack() as stack:
        takers = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            )
            for _ in range(processes)
        ]

        def told() -> list[str]:
            return [taker.stdout.readline().strip() for taker in takers if taker.stdout]

        def say(line: str) -> None:
            for taker in takers:
                if taker.stdin:
                    taker.stdin.write(line)
                    taker.stdin.flush()

        assert told() == ["ready"] * processes
        found = []
        for number in range(rounds):
            say(f"{processes}-hammer-{number}\n")
            found.append(sum(map(int, told())))
        say("\n")
    assert [taker.returncode for taker in takers] == [0] * processes
    return found


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_that_hammer_one_key_at_once_let_exactly_its_limit_through(redis: str, processes: int) -> None:
    assert let_in(redis, processes=processes, limit=50, rounds=5) == [50] * 5


def test_no_limit_counts_nothing() -> None:
    limits = RateLimits(LimitSettings(requests_per_minute=0))
    assert asyncio.run(limits.take(DESK)) is None


def test_a_redis_that_is_not_there_is_a_sentence_without_its_password(tmp_path: Path) -> None:
    url = f"unix://:hunter2@{tmp_path}/nothing.sock"

    async def scene() -> None:
        limits = RateLimits(LimitSettings(redis_url=SecretStr(url)))
        async with limits.store:
            await limits.take(DESK)

    with pytest.raises(LimitsUnavailable, match="start Redis, or unset UNDERSTUDY_LIMITS__REDIS_URL") as caught:
        asyncio.run(scene())
    assert "hunter2" not in str(caught.value)


def test_what_is_no_url_of_redis_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidSettings, match="UNDERSTUDY_LIMITS__REDIS_URL"):
        RateLimits(LimitSettings(redis_url=SecretStr("http://127.0.0.1:6379")))


def test_a_batch_costs_what_its_questions_would_and_what_is_not_left_is_owed(settings: LimitSettings) -> None:
    clock = Clock()
    batches = Caller("batches", frozenset({"read"}), None)

    async def scene() -> None:
        limits = RateLimits(settings, clock)
        async with limits.store:
            await limits.take(batches)
            standing = await limits.owe(batches, 6)  # seven questions of four a minute
            assert standing is not None
            assert (standing.remaining, standing.reset) == (0, 105)
            for passed, wait in ((0, 60), (59, 1)):
                clock.time += passed
                with pytest.raises(Exhausted) as caught:
                    await limits.take(batches)
                assert caught.value.retry_after == pytest.approx(wait)
            clock.time += 1
            assert await limits.take(batches) is not None

    asyncio.run(scene())
