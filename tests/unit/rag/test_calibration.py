"""Confidence: a logistic of the signals, honest about what it was fitted on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rag.calibration import Calibration, Fit, read, shipped
from rag.errors import InvalidSettings

FIT = Fit(weights={"span": 0.5, "sentence": 2.0}, bias=-1.0, threshold=0.4)
CALIBRATION = Calibration(
    fits={"span": FIT}, max_refused=0.08, n=90, suite="s", date="2026-11-25T10:00:00+00:00", weights="w", embedder="e",
    generation="g1",
)  # fmt: skip


def test_a_confidence_is_the_logistic_of_the_weighed_signals() -> None:
    assert FIT.confidence({"span": 0.0, "sentence": 0.5}) == pytest.approx(0.5)
    assert FIT.confidence({"span": -4.0, "sentence": 0.5}) < 0.2
    assert FIT.confidence({}) == pytest.approx(1 / (1 + 2.718281828), abs=1e-6)
    assert 0.0 <= FIT.confidence({"span": -1e9}) < 1e-9


def test_what_changed_since_is_said() -> None:
    assert CALIBRATION.stale(weights="w", embedder="e", generation="g1") == ""
    told = CALIBRATION.stale(weights="other", embedder="e", generation="g2")
    assert "the model or its adapter and the indexed documents changed" in told
    assert "2026-11-25" in told
    anywhere = CALIBRATION.model_copy(update={"generation": ""})
    assert anywhere.stale(weights="w", embedder="e", generation="g7") == ""


def test_a_file_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert read(path) is None
    path.write_text(CALIBRATION.model_dump_json(), "utf-8")
    assert read(path) == CALIBRATION
    path.write_text('{"fits": {}', "utf-8")
    with pytest.raises(InvalidSettings, match="fit it anew"):
        read(path)


def test_the_shipped_one_was_checked_on_other_questions() -> None:
    found = shipped()
    assert found is not None
    assert set(found.fits) == {"span", "model", "quote", "option", "definition"}
    for held in found.trusted.values():
        assert held.n > 30
        chance = 3 * math.sqrt(held.confidence * (1 - held.confidence) / held.n)
        assert abs(held.right - held.confidence) < chance, "three standard errors of what it promises"
    assert found.checked is not None
    assert found.checked.answerable > 100
    assert found.checked.refused <= 0.15
