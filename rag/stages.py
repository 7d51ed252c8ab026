"""Wall time of the stages of one answer. Pure but for the clock."""

from __future__ import annotations

import time

from rag.types import StageTiming


class StageClock:
    """Wall time of named stages, one after the other."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._stages: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """The time since the last lap belongs to `stage`."""
        now = time.perf_counter()
        self._stages[stage] = self._stages.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now

    def timings(self) -> tuple[StageTiming, ...]:
        """What was measured, in order, in milliseconds."""
        return tuple(StageTiming(stage=name, milliseconds=round(ms, 3)) for name, ms in self._stages.items())
