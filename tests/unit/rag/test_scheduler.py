"""Who is evaluated when: nothing twice, nobody forgotten, everything given back, whatever comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.engine.llama import Llama
from rag.engine.prefixes import Prefixes
from rag.engine.scheduler import MIXED_CHUNK, PREFIX_SEQUENCES, TURN, Job, Scheduler
from rag.engine.tasks import Task, prompt_rows
from rag.engine.wire import Frame
from tests.fakes.engine_model import END, EngineModel


class Asked:
    """A request that generates greedily, and what became of it."""

    def __init__(
        self, number: int, prefix: Sequence[int], rest: Sequence[int], tokens: int = 4, adapter: str = ""
    ) -> None:
        self.said: list[int] = []
        self.cached: int | None = None
        self.finished = self.cancelled = False
        self._rest, self._tokens = list(rest), tokens
        size = len(prefix) + len(rest) + tokens
        self.job = Job(number, adapter, tuple(prefix), 1, size, self._start, self._admit, self._finish, self._cancel)

    def _admit(self, cached: int) -> None:
        self.cached = cached

    def _finish(self, result: Frame) -> None:
        self.finished = result["said"] == self.said

    def _cancel(self) -> None:
        self.cancelled = True

    def _start(self, sequences: Sequence[int], position: int) -> Task:
        logits = yield prompt_rows(self._rest, position, sequences[0])
        position += len(self._rest)
        for _ in range(self._tokens):
            token = int(np.argmax(logits[0]))
            if token == END:
                break
            self.said.append(token)
            logits = yield [(token, position, sequences[0], True)]
            position += 1
        return {"said": self.said}


def engine(*, parallel: int = 4, memory: int = 2048, sequences: int = 8) -> tuple[Scheduler, EngineModel]:
    model = EngineModel(sequences=sequences + PREFIX_SEQUENCES, memory_tokens=memory)
    return Scheduler(cast(Llama, model), parallel=parallel), model


def until_idle(scheduler: Scheduler) -> None:
    while (told := scheduler.counts())["running"] or told["waiting"]:
        scheduler.step()


def alone(prefix: Sequence[int], rest: Sequence[int], tokens: int, adapter: str) -> list[int]:
    scheduler, _ = engine()
    asked = Asked(1, prefix, rest, tokens, adapter)
    scheduler.submit(asked.job)
    until_idle(scheduler)
    return asked.said


REQUEST = st.tuples(
    st.sampled_from([(), (1, 2, 3), tuple(range(1, 30)) * 2]),  # prefixes, some shared
    st.lists(st.integers(1, 31), min_size=1, max_size=400),
    st.integers(0, 6),
    st.sampled_from(["", "a", "b"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(REQUEST, min_size=1, max_size=8), st.data())
def test_everyone_gets_what_they_get_alone_and_everything_is_given_back(
    requests: list[tuple[tuple[int, ...], list[int], int, str]], data: st.DataObject
) -> None:
    scheduler, model = engine(parallel=data.draw(st.integers(1, 5)), memory=1024, sequences=5)
    asked = [Asked(i, *request) for i, request in enumerate(requests)]
    left: set[int] = set()
    for one in asked:
        scheduler.submit(one.job)
        for _ in range(data.draw(st.integers(0, 3))):
            scheduler.step()
        if data.draw(st.booleans()) and data.draw(st.booleans()):
            number = data.draw(st.integers(0, one.job.number))
            scheduler.cancel(number)
            left.add(number)
    until_idle(scheduler)
    for one, request in zip(asked, requests, strict=True):
        assert one.finished != one.cancelled, "each ends once, in one of two ways"
        assert one.finished or one.job.number in left
        if one.finished:
            assert one.said == alone(*request)
    told = scheduler.counts()
    assert (told["running"], told["waiting"], told["sequences"]) == (0, 0, 0)
    assert all(model.held(sequence) == [] for sequence in range(5)), "a sequence was not given back"


def test_a_shared_beginning_is_evaluated_once_even_when_two_come_at_the_same_time() -> None:
    scheduler, model = engine()
    prefix = list(range(1, 21))
    asked = [Asked(i, prefix, [7, i + 1]) for i in range(3)]
    for one in asked:
        scheduler.submit(one.job)
    until_idle(scheduler)
    rows = [token for call in model.calls for _, token in call]
    assert sum(rows[i : i + 20] == prefix for i in range(len(rows))) == 1
    assert [one.cached for one in asked] == [0, 20, 20]


def test_another_adapter_s_beginning_is_another_one() -> None:
    scheduler, _ = engine()
    asked = [Asked(i, [1, 2, 3], [7], adapter=adapter) for i, adapter in enumerate(("", "a", ""))]
    for one in asked:
        scheduler.submit(one.job)
    until_idle(scheduler)
    assert [one.cached for one in asked] == [0, 0, 3]


def test_whoever_speaks_is_in_every_call_while_a_long_prompt_is_read() -> None:
    scheduler, model = engine(memory=4096)
    speaking = Asked(1, [], [5], tokens=30)
    scheduler.submit(speaking.job)
    scheduler.step()
    scheduler.submit(Asked(2, [], [9] * 1000, tokens=0).job)
    before = len(speaking.said)
    calls = len(model.calls)
    while len(model.calls) - calls < 5 and not speaking.finished:
        scheduler.step()
    assert len(speaking.said) - before == min(5, 30 - before) or speaking.finished
    assert all(len(call) <= MIXED_CHUNK for call in model.calls[calls : calls + 4])


def test_who_came_first_is_served_first_and_a_large_one_is_not_overtaken() -> None:
    scheduler, _ = engine(parallel=2, memory=1024)
    large, small = Asked(2, [], [3] * 600), Asked(3, [], [4])
    for one in (Asked(1, [], [2] * 500), large, small):
        scheduler.submit(one.job)
    scheduler.step()
    assert (large.cached, small.cached) == (None, None), (
        "the large one waits for memory, the small one for the large one"
    )
    until_idle(scheduler)
    assert large.finished
    assert small.finished


def test_whoever_is_told_a_result_holds_nothing_any_more() -> None:
    scheduler, _ = engine()
    told: list[dict[str, int]] = []
    job = replace(Asked(1, [1, 2, 3], [7]).job, finished=lambda _: told.append(scheduler.counts()))
    scheduler.submit(job)
    until_idle(scheduler)
    (counts,) = told
    assert (counts["running"], counts["sequences"], counts["finished"]) == (0, 0, 1)


def test_adapters_take_turns() -> None:
    scheduler, _ = engine(parallel=2)
    long, short = Asked(1, [], [5], tokens=6, adapter="a"), Asked(2, [], [6], tokens=1, adapter="b")
    endless = [Asked(10 + i, [], [7] * 200, tokens=6, adapter="a") for i in range(3)]
    for one in (long, short, *endless):
        scheduler.submit(one.job)
    for _ in range(2 * TURN + 4):
        scheduler.step()
    assert short.finished


def test_a_call_that_serves_nobody_any_more_ends_and_one_that_serves_somebody_goes_on() -> None:
    scheduler, model = engine()
    stayed, gone = Asked(1, [], [5] * 50), Asked(2, [], [6] * 50)
    for one in (stayed, gone):
        scheduler.submit(one.job)
    evaluate = model.evaluate

    def interrupted(rows: Sequence[tuple[int, int, int, bool]]) -> object:
        scheduler.cancel(2)
        assert not model.aborted, "the other one is still served by this call"
        scheduler.cancel(1)
        assert model.aborted
        return evaluate(rows)

    model.evaluate = interrupted  # type: ignore[method-assign,assignment]  # what another thread does meanwhile
    scheduler.step()
    assert model.calls == [], "it was ended"
    model.evaluate = evaluate  # type: ignore[method-assign]  # as it was
    until_idle(scheduler)
    assert stayed.cancelled
    assert gone.cancelled
    assert not model.aborted


def test_the_least_recently_used_beginning_goes_and_one_that_is_being_evaluated_stays() -> None:
    kept = Prefixes([10, 11], max_tokens=10)
    first, _ = kept.add(("", (1, 2, 3)))
    second, _ = kept.add(("", (4, 5, 6)))
    assert first is not None
    assert second is not None
    assert kept.add(("", (7,))) == (None, []), "neither is ready"
    first.ready = second.ready = True
    assert kept.find(("", (1, 2, 3))) is first
    third, gone = kept.add(("", (7,)))
    assert third is not None
    assert gone == [second.sequence] == [third.sequence]
    assert kept.find(("", (4, 5, 6))) is None
    assert not kept.fits(("", ()))
    assert not kept.fits(("", tuple(range(11))))
    assert kept.tokens == 4
