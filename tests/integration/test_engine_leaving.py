"""Whoever gives a generation up gives the engine back: by cancelling, by leaving, by a deadline that has passed.

The engine works on one request at a time, and each of those that are given up would take 1,900 tokens: what the process
counts afterwards tells whether it was stopped or ran to its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rag.engine.supervisor import Supervisor
from rag.engine.wire import Frame
from rag.errors import Cancelled, ModelTimeout
from tests.integration.test_engine import load, request, text_of

LONG = 1900
"""Tokens: two seconds of work where a thousand are made in one, and twenty on two slow cores."""

STOPPED = LONG // 2
"""Rows by which every one of them has to be stopped, however busy the machine is with something else."""

OBEYS = 10.0
"""Seconds: a call is given up within it, which takes a few milliseconds; that of a busy machine is slow, not wrong."""


@pytest.fixture
def engine() -> Iterator[Supervisor]:
    engine = Supervisor(load(context_tokens=2048, parallel=1), max_waiting=8)
    engine.wait_ready()
    yield engine
    engine.close()


def counts(engine: Supervisor) -> Frame:
    """What the process counts; it may be late with them while it works."""
    while not (told := engine.statistics()):
        assert engine.alive
    return told


def freed(engine: Supervisor) -> Frame:
    """What the process counts once it works on nothing, which is soon."""
    begun = time.monotonic()
    while (told := counts(engine))["running"] or told["waiting"]:
        assert time.monotonic() < begun + OBEYS, f"it still works: {told}"
        time.sleep(0.002)
    return told


@contextmanager
def given_up(engine: Supervisor, *, begun: int = 1) -> Iterator[None]:
    """Of what runs within, one request is given up, none finishes, and few of its tokens were made."""
    before = counts(engine)
    yield
    told = freed(engine)
    assert told["cancelled"] == before["cancelled"] + begun
    assert told["finished"] == before["finished"], "it was stopped, and did not run to its end"
    assert told["evaluated_tokens"] - before["evaluated_tokens"] < STOPPED
    assert told["sequences"] == 0
    assert text_of(list(engine.generate(request(), timeout=60))), "the next one is served"
    assert counts(engine)["finished"] == before["finished"] + 1


def test_a_cancelled_generation_frees_the_engine(engine: Supervisor) -> None:
    with given_up(engine):
        gone = threading.Event()
        stream = engine.generate(request(max_tokens=LONG), timeout=60, cancelled=gone.is_set)
        next(stream)
        assert counts(engine)["running"] == 1
        gone.set()
        with pytest.raises(Cancelled):
            list(stream)


def test_closing_the_iterator_stops_the_generation(engine: Supervisor) -> None:
    with given_up(engine):
        stream = engine.generate(request(max_tokens=LONG), timeout=60)
        next(stream)
        assert counts(engine)["running"] == 1
        stream.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator


def test_a_deadline_frees_the_engine(engine: Supervisor) -> None:
    with given_up(engine):
        begun = time.monotonic()
        with pytest.raises(ModelTimeout):
            list(engine.generate(request(max_tokens=LONG), timeout=0.3))
        assert 0.3 <= time.monotonic() - begun < 0.3 + OBEYS


def test_a_deadline_frees_the_engine_of_a_prompt_that_is_still_read(engine: Supervisor) -> None:
    """No word was told yet, at which the caller could look at the clock."""
    with given_up(engine):
        asked: Frame = {"prefix": [], "rest": [["word " * 1900, False]], "continuations": [" yes", " no"]}
        with pytest.raises(ModelTimeout):
            engine.score(asked, timeout=0.05)


def test_who_waits_for_a_turn_until_the_deadline_leaves_the_queue_and_nobody_else_does(engine: Supervisor) -> None:
    first = engine.generate(request(max_tokens=LONG), timeout=60)
    next(first)
    with pytest.raises(ModelTimeout):
        list(engine.generate(request("Never read", max_tokens=LONG), timeout=0.2))
    deadline = time.monotonic() + OBEYS
    while (told := counts(engine))["waiting"] and time.monotonic() < deadline:
        time.sleep(0.002)
    assert (told["waiting"], told["running"], told["cancelled"]) == (0, 1, 1)
    assert next(first)["type"] == "piece", "it speaks on"
    first.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator
    assert freed(engine)["cancelled"] == 2


def test_the_place_of_one_that_leaves_is_taken_by_the_next_in_line(engine: Supervisor) -> None:
    first = engine.generate(request(max_tokens=LONG), timeout=60)
    next(first)
    said: list[str] = []
    second = threading.Thread(target=lambda: said.append(text_of(list(engine.generate(request(), timeout=60)))))
    second.start()
    while not counts(engine)["waiting"]:
        time.sleep(0.002)
    first.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator
    second.join(60)
    told = freed(engine)
    assert said[0]
    assert (told["cancelled"], told["finished"]) == (1, 1)
    assert told["evaluated_tokens"] < STOPPED
