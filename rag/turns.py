"""Turns at work that takes every core: two at once would only hold each other up. Knows no answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rag.errors import Cancelled

WATCH_SECONDS = 0.02
"""How often one that waits looks whether its caller is still there."""

IsCancelled = Callable[[], bool] | None


def check(cancelled: IsCancelled) -> None:
    """Raise Cancelled where nobody waits for the result any longer."""
    if cancelled is not None and cancelled():
        raise Cancelled("the request was cancelled")


class Turns:
    """So many turns at once; the others wait. Thread-safe."""

    def __init__(self, at_once: int) -> None:
        """at_once: turns that are taken at the same time, 1 or more"""
        self._free = threading.BoundedSemaphore(at_once)

    @contextmanager
    def taken(self, cancelled: IsCancelled = None) -> Iterator[None]:
        """A turn of one's own. Raises Cancelled within WATCH_SECONDS of being given up while it waits."""
        check(cancelled)
        while not self._free.acquire(timeout=WATCH_SECONDS):
            check(cancelled)
        try:
            check(cancelled)
            yield
        finally:
            self._free.release()
