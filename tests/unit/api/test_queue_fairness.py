"""The queue among several callers: in turns, each with its share of the places, nobody whose turn comes too late."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from api.queue import FairQueue
from rag.errors import ModelBusy, TooManyRequests
from tests.unit.api.test_queue import Gate, begun, everything, of


def test_a_caller_of_many_questions_does_not_keep_the_others_waiting() -> None:
    log: list[str] = []

    async def run() -> None:
        queue = FairQueue(max_waiting=20)
        first = Gate(log, "first")
        tickets = [queue.submit(first, caller="many")]
        await begun(first)
        gates = [Gate(log, f"many {number}") for number in range(3)] + [Gate(log, "one")]
        tickets += [queue.submit(gate, caller=gate.name.split()[0]) for gate in gates]
        for gate in (first, *gates):
            gate.open.set()
        for ticket in tickets:
            await everything(ticket)
        await queue.close()

    asyncio.run(run())
    begins = [line.removesuffix(" begins") for line in log if line.endswith("begins")]
    assert begins.index("one") <= 2, "at most one more of the other's was begun before"


def test_beyond_its_share_a_key_is_refused_and_others_are_not() -> None:
    async def run() -> None:
        queue = FairQueue(max_waiting=10, max_waiting_each=2)
        gate = Gate([], "running")
        tickets = [queue.submit(gate, caller="key")]
        await begun(gate)
        tickets += [queue.submit(of("x"), caller="key") for _ in range(2)]
        with pytest.raises(TooManyRequests, match="its share") as refused:
            queue.submit(of("y"), caller="key")
        assert refused.value.retry_after == 2.0
        tickets += [queue.submit(of("z"), caller="other"), *(queue.submit(of("l")) for _ in range(3))]
        gate.open.set()
        for ticket in tickets:
            await everything(ticket)
        await queue.close()

    asyncio.run(run())


def test_where_several_callers_are_here_each_may_have_its_share_of_the_places() -> None:
    async def run() -> None:
        queue = FairQueue(max_waiting=12, max_waiting_each=10)
        gate = Gate([], "running")
        tickets = [queue.submit(gate, caller="a")]
        await begun(gate)
        tickets += [queue.submit(of("x"), caller="a") for _ in range(5)]
        tickets += [queue.submit(of("x"), caller=name) for name in "bc"]
        with pytest.raises(TooManyRequests, match="5 questions of this key wait already"):
            queue.submit(of("y"), caller="a")  # twelve places among three: four each, of which it took five before
        tickets += [queue.submit(of("x"), caller="b") for _ in range(3)]
        with pytest.raises(TooManyRequests, match="4 questions of this key wait already"):
            queue.submit(of("y"), caller="b")
        gate.open.set()
        for ticket in tickets:
            await everything(ticket)
        alone = [queue.submit(of("x"), caller="a") for _ in range(10)]
        for ticket in alone:
            await everything(ticket)
        await queue.close()

    asyncio.run(run())


def test_whose_turn_would_come_after_its_deadline_is_refused_and_who_is_next_by_its_turn_is_not() -> None:
    async def run() -> None:
        queue = FairQueue(max_waiting=20)
        gate = Gate([], "running")
        tickets = [queue.submit(gate, caller="many")]
        await begun(gate)
        tickets += [queue.submit(of("x"), caller="many") for _ in range(6)]
        # a second each is expected: seven are before another of this caller's, two before another's first
        with pytest.raises(ModelBusy, match="its turn comes in 7 s, after the 5 s") as refused:
            queue.submit(of("late"), caller="many", seconds=5)
        assert refused.value.retry_after == 2.0
        tickets.append(queue.submit(of("soon"), caller="other", seconds=5))
        gate.open.set()
        for ticket in tickets:
            await everything(ticket)
        await queue.close()

    asyncio.run(run())


def test_who_was_refused_comes_in_before_who_has_just_been_served() -> None:
    async def run() -> None:
        queue = FairQueue(max_waiting=1)
        first, second = Gate([], "first"), Gate([], "second")
        tickets = [queue.submit(first, caller="a")]
        await begun(first)
        tickets.append(queue.submit(second, caller="b"))
        waits = []
        for name in ("c", "d", "c"):
            with pytest.raises(ModelBusy) as refused:
                queue.submit(of("x"), caller=name)
            waits.append(refused.value.retry_after)
        assert waits == [1.0, 2.0, 1.0], "a second each: until its own turn at a place, which asking again keeps"
        first.open.set()
        await everything(tickets[0])
        await begun(second)
        tickets.append(queue.submit(of("new"), caller="e"))  # nobody waits now: no promise keeps a worker idle
        with pytest.raises(ModelBusy):
            queue.submit(of("again"), caller="a")
        second.open.set()
        for ticket in tickets[1:]:
            await everything(ticket)
        await queue.close()

    asyncio.run(run())


def test_more_callers_than_places_are_served_in_turns() -> None:
    """A closed loop: each asks again when it has its answer, or after the wait that it was told."""
    served = Counter[str]()

    async def run() -> None:
        queue = FairQueue(max_waiting=3, guess=0.003)

        def work(_: Callable[[], bool]) -> Iterator[str]:
            time.sleep(0.003)
            yield "answer"

        async def ask(name: str) -> None:
            while served.total() < 400:
                try:
                    await everything(queue.submit(work, caller=name))
                except ModelBusy as refused:
                    await asyncio.sleep(refused.retry_after)
                else:
                    served[name] += 1

        await asyncio.gather(*(ask(f"caller {number}") for number in range(16)))
        await queue.close()

    asyncio.run(run())
    assert len(served) == 16
    assert min(served.values()) >= 0.5 * max(served.values()), served
