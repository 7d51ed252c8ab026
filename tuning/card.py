"""The card of an adapter: what it learned from, by what recipe, under which licence, and what it is worth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag.types import Value
from tuning.checking import Figures


class Source(Value):
    """Questions that were learned from or checked with."""

    name: str
    licence: str = ""
    questions_sha256: str
    """of the questions and answers that were trained on"""
    trained: int
    checked: int
    left_to_report: int


class Card(Value):
    """Stands beside the adapter as JSON; `rag.adapters.lora_files` reads base, hash and what it saw."""

    base: str
    base_sha256: str
    sha256: str
    licence: str
    sources: tuple[Source, ...]
    trained: tuple[str, ...]
    checked: tuple[str, ...]
    """`rag.prompt.seen_hash` of questions: `evaluate run` does not ask what was trained on or checked with"""
    recipe: dict[str, Any]
    examples: dict[str, int]
    final_loss: float
    before: Figures | None
    after: Figures | None = None
    """the pipeline on the questions kept for checking, with the plain model and with the adapter"""
    code: str
    hardware: str
    date: str

    def write(self, adapter: Path) -> None:
        """Write it beside the adapter."""
        adapter.with_suffix(".json").write_text(self.model_dump_json(indent=1) + "\n", "utf-8")


def plot(path: Path, losses: Sequence[float], *, window: int = 10) -> None:
    """The loss of every step and its running mean, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, color="#cccccc", linewidth=1, label="step")
    mean = [sum(losses[max(0, i - window + 1) : i + 1]) / len(losses[max(0, i - window + 1) : i + 1]) for i in
            range(len(losses))]  # fmt: skip
    axes.plot(range(1, len(losses) + 1), mean, color="#2457c5", label=f"mean of {window}")
    axes.set_xlabel("step")
    axes.set_ylabel("loss of the answer, nats a token")
    axes.legend(frameon=False)
    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "understudy"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    path.write_text(drawn.getvalue(), "utf-8")
