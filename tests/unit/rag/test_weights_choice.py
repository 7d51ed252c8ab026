"""Which weights format is the fastest: by its fastest calls beside other work, and with what an adapter costs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rag.engine import weights
from rag.engine.llama import CHUNK
from rag.errors import ModelUnavailable


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


def trial(name: str, seconds: float, *, lossless: bool = True) -> weights.Trial:
    return weights.Trial(
        format=name,
        prefill_tokens_per_second=1.0,
        decode_tokens_per_second=1.0,
        divergence=0.0,
        perplexity_ratio=1.0,
        lossless=lossless,
        answer_seconds=seconds,
    )


def test_the_file_as_shipped_is_chosen_with_an_adapter_only_where_it_stays_the_fastest_with_it() -> None:
    trials = [trial("as-shipped", 0.52), trial("Q4_0", 0.40, lossless=False), trial("Q8_0", 0.54)]
    assert weights.fastest(trials, adapted=False).format == "as-shipped"
    assert weights.fastest(trials, adapted=True).format == "Q8_0"
    assert weights.fastest([trial("as-shipped", 0.40), *trials[1:]], adapted=True).format == "as-shipped"


def test_a_choice_is_made_from_what_was_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def child(_module: str, *arguments: str) -> str:
        calls.append(arguments[0])
        if arguments[0] == "convert":
            Path(arguments[2]).write_bytes(b"")
            return ""
        (Path(arguments[2]) / "Q8_0.gguf").write_bytes(b"")
        return json.dumps([trial("as-shipped", 0.52).model_dump(), trial("Q8_0", 0.54).model_dump()])

    monkeypatch.setattr(weights, "run_child", child)
    source = tmp_path / "model.gguf"
    source.write_bytes(b"")

    def chosen(*, adapted: bool) -> str:
        choice = weights.choose(source, "a" * 64, tmp_path, wanted="auto", threads=2, adapted=adapted)
        assert Path(choice.path).is_file()
        return choice.format

    assert [chosen(adapted=adapted) for adapted in (True, True, False, True)] == ["Q8_0", "Q8_0", "as-shipped", "Q8_0"]
    assert calls == ["measure", "convert"], "measured once; what went with another choice is converted anew"


def test_a_child_that_a_signal_ended_is_told_apart_from_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run

    def killed(_command: list[str], **options: Any) -> Any:
        return real(["/bin/sh", "-c", "kill -SEGV $$"], **options)

    monkeypatch.setattr(subprocess, "run", killed)
    with pytest.raises(ModelUnavailable, match=r"llama.cpp broke off \(SIGSEGV\).* builds it anew"):
        weights.run_child("rag.engine.weights", "measure")


@pytest.mark.parametrize(
    ("chosen", "shipped", "bytes_", "written"),
    [
        ("Q8_0", "Q4_1", 4, "F16"),
        ("BF16", "Q4_1", 4, "F16"),
        ("as-shipped", "Q4_1", 4, "F16"),
        ("F16", "Q4_1", 4, "F16"),
        ("as-shipped", "F32", 4, "as-shipped"),
        ("Q8_0", "Q4_1", 5, "Q8_0"),
    ],
)
def test_own_words_are_written_with_a_format_that_rounds_little_where_the_file_is_no_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, shipped: str, bytes_: int, written: str
) -> None:
    made: list[str] = []
    monkeypatch.setattr(weights, "run_child", lambda _module, *arguments: made.append(arguments[2]))
    monkeypatch.setattr(weights, "MAX_STEADY_BYTES", 4)
    source = tmp_path / "model.gguf"
    source.write_bytes(b"x" * bytes_)
    choice = weights.Choice(machine="m", source_sha256="a" * 64, format=chosen, path="chosen.gguf", trials=())
    for plain in (False, True):
        found = weights.steady(choice, source, tmp_path, shipped_format=shipped, plain=plain)
        assert found.format == written
        assert (found is choice) == (written == chosen)
        assert made == ([found.path] if plain and found is not choice else [])
