"""How fast requests are finished while there is work: measured, so that a refusal can say when to come back. Pure.

Knows no queue: who has one tells when a request begins and ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SMOOTHING = 0.2
"""Weight of the newest request in the running mean: the last ten or so decide."""


class ServiceRate:
    """Seconds of work that a finished request took, side by side with others or not. Not thread-safe."""

    def __init__(self, guess: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """guess: seconds a request, until one was finished"""
        self.seconds = guess
        self._clock = clock
        self._running = 0
        self._measured = False
        self._since = 0.0

    def begin(self) -> None:
        """A request is worked on from now on."""
        if self._running == 0:
            self._since = self._clock()
        self._running += 1

    def end(self, *, finished: bool) -> None:
        """It is no longer. One that was given up says nothing about how long an answer takes."""
        self._running -= 1
        if finished:
            now = self._clock()
            weight = SMOOTHING if self._measured else 1.0
            self._measured = True
            # Since the last one was finished: with four side by side a quarter of what each of them takes.
            self.seconds += weight * (now - self._since - self.seconds)
            self._since = now

    def wait(self, ahead: int) -> float:
        """Seconds until `ahead` requests are served, as long as the latest ones took."""
        return self.seconds * ahead
