"""Turns: one after the other, and none for who has left."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from rag.errors import Cancelled
from rag.turns import Turns


def test_one_works_at_a_time_and_everyone_has_a_turn() -> None:
    turns, inside, most = Turns(1), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with turns.taken():
            inside += 1
            most = max(most, inside)
            time.sleep(0.002)
            inside -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(40)))
    assert most == 1


def test_one_that_waits_is_given_up_when_its_caller_leaves_and_takes_no_turn() -> None:
    turns, left = Turns(1), Event()

    def wait() -> None:
        with turns.taken(left.is_set):
            pytest.fail("nobody waits for this")

    with ThreadPoolExecutor(1) as threads:
        with turns.taken():
            waiting = threads.submit(wait)
            assert not waiting.done()
            left.set()
            assert isinstance(waiting.exception(10), Cancelled)
        with pytest.raises(Cancelled), turns.taken(left.is_set):
            pytest.fail("nobody waits for this")
        with turns.taken():
            pass
