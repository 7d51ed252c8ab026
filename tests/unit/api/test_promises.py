"""Promised places: in order of the first refusal, one each, and not for ever."""

from __future__ import annotations

from api.promises import Promises


def test_promises_stand_in_the_order_of_the_first_refusal() -> None:
    promises = Promises(clock=lambda: 0.0)
    for name in ("a", "b", "a", "c"):
        promises.make(name, 1.0)
    assert [promises.before(name) for name in ("a", "b", "c", "new")] == [0, 1, 2, 3]
    promises.keep("a")
    promises.keep("unknown")
    assert [promises.before(name) for name in ("a", "b", "c")] == [2, 0, 1]


def test_who_does_not_come_back_is_forgotten_after_the_wait_and_some_patience() -> None:
    now = 0.0
    promises = Promises(clock=lambda: now)
    promises.make("short", 2.0)
    promises.make("long", 20.0)
    now = 5.0
    assert promises.callers() == ["short", "long"]
    now = 5.1
    assert promises.callers() == ["long"]
    promises.make("short", 2.0)  # back too late: behind those that came meanwhile
    assert promises.callers() == ["long", "short"]
