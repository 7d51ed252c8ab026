"""One question that many ask at once is answered once; who leaves, who comes late, what is kept and what is not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from api.flights import Flights, Follower
from api.queue import FairQueue, Results, Ticket
from rag.errors import Cancelled, EngineDied, ModelBusy, ModelTimeout, UnknownDomain
from rag.types import Event, Question
from tests.fakes.pipeline import FakePipeline

QUESTION = Question(text="How often is the pump greased?", domain="plant")
SOON = 5.0


class Desk:
    """Flights over a queue and the fake pipeline, which waits at a gate before it answers."""

    def __init__(self, *, kept: int = 0) -> None:
        self.pipeline = FakePipeline()
        self.queue = FairQueue(max_waiting=8)
        self.flights = Flights(kept=kept, wait=self.queue.expected_wait)
        self.gate = threading.Event()
        self.end = threading.Event()
        self.end.set()
        self.begun, self.given_up = threading.Event(), threading.Event()
        self.state = "g1"
        self.watched: list[Follower] = []

    def ask(self, question: Question = QUESTION, *, seconds: float = SOON) -> Results[Event]:
        return self.flights.ask(
            question,
            lambda: self.start(question),
            seconds=seconds,
            watch=self.watched.append,
            state=lambda: self.state,
        )

    def start(self, question: Question) -> Ticket[Event]:
        def work(cancelled: Callable[[], bool]) -> Iterator[Event]:
            self.begun.set()
            while not self.gate.wait(0.005):
                if cancelled():
                    self.given_up.set()
                    raise Cancelled("gone")
            yield from self.pipeline.stream(question, cancelled=cancelled)
            assert self.end.wait(SOON)

        return self.queue.submit(work)


async def everything(results: Results[Event]) -> list[Event]:
    return [event async for event in results.events()]


def test_fifty_who_ask_the_same_are_answered_by_one_answer() -> None:
    async def run() -> None:
        desk = Desk()
        asked = [desk.ask() for _ in range(50)]
        desk.gate.set()
        heard = await asyncio.gather(*(everything(one) for one in asked))
        assert len(desk.pipeline.started) == 1
        assert all(events == heard[0] for events in heard)
        assert heard[0][-1].type == "done"
        assert desk.flights.joined == 49
        assert all(one.waited_seconds is not None for one in asked)
        assert len(desk.watched) == 50
        await everything(desk.ask())
        assert len(desk.pipeline.started) == 2, "what has landed is not heard again"
        await desk.queue.close()

    asyncio.run(run())


def test_who_comes_late_hears_it_from_the_beginning() -> None:
    async def run() -> None:
        desk = Desk()
        desk.pipeline.tokens = 50
        desk.gate.set()
        slow = QUESTION.model_copy(update={"text": "slow"})
        first = desk.ask(slow)
        events = first.events()
        for _ in range(6):
            await anext(events)
        late = desk.ask(slow)
        heard = await everything(late)
        assert [event.type for event in heard[:2]] == ["retrieval", "token"]
        assert heard[-1].type == "done"
        assert len(desk.pipeline.started) == 1
        assert late.waited_seconds == 0, "its answer was in work when it came"
        await desk.queue.close()

    asyncio.run(run())


def test_nobody_has_waited_for_longer_than_since_it_asked() -> None:
    async def run() -> None:
        desk = Desk()
        other = desk.ask(QUESTION.model_copy(update={"text": "another"}))
        asked = time.monotonic()
        first = desk.ask()
        await asyncio.sleep(0.2)
        joined = time.monotonic()
        second = desk.ask()
        assert first.waited_seconds is second.waited_seconds is None
        desk.gate.set()
        for one in (other, first, second):
            await everything(one)
        ended = time.monotonic()
        assert len(desk.pipeline.started) == 2
        assert first.waited_seconds is not None
        assert second.waited_seconds is not None
        assert 0.2 <= first.waited_seconds <= ended - asked
        assert 0 < second.waited_seconds <= ended - joined
        await desk.queue.close()

    asyncio.run(run())


def test_another_question_filter_or_domain_is_another_flight() -> None:
    async def run() -> None:
        desk = Desk()
        desk.gate.set()
        others = [QUESTION.model_copy(update=change) for change in ({"text": "x"}, {"max_passages": 3})]
        await asyncio.gather(*(everything(desk.ask(question)) for question in (QUESTION, *others)))
        assert len(desk.pipeline.started) == 3
        await desk.queue.close()

    asyncio.run(run())


def test_it_goes_on_as_long_as_somebody_listens_and_is_given_up_with_the_last() -> None:
    async def run() -> None:
        desk = Desk()
        one, two = desk.ask(), desk.ask()
        assert await asyncio.to_thread(desk.begun.wait, SOON)
        one.cancel()
        with pytest.raises(Cancelled):
            await everything(one)
        assert not desk.given_up.is_set()
        two.cancel()
        assert await asyncio.to_thread(desk.given_up.wait, SOON)
        desk.gate.set()
        assert (await everything(desk.ask()))[-1].type == "done", "who asks then gets a flight of their own"
        await desk.queue.close()

    asyncio.run(run())


def test_a_failure_and_a_deadline_end_it_for_who_listens() -> None:
    async def run() -> None:
        desk = Desk()
        late = desk.ask(seconds=0.05)
        with pytest.raises(ModelTimeout, match=r"0\.05 s"):
            await everything(late)
        async with asyncio.timeout(SOON):  # its deadline may have come before the worker did
            await everything(desk.queue.submit(lambda _: iter(())))  # the only worker, which nobody is left to hold
        desk.gate.set()
        failing = [desk.ask(QUESTION.model_copy(update={"text": "early"})) for _ in range(2)]
        for one in failing:
            with pytest.raises(EngineDied):
                await everything(one)
        await desk.queue.close()

    asyncio.run(run())


def test_a_refused_start_leaves_nothing_behind() -> None:
    async def run() -> None:
        desk = Desk()
        await desk.queue.close()
        with pytest.raises(ModelBusy):
            desk.ask()
        with pytest.raises(ModelBusy):
            desk.ask()
        assert desk.watched == []

    asyncio.run(run())


def test_kept_answers_are_given_again_until_the_documents_change_or_there_are_too_many() -> None:
    async def run() -> None:
        desk = Desk(kept=2)
        desk.gate.set()
        first = await everything(desk.ask())
        assert await everything(desk.ask()) == first
        assert (len(desk.pipeline.started), desk.flights.replayed) == (1, 1)
        desk.state = "g2"
        await everything(desk.ask())
        assert len(desk.pipeline.started) == 2, "the answer rested on another generation"
        await everything(desk.ask())
        assert (len(desk.pipeline.started), desk.flights.replayed) == (2, 2)
        for text in ("a", "b"):
            await everything(desk.ask(QUESTION.model_copy(update={"text": text})))
        before = len(desk.pipeline.started)
        await everything(desk.ask())
        assert len(desk.pipeline.started) == before + 1, "two are kept, the least recently asked one went"
        await desk.queue.close()

    asyncio.run(run())


def test_an_answer_is_kept_under_what_it_began_with_and_not_at_all_where_that_cannot_be_told() -> None:
    async def run() -> None:
        desk = Desk(kept=2)
        first = desk.ask()
        desk.state = "g2"  # between the first words and the last
        desk.gate.set()
        await everything(first)
        await everything(desk.ask())
        assert len(desk.pipeline.started) == 2

        def lost() -> str:
            raise UnknownDomain.named("plant")

        question = QUESTION.model_copy(update={"text": "other"})
        for _ in range(2):
            asked = desk.flights.ask(
                question, lambda: desk.start(question), seconds=SOON, watch=desk.watched.append, state=lost
            )
            assert (await everything(asked))[-1].type == "done"
        assert len(desk.pipeline.started) == 4
        await desk.queue.close()

    asyncio.run(run())


def test_a_failed_answer_is_not_kept() -> None:
    async def run() -> None:
        desk = Desk(kept=2)
        desk.gate.set()
        for _ in range(2):
            with pytest.raises(EngineDied):
                await everything(desk.ask(QUESTION.model_copy(update={"text": "late"})))
        assert len(desk.pipeline.started) == 2
        await desk.queue.close()

    asyncio.run(run())


def test_who_asks_between_an_answer_and_its_end_hears_that_answer() -> None:
    async def run() -> None:
        desk = Desk(kept=2)
        desk.gate.set()
        desk.end.clear()
        first = desk.ask()
        async for event in first.events():
            if event.type == "done":
                break
        first.cancel()  # as a door does once it has what it wanted
        await asyncio.sleep(0.01)
        second = desk.ask()
        desk.end.set()
        assert (await everything(second))[-1].type == "done"
        # And what is kept ends as it was told, not with the leaving of its first listener.
        assert (await everything(desk.ask()))[-1].type == "done"
        await desk.queue.close()
        assert len(desk.pipeline.started) == 1

    asyncio.run(run())


def test_who_is_late_is_told_how_long_those_here_will_take() -> None:
    async def run() -> None:
        desk = Desk()
        asked = [desk.ask(QUESTION.model_copy(update={"text": text})) for text in "abc"]
        with pytest.raises(ModelTimeout) as late:
            await everything(desk.ask(seconds=0.05))
        assert late.value.retry_after == 4.0, "a second for each, as long as nothing is measured"
        desk.gate.set()
        for each in asked:
            await everything(each)
        await desk.queue.close()

    asyncio.run(run())
