"""The time of a weights format beside other work: its fastest calls, not its sum."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rag.engine import weights
from rag.engine.llama import CHUNK


class Disturbed:
    """A model whose calls take 2 ms a row and 5 beside; every other one waits for other work."""

    def __init__(self) -> None:
        self.clock, self.calls = 0.0, 0

    def remove(self, sequence: int) -> None:
        assert sequence == 0

    def evaluate(self, rows: list[tuple[int, int, int, bool]]) -> Any:
        self.calls += 1
        self.clock += 0.005 + 0.002 * len(rows) + (0.4 if self.calls % 2 else 0.0)
        return np.zeros((1, 8), np.float32) if rows[-1][3] else None


def test_what_other_work_delays_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Disturbed()
    monkeypatch.setattr(weights, "time", SimpleNamespace(perf_counter=lambda: model.clock))
    prompt, answer = weights._time(model, list(range(3 * CHUNK)))  # type: ignore[arg-type]  # all of it that is called
    assert prompt == pytest.approx((0.005 + 0.002 * CHUNK) / CHUNK)
    assert answer == pytest.approx(0.007)
    assert model.calls == 3 + weights.ANSWER_TOKENS
