"""A language model as judge, by the same protocol that answers; optional, and measured against people like the other.

It is asked for one word. Anything but yes or no is a failure, counted as a disagreement and never dropped. Knows no
system's name: only the question, the gold answers and the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from evaluation.choices import yes_no
from evaluation.judge import Judge
from evaluation.suites import Kind, Recorded, Suite
from rag.errors import InvalidSettings
from rag.types import Message, Prompt, Value

if TYPE_CHECKING:
    from rag.protocols import LanguageModel

RULE = (
    "You check answers. Say yes if the answer given means the same as one of the right answers, or contains it; say no "
    "if it is wrong, refuses, or says something else. Answer with one word: yes or no."
)


class Agreement(Value):
    """Agreement of both judges with people, on the answers of one system."""

    system: str
    answers: int
    human_rate: float
    judge_agreement: float = Field(description="of the deterministic judge")
    judge_rate: float
    llm_agreement: float | None = Field(default=None, description="failures are disagreements")
    llm_rate: float | None = None
    llm_failures: int | None = None


def judge_by_model(model: LanguageModel, question: str, golds: Sequence[str], answer: str) -> bool | None:
    """Whether the model calls an answer right; None where it says neither yes nor no. Raises what `generate` raises."""
    asked = (
        f"Question: {question}\nRight answers: {' | '.join(golds)}\nAnswer given: {answer}\nIs the answer given right?"
    )
    prompt = Prompt(
        messages=(Message(role="system", content=RULE), Message(role="user", content=asked)),
        max_tokens=8,
        temperature=0.0,
        seed=0,
    )
    said = yes_no("".join(piece.text for piece in model.generate(prompt)))
    return {"yes": True, "no": False}.get(said or "")


def agreement(
    suite: Suite,
    judge: Judge,
    model: LanguageModel | None,
    *,
    limit: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Agreement, ...]:
    """Agreement with the human labels over all systems, then of each; free-text questions with gold answers only.

    limit: at most so many answers of each system (0: all), the first of the suite
    Raises InvalidSettings where no recorded answer of the suite was labelled by a person.
    """
    questions = {q.id: q for q in suite.used() if q.kind is Kind.FREE and q.answers}
    systems: dict[str, list[Recorded]] = {}
    for row in suite.recorded:
        if row.correct is not None and row.id in questions:
            systems.setdefault(f"{row.model} {row.setting}", []).append(row)
    if not systems:
        raise InvalidSettings(
            f"{suite.name} has no recorded answer to a free-text question with a human label (baselines/*.jsonl, field "
            "'correct'): there is nothing to measure a judge against"
        )
    chosen = {name: rows[: limit or None] for name, rows in sorted(systems.items())}
    total, done = sum(len(rows) for rows in chosen.values()), 0
    by_system: dict[str, list[tuple[bool, bool, bool | None]]] = {}
    for name, rows in chosen.items():
        for row in rows:
            q = questions[row.id]
            by_model = judge_by_model(model, q.question, q.answers, row.answer) if model else None
            called = judge.judge(q.question, q.answers, row.answer).correct
            by_system.setdefault(name, []).append((bool(row.correct), called, by_model))
            done += 1
            if progress:
                progress(name, done, total)
    every = [item for items in by_system.values() for item in items]
    groups = [("all", every), *by_system.items()] if every else []
    return tuple(_agreement(name, items, asked=model is not None) for name, items in groups)


def _agreement(name: str, items: Sequence[tuple[bool, bool, bool | None]], *, asked: bool) -> Agreement:
    n = len(items)
    return Agreement(
        system=name,
        answers=n,
        human_rate=sum(human for human, _, _ in items) / n,
        judge_agreement=sum(human == called for human, called, _ in items) / n,
        judge_rate=sum(called for _, called, _ in items) / n,
        llm_agreement=sum(human is said for human, _, said in items) / n if asked else None,
        llm_rate=sum(said is True for _, _, said in items) / n if asked else None,
        llm_failures=sum(said is None for _, _, said in items) if asked else None,
    )
