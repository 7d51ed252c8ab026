"""What to run in production: the five-step workflow over a scored part, with reasons and what would change it. Pure.

1 ceiling, 2 step down, 3 the declared threshold, 4 the gap that retrieval closes, 5 the choice. A threshold is met
only where the interval says so, not the point: the lower one-sided bound of the difference, or of the rate.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evaluation.comparing import Comparison
from evaluation.rows import Row
from evaluation.scoring import OURS, Part
from rag.types import Value

MOST_ESCALATED = 0.5
"""A cascade that sends more than this to the large model saves too little to be run for it."""


Choice = Literal["small model", "large model", "hybrid", "neither", "undecided"]


class Threshold(Value):
    """What production accepts; declared, never read off the results."""

    min_accuracy: float | None = Field(default=None, gt=0, lt=1, description="least accuracy")
    max_accuracy_loss: float = Field(default=0.05, gt=0, lt=1, description="most that may be lost to the large model")
    min_speedup: float | None = Field(default=None, gt=0, description="latency gain that the loss is accepted for")


class Recommendation(Value):
    """One part's recommendation."""

    part: str
    choice: Choice
    because: str
    steps: tuple[str, ...]
    would_change: tuple[str, ...]
    escalated: float | None = Field(default=None, description="share that a hybrid sends to the large model")


def recommend(part: Part, threshold: Threshold, *, published_large_ms: float) -> Recommendation:
    """Recommend from the figures of one part.

    published_large_ms: latency of the large model where the run did not measure one itself
    """
    rows = {row.arm: row for row in part.rows}
    if OURS not in rows:
        return Recommendation(
            part=part.name,
            choice="undecided",
            because="the arm slm+rag did not run to its end",
            steps=(),
            would_change=("run slm+rag over every question",),
        )
    case = _Case(part, rows, threshold, published_large_ms)
    choice, because, escalated = case.alone() or case.with_large()
    return Recommendation(
        part=part.name,
        choice=choice,
        because=because,
        steps=(case.ceiling(), case.step_down(), case.declared(), case.gap(), f"Choice: {choice}, for {because}."),
        would_change=case.would_change(choice),
        escalated=escalated,
    )


class _Case:
    """One part, our row, and the row of the large model that the run declared as its comparator."""

    def __init__(self, part: Part, rows: dict[str, Row], threshold: Threshold, published_ms: float) -> None:
        self.part, self.rows, self.threshold = part, rows, threshold
        self.ours = rows[OURS]
        self.primary: Comparison | None = next((c for c in part.comparisons if c.primary), None)
        self.large: Row | None = None
        self.speed, self.how = 1.0, ""
        if self.primary is not None:
            wanted = (self.primary.arm, self.primary.model)
            self.large = next(row for row in part.rows if (row.arm, row.model) == wanted)
            theirs = self.large.p50_ms if self.large.p50_ms is not None else published_ms
            self.speed = theirs / max(1e-9, self.ours.p50_ms or 1e-9)
            self.how = f"its {published_ms:,.0f} ms are published, not measured here"
            if self.large.p50_ms is not None:
                self.how = "both measured in this run"

    # --- the steps, in words ---

    def ceiling(self) -> str:
        large = [row for row in self.part.rows if row.arm.startswith("llm")]
        if not large:
            return "Ceiling: no large model answered these questions, so it is not known whether they can be answered."
        best = max(large, key=lambda row: row.rate.judged)
        return f"Ceiling: {best.model}, {best.arm}, has {best.rate.judged:.1%} right."

    def step_down(self) -> str:
        said = f"Step down: {self.ours.model} with retrieval has {self.ours.rate.judged:.1%} right"
        if self.large is None:
            return said + "."
        lost = (self.large.rate.judged - self.ours.rate.judged) * 100
        than = f"{abs(lost):.1f} points {'fewer' if lost > 0 else 'more'} than {self.large.model}"
        return f"{said}, {than}; {self.speed:.2g} times as fast ({self.how})."

    def declared(self) -> str:
        said = f"at most {self.threshold.max_accuracy_loss * 100:.0f} points lost to the large model"
        if self.threshold.min_accuracy is not None:
            said = f"at least {self.threshold.min_accuracy:.0%} right"
        if self.threshold.min_speedup is not None:
            said += f", for answers {self.threshold.min_speedup:g} times as fast"
        return f"Threshold, declared: {said}."

    def gap(self) -> str:
        if "slm" not in self.rows:
            return "Gap: the arm slm did not run, so no gain is credited to retrieval."
        alone = self.rows["slm"].rate.judged
        gain = self.ours.rate.judged - alone
        said = f"Gap: retrieval adds {gain * 100:+.1f} points to the small model"
        if self.large is not None and (gap := self.large.rate.judged - alone) > 0:
            said += f", {gain / gap:.0%} of the way to {self.large.model}"
        if "slm+gold" in self.rows:
            more = (self.rows["slm+gold"].rate.judged - self.ours.rate.judged) * 100
            said += f"; the gold document alone in its context: {more:+.1f} more"
        return said + ". Tuning comes after that."

    # --- the choice ---

    def alone(self) -> tuple[Choice, str, float | None] | None:
        """What needs no mixture: the small model is fast enough and good enough, or not fast enough."""
        floor, least = self.threshold.min_accuracy, self.threshold.min_speedup
        if self.large is not None and least is not None and self.speed < least:
            return "large model", f"the small one is only {self.speed:.2g} times as fast ({self.how})", None
        if floor is not None and self.ours.rate.low >= floor:
            low = self.ours.rate.low
            return "small model", f"even the lower end of its interval, {low:.1%}, meets the threshold", None
        if floor is None and self.primary is not None:
            lost = -self.primary.difference.one_sided_low
            if lost < self.threshold.max_accuracy_loss:
                return "small model", f"it loses at most {max(0.0, lost) * 100:.1f} points, with 95% confidence", None
        return None

    def with_large(self) -> tuple[Choice, str, float | None]:
        """What is left: a mixture, the large model, or no answer from these figures."""
        floor, large, primary = self.threshold.min_accuracy, self.large, self.primary
        if large is None or primary is None:
            if floor is not None and self.ours.rate.high < floor:
                return "neither", "no large model is recorded to fall back on", None
            return "undecided", "no large model is recorded, and the interval does not meet a threshold", None
        wanted = floor if floor is not None else large.rate.judged - self.threshold.max_accuracy_loss
        for share, by_confidence, at_random, _ in self.part.cascade:
            if 0 < share <= MOST_ESCALATED and by_confidence >= wanted and by_confidence > at_random:
                kept = f"sending the {share:.0%} least confident questions to {large.model} keeps {by_confidence:.1%}"
                return "hybrid", f"{kept} right (a point of these records: check it on other questions)", share
        choice: Choice = "large model"
        because = f"the small one with retrieval has {self.ours.rate.judged:.1%} right where {wanted:.1%} are wanted"
        if floor is not None and large.rate.high < floor:
            choice, because = "neither", f"{large.model} has {large.rate.judged:.1%} right, and no mixture does it"
        elif floor is None and primary.difference.one_sided_high > -self.threshold.max_accuracy_loss:
            choice, because = "undecided", "the interval spans the threshold: more questions would decide"
        return choice, because, None

    def would_change(self, choice: str) -> tuple[str, ...]:
        said = []
        if "slm+gold" in self.rows and choice != "small model":
            gold = self.rows["slm+gold"].rate.judged
            enough = self.large is not None and gold >= self.large.rate.judged
            what = "better retrieval could do" if enough else "better retrieval alone would not do, better reading must"
            said.append(f"with the gold document in its context the small model has {gold:.1%} right: {what}")
        if self.primary is not None:
            least = self.primary.detectable * 100
            said.append(
                f"differences under {least:.1f} points cannot be seen with {self.part.n} questions; four times as many "
                "would halve that"
            )
        if self.large is None:
            said.append("a large model's answers, recorded by --llm, would make a comparison")
        elif self.large.p50_ms is None:
            said.append(
                "a large model asked live (--llm) would put its real latency and price in place of published ones"
            )
        return tuple(said)
