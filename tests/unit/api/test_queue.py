"""The queue: order of arrival, a bounded number waiting, a place given back at once by whoever leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from api.queue import FIRST_GUESS_SECONDS, FairQueue, Ticket, Work
from rag.errors import Cancelled, InvalidQuestion, ModelBusy

SOON = 5.0


class Gate:
    """Work that starts, waits until it is let through or cancelled, and tells of it."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self, cancelled: Callable[[], bool]) -> Iterator[str]:
        self.log.append(f"{self.name} begins")
        self.begun.set()
        while not self.open.wait(0.005):
            if cancelled():
                self.log.append(f"{self.name} is cancelled")
                raise Cancelled("gone")
        self.log.append(f"{self.name} ends")
        yield self.name


async def everything(ticket: Ticket[str]) -> list[str]:
    return [result async for result in ticket.events()]


async def begun(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.begun.wait, SOON)


def of(*results: str) -> Work[str]:
    return lambda cancelled: iter(results)


def test_results_come_in_order_and_end() -> None:
    async def run() -> list[str]:
        queue = FairQueue(max_waiting=1)
        found = await everything(queue.submit(of("a", "b", "c")))
        await queue.close()
        return found

    assert asyncio.run(run()) == ["a", "b", "c"]


def test_whoever_comes_first_is_served_first_and_alone() -> None:
    log: list[str] = []

    async def run() -> None:
        queue = FairQueue(max_waiting=8)
        gates = [Gate(log, name) for name in "abc"]
        tickets = [queue.submit(gate) for gate in gates]
        for gate in reversed(gates):
            gate.open.set()
        await asyncio.gather(*(everything(ticket) for ticket in tickets))
        await queue.close()

    asyncio.run(run())
    assert log == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]


def test_beyond_the_bound_a_question_is_refused_with_the_wait_of_those_ahead() -> None:
    async def run() -> ModelBusy:
        queue = FairQueue(max_waiting=2)
        gate = Gate([], "running")
        tickets = [queue.submit(gate)]
        await begun(gate)
        tickets += [queue.submit(of("x")), queue.submit(of("y"))]
        with pytest.raises(ModelBusy) as refused:
            queue.submit(of("z"))
        gate.open.set()
        await asyncio.gather(*(everything(ticket) for ticket in tickets))
        await queue.close()
        return refused.value

    # nothing measured yet: one second for each of the three ahead
    assert asyncio.run(run()).retry_after == 3.0


def test_the_wait_follows_the_measured_service_time() -> None:
    async def run() -> tuple[float, float]:
        queue = FairQueue(max_waiting=1)

        def slow(cancelled: Callable[[], bool]) -> Iterator[str]:
            threading.Event().wait(0.2)
            yield "slow"

        async def refusal() -> float:
            gate = Gate([], "running")
            running = queue.submit(gate)
            await begun(gate)
            waiting = queue.submit(of("x"))
            with pytest.raises(ModelBusy) as refused:
                queue.submit(of("y"))
            running.cancel()
            await everything(waiting)
            return refused.value.retry_after

        before = await refusal()
        await everything(queue.submit(slow))
        after = await refusal()
        await queue.close()
        return before, after

    before, after = asyncio.run(run())
    assert before == 2.0
    # the served "x" took no time, then 0.2 s weigh 0.2: two ahead wait about 2 x 0.04 s
    assert 0.07 <= after <= 0.4


def test_a_caller_who_leaves_while_waiting_gives_the_place_to_the_next() -> None:
    async def run() -> list[str]:
        queue = FairQueue(max_waiting=1)
        gate = Gate([], "running")
        running = queue.submit(gate)
        await begun(gate)
        leaves = queue.submit(of("never"))
        leaves.cancel()
        stays = queue.submit(of("x"))
        assert queue.waiting() == 1
        with pytest.raises(Cancelled):
            await asyncio.wait_for(everything(leaves), SOON)
        gate.open.set()
        await everything(running)
        found = await everything(stays)
        await queue.close()
        return found

    assert asyncio.run(run()) == ["x"]


def test_a_caller_who_leaves_while_served_frees_the_worker() -> None:
    log: list[str] = []

    async def run() -> list[str]:
        queue = FairQueue(max_waiting=1)
        gate = Gate(log, "a")
        running = queue.submit(gate)
        waiting = queue.submit(of("x"))
        await begun(gate)
        running.cancel()
        found = await asyncio.wait_for(everything(waiting), SOON)
        await queue.close()
        return found

    assert asyncio.run(run()) == ["x"]
    assert log == ["a begins", "a is cancelled"]


def test_an_error_reaches_the_one_who_asked_and_not_the_next() -> None:
    def fails(cancelled: Callable[[], bool]) -> Iterator[str]:
        yield "first"
        raise ZeroDivisionError("boom")

    async def run() -> list[str]:
        queue = FairQueue(max_waiting=2)
        failing, following = queue.submit(fails), queue.submit(of("x"))
        with pytest.raises(ZeroDivisionError, match="boom"):
            await everything(failing)
        found = await everything(following)
        await queue.close()
        return found

    assert asyncio.run(run()) == ["x"]


def test_a_refusal_says_nothing_about_how_long_an_answer_takes() -> None:
    def refuses(cancelled: Callable[[], bool]) -> Iterator[str]:
        raise InvalidQuestion("the question is empty")
        yield "never"

    async def run() -> float:
        queue = FairQueue(max_waiting=2)
        with pytest.raises(InvalidQuestion):
            await everything(queue.submit(refuses))
        gate = Gate([], "running")
        tickets = [queue.submit(gate)]
        await begun(gate)  # two may wait beside it
        tickets += [queue.submit(of("x")), queue.submit(of("y"))]
        wait = queue.expected_wait()
        gate.open.set()
        for ticket in tickets:
            await everything(ticket)
        await queue.close()
        return wait

    assert asyncio.run(run()) == 3 * FIRST_GUESS_SECONDS


def test_closing_serves_who_waits_and_refuses_who_comes() -> None:
    log: list[str] = []

    async def run() -> list[str]:
        queue = FairQueue(max_waiting=4)
        gate = Gate(log, "a")
        tickets = [queue.submit(gate), queue.submit(of("x"))]
        closing = asyncio.create_task(queue.close())
        await asyncio.sleep(0.01)
        with pytest.raises(ModelBusy, match="stopping"):
            queue.submit(of("late"))
        assert not closing.done()
        gate.open.set()
        await closing
        return [result for ticket in tickets for result in await everything(ticket)]

    assert asyncio.run(run()) == ["a", "x"]


def test_a_ticket_tells_how_long_it_waited_and_of_everything_that_arrives() -> None:
    seen: list[object] = []
    gate = Gate([], "first")

    async def run() -> tuple[float | None, float | None, float | None]:
        queue = FairQueue(max_waiting=1)
        first, second = queue.submit(gate), queue.submit(of("a", "b"))
        second.observe = seen.append
        await begun(gate)
        before = second.waited_seconds
        await asyncio.sleep(0.05)
        gate.open.set()
        assert await everything(second) == ["a", "b"]
        await queue.close()
        return first.waited_seconds, before, second.waited_seconds

    first, before, after = asyncio.run(run())
    assert first is not None
    assert after is not None
    assert before is None
    assert after > 0.04
    assert first < after
    assert seen == ["a", "b", None]


def test_a_ticket_can_be_ended_with_an_error_of_its_own() -> None:
    gate = Gate([], "first")

    async def run() -> None:
        queue = FairQueue(max_waiting=1)
        ticket = queue.submit(gate)
        await begun(gate)
        ticket.cancel(ModelBusy("the server stops", retry_after=1.0))
        with pytest.raises(ModelBusy, match="the server stops"):
            await everything(ticket)
        await queue.close()

    asyncio.run(run())


def test_workers_work_side_by_side_and_close_together() -> None:
    async def run() -> None:
        queue = FairQueue(max_waiting=4, workers=3)
        gates = [Gate([], name) for name in "abc"]
        tickets = [queue.submit(gate) for gate in gates]
        for gate in gates:
            await begun(gate)
        for gate in gates:
            gate.open.set()
        assert sorted([result for ticket in tickets for result in await everything(ticket)]) == ["a", "b", "c"]
        await queue.close()

    asyncio.run(run())


def test_short_work_is_run_for_its_result_and_refused_by_its_kind() -> None:
    async def run() -> None:
        queue = FairQueue(max_waiting=1, kind="searches", guess=0.25)
        assert await queue.run(lambda: "found") == "found"
        assert await queue.run(lambda: dict[str, str]().get("nothing")) is None
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: 1 // 0)
        gate = Gate([], "running")
        running = queue.submit(gate)
        await begun(gate)
        waiting = asyncio.create_task(queue.run(lambda: "waited", caller="key"))
        await asyncio.sleep(0)
        with pytest.raises(ModelBusy, match="1 searches wait"):
            await queue.run(lambda: "never")
        gate.open.set()
        assert (await everything(running), await waiting) == (["running"], "waited")
        await queue.close()

    asyncio.run(run())


def test_short_work_that_nobody_waits_for_any_more_is_not_run() -> None:
    ran = threading.Event()

    def work() -> str:
        ran.set()
        return "for nobody"

    async def run() -> None:
        queue = FairQueue(max_waiting=1)
        gate = Gate([], "running")
        running = queue.submit(gate)
        await begun(gate)
        waiting = asyncio.create_task(queue.run(work, caller="key"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert queue.waiting() == 0
        gate.open.set()
        await everything(running)
        await queue.close()

    asyncio.run(run())
    assert not ran.is_set()
