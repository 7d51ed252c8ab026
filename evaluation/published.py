"""Figures of a 2025 industry overview, repeated as they stand, and our measured row beside them. Pure.

Every figure of `PUBLISHED` and `USE_CASES` is published, not measured here.
"""

from __future__ import annotations

from pydantic import Field

from evaluation.cost import HOURS_A_MONTH, HardwarePrice, Range
from evaluation.rows import Row
from rag.types import Value

NOTE = "published, not measured here"


class ModelRow(Value):
    """One model of the table; None where a figure is not known."""

    model: str
    kind: str
    parameters: str
    mmlu: float | None = None
    hellaswag: float | None = None
    gsm8k: float | None = None
    tokens_per_second: float
    latency_ms: float
    usd_per_million: Range
    note: str = NOTE


class UseCase(Value):
    """Published latencies of one use case, in milliseconds."""

    name: str
    small_ms: float
    large_ms: float | None = Field(description="None: not feasible")


def _flat(usd: float) -> Range:
    return Range(low=usd, high=usd)


PUBLISHED = (
    ModelRow(model="GPT-4", kind="LLM", parameters="~1.7T", mmlu=86.4, hellaswag=95.3, gsm8k=92.0,
             tokens_per_second=15, latency_ms=800, usd_per_million=_flat(45.0)),
    ModelRow(model="GPT-4 Turbo", kind="LLM", parameters="~1.7T", mmlu=85.0, hellaswag=93.0, gsm8k=90.0,
             tokens_per_second=20, latency_ms=750, usd_per_million=_flat(50.0)),
    ModelRow(model="Phi-3", kind="SLM", parameters="3.8B", mmlu=69.0, hellaswag=76.0, gsm8k=82.0,
             tokens_per_second=250, latency_ms=80, usd_per_million=_flat(0.30)),
    ModelRow(model="Mistral 7B", kind="SLM", parameters="7B", mmlu=60.1, hellaswag=81.0, gsm8k=50.0,
             tokens_per_second=200, latency_ms=100, usd_per_million=_flat(0.25)),
    ModelRow(model="Qwen2-1.5B", kind="SLM", parameters="1.5B", mmlu=52.4, hellaswag=65.0, gsm8k=45.0,
             tokens_per_second=400, latency_ms=50, usd_per_million=_flat(0.15)),
)  # fmt: skip
USE_CASES = (
    UseCase(name="real-time chatbot", small_ms=50, large_ms=800),
    UseCase(name="content generation", small_ms=100, large_ms=1_200),
    UseCase(name="code completion", small_ms=80, large_ms=900),
    UseCase(name="document analysis", small_ms=120, large_ms=1_500),
    UseCase(name="edge device", small_ms=30, large_ms=None),
)


def published_latency(model: str) -> float:
    """Milliseconds that the overview gives for a model. Raises KeyError for one it does not name."""
    return {row.model: row.latency_ms for row in PUBLISHED}[model]


def our_row(row: Row, *, parameters: str, machines: tuple[HardwarePrice, ...]) -> ModelRow | None:
    """Our row: tokens a second of a whole answer's generation, prefill included; dollars on machines kept busy.

    None without measured tokens. The price is a month of the cheapest and the dearest machine over the tokens that it
    would read and write in a month without a pause, prompt tokens counted as the published prices count them.
    """
    if not (row.tokens_per_second and row.p50_ms and row.tokens and machines):
        return None
    tokens_a_month = row.tokens / (row.p50_ms / 1000) * HOURS_A_MONTH * 3600
    months = [machine.monthly() for machine in machines]
    return ModelRow(
        model=f"{row.model} with retrieval",
        kind="SLM",
        parameters=parameters,
        tokens_per_second=row.tokens_per_second,
        latency_ms=row.p50_ms,
        usd_per_million=Range(
            low=min(m.low for m in months) / tokens_a_month * 1e6,
            high=max(m.high for m in months) / tokens_a_month * 1e6,
        ),
        note="measured in this run: whole answers with retrieval, one at a time; its price is that of a busy machine",
    )
