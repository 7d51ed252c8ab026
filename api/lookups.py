"""Short blocking work beside the answers: a few threads, a bounded number that waits, and when to come back.

Knows no pipeline: whatever is given is run. Everything is called on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rag.errors import ModelBusy
from rag.service_rate import ServiceRate

T = TypeVar("T")


class Lookups:
    """One kind of work, with threads of its own: a queue of another kind keeps it from nothing."""

    def __init__(self, name: str, *, threads: int, most_waiting: int, guess: float) -> None:
        """name: of the work, in a refusal; guess: seconds that one takes, until one was finished"""
        self._name = name
        self._most = threads + most_waiting
        self._inside = 0
        self._rate = ServiceRate(guess)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Raises ModelBusy where too many wait, with the time until they are served."""
        if self._inside >= self._most:
            wait = self._rate.wait(self._inside)
            raise ModelBusy(f"too much {self._name} waits already: try again in a moment", retry_after=wait)
        self._inside += 1
        self._rate.begin()
        finished = False
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, work)
            finished = True
            return found
        finally:
            self._inside -= 1
            self._rate.end(finished=finished)

    def close(self) -> None:
        """Begin nothing more; what has begun goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
