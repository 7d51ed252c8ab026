"""Tuning on a GPU, where there is one: it learns the same, and what it began goes on without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.fakes.gguf_files import write_gguf
from tuning.training import Recipe, Tokens, device_of, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")

RECIPE = Recipe(steps=12, batch=2, rank=4, alpha=8.0, learning_rate=0.02, warmup=1, dropout=0.0)
EXAMPLES: list[Tokens] = [([3 + i, 9, 12, 20 + i], [30 + i, 31, 40]) for i in range(5)]


class Cut(Exception):
    """The run ends here, as by a signal."""


def cut(step: int, _steps: int, _loss: float) -> None:
    if step == 7:
        raise Cut


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "llama.gguf"
    write_gguf(path, "llama")
    return path


def test_it_is_taken_unasked_and_learns_as_the_cpu_does(base: Path, tmp_path: Path) -> None:
    assert device_of() == "cuda"
    torch.cuda.reset_peak_memory_stats()
    there = train(base, EXAMPLES, RECIPE, checkpoint=tmp_path / "gpu.pt")
    assert torch.cuda.max_memory_allocated() > 0
    here = train(base, EXAMPLES, RECIPE, checkpoint=tmp_path / "cpu.pt", device="cpu")
    assert there.losses == pytest.approx(here.losses, rel=0.1), "its products are in bfloat16"
    assert there.losses[-1] < there.losses[0] / 2


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_the_other_device(base: Path, tmp_path: Path, first: str, then: str) -> None:
    whole = train(base, EXAMPLES, RECIPE, checkpoint=tmp_path / "whole.pt", device=first)
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(Cut):
        train(base, EXAMPLES, RECIPE, checkpoint=checkpoint, progress=cut, save_every=3, device=first)
    seen: list[int] = []
    again = train(
        base, EXAMPLES, RECIPE, checkpoint=checkpoint, progress=lambda step, _n, _l: seen.append(step), device=then
    )
    assert seen[0] == 7, "after the sixth step, the last one saved"
    assert again.losses[:6] == whole.losses[:6]
    assert again.losses == pytest.approx(whole.losses, rel=0.1)
