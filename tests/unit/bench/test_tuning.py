"""The sweep over recipes: a tiny model that learns its examples is scored as one that has learned them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bench import tuning
from tests.fakes.gguf_files import write_gguf
from tuning.training import Recipe

REFUSAL = [40, 41]
ROWS = [
    {"lesson": "span", "prompt": [3, 9, 12, 20], "answer": [30, 31]},
    {"lesson": "span", "prompt": [4, 9, 12, 21], "answer": [32, 31]},
    {"lesson": "refusal", "prompt": [5, 10, 13, 22], "answer": REFUSAL},
]


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Recipe(steps=60, batch=3, rank=4, alpha=8.0, learning_rate=0.05, warmup=1, dropout=0.0)
    none = Recipe(steps=1, batch=3, rank=4, alpha=8.0, learning_rate=0.0, warmup=1, dropout=0.0)
    monkeypatch.setattr(tuning, "TRIALS", {"long": tuning.Trial(long), "none": tuning.Trial(none)})


def test_what_was_learned_shows_and_what_was_not_does_not(trials: None, tmp_path: Path) -> None:
    base = tmp_path / "llama.gguf"
    write_gguf(base, "llama")
    data = tmp_path / "examples.json.gz"
    rows = {"train": ROWS, "made": [], "check": ROWS, "refusal": REFUSAL}
    data.write_bytes(gzip.compress(json.dumps(rows).encode()))
    long, none = (tuning.tried(data, base, tmp_path, name) for name in ("long", "none"))
    assert long["span"]["whole"] == long["refusal"]["whole"] == long["refusing"] == 1.0
    assert long["span"]["nats"] < 0.1 < none["span"]["nats"]
    assert none["span"]["whole"] == none["refusal"]["whole"] == 0.0
    assert long["span"]["n"] == 2
    assert "choice" not in long
    assert (tmp_path / "long.gguf").is_file()
