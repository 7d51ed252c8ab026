"""A server that drains: told to stop, it takes nothing new, finishes what it took, and then ends. Knows no route.

Its socket listens meanwhile, so that whoever asks is told to come back, and a load balancer that it is not ready. The
second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from types import FrameType

import uvicorn

from api.observing import Observer
from api.service import Service, Stopping

LAST_SECONDS = 2
"""For a caller to read the end of what is ended at the deadline."""

log = logging.getLogger("understudy.api")


class DrainingServer(uvicorn.Server):
    """uvicorn, with a drain before its own shutdown."""

    def __init__(
        self, config: uvicorn.Config, *, drained: Callable[[], tuple[Service, Observer]], seconds: float
    ) -> None:
        """drained: asked for at the first signal; seconds: after which answers are ended with a problem"""
        super().__init__(config)
        self._drained, self._seconds = drained, seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    async def main_loop(self) -> None:
        """Serve until told to end."""
        self._loop = asyncio.get_running_loop()
        await super().main_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: the first drains, the second ends the process."""
        again = bool(self._captured_signals)
        if again:
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
        if self._loop is None or self.should_exit:
            super().handle_exit(sig, frame)
            return
        self._captured_signals.append(sig)
        self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        service, observer = self._drained()
        service.refuse()
        log.info("stopping", extra={"fields": {"answers": observer.open_answers(), "seconds": self._seconds}})
        ended = await observer.finished(
            self._seconds, Stopping("the server stopped before this answer was finished; ask again in a moment")
        )
        service.refuse(admitted=True)
        if ended:
            log.warning("answers were ended unfinished", extra={"fields": {"answers": ended}})
        self.config.timeout_graceful_shutdown = LAST_SECONDS
        self.should_exit = True
