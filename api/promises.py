"""Places that were promised: who was refused for want of one comes in before whoever asks after it. Knows no queue.

Without it a full queue stays with those who are in it: each asks again in the moment its answer is there, and takes the
place that it has just left, while who was told to come back later finds it full every time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LATENESS, SLACK_SECONDS = 1.5, 2.0
"""A promise stands for so many times the wait that was named, and so much longer: callers round waits up."""


class Promises:
    """Callers in the order in which they were first refused, each with one promise at the most. Not thread-safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds"""
        self._clock = clock
        self._until: dict[str, float] = {}

    def make(self, caller: str, wait: float) -> None:
        """Promise the caller a place in `wait` seconds; one that has a promise keeps its turn."""
        self._until[caller] = self._clock() + LATENESS * wait + SLACK_SECONDS

    def keep(self, caller: str) -> None:
        """The caller has its place."""
        self._until.pop(caller, None)

    def before(self, caller: str) -> int:
        """Promises that others were made before the caller's own; all of them, where it has none."""
        names = self.callers()
        return names.index(caller) if caller in names else len(names)

    def callers(self) -> list[str]:
        """Whose promises stand, oldest first; the others are forgotten."""
        now = self._clock()
        self._until = {name: until for name, until in self._until.items() if until >= now}
        return list(self._until)
