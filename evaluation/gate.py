"""Two runs over the same questions: what changed question by question, and whether a loss is real. Pure.

A gate fails only for a loss that is no chance: the one-sided 95% bound of the paired difference lies below zero, and
so does the exact one-sided McNemar test at 5%, which small numbers of changed questions do not fool.
"""

from __future__ import annotations

from pydantic import Field

from evaluation.finished import Finished
from evaluation.judge import Judge
from evaluation.judging import own_answer
from evaluation.scoring import OURS
from evaluation.statistics import Difference, mcnemar, paired_difference
from evaluation.suites import Use
from rag.errors import InvalidCorpus
from rag.types import Value

ERROR = 0.05


class Changed(Value):
    """A question that only one of the runs has right."""

    id: str
    before: str
    after: str


class Gate(Value):
    """The second run against the first, over the answerable questions of both."""

    arm: str
    n: int
    before: float = Field(description="share right in the first run")
    after: float
    difference: Difference = Field(description="second less first")
    mcnemar: float = Field(description="exact, two-sided")
    gained: tuple[Changed, ...]
    lost: tuple[Changed, ...]
    real_loss: bool


def gate(first: Finished, second: Finished, judge: Judge, *, arm: str = OURS, quotable: bool = True) -> Gate:
    """Compare an arm of two runs. Raises InvalidCorpus where they share no question that both answered."""
    before = {record.id: record for record in first.records if record.arm == arm}
    after = {record.id: record for record in second.records if record.arm == arm}
    other = {question.id: question for question in second.questions}
    shared = [
        question
        for question in first.questions
        if question.use is Use.ANSWERABLE
        and question.id in before
        and question.id in after
        and other[question.id].answers == question.answers
    ]
    if not shared:
        raise InvalidCorpus(
            f"the runs {first.folder} and {second.folder} share no answerable question that arm {arm} answered in both"
        )
    a = [own_answer(q, before[q.id], judge).judgement.correct for q in shared]
    b = [own_answer(other[q.id], after[q.id], judge).judgement.correct for q in shared]
    difference = paired_difference(
        [float(x) for x in b], [float(x) for x in a], [q.cluster for q in shared], seed=first.declared.seed
    )
    p = mcnemar(b, a)
    changed = [
        (y, Changed(id=q.id, before=before[q.id].text if quotable else "", after=after[q.id].text if quotable else ""))
        for q, x, y in zip(shared, a, b, strict=True)
        if x != y
    ]
    return Gate(
        arm=arm,
        n=len(shared),
        before=sum(a) / len(a),
        after=sum(b) / len(b),
        difference=difference,
        mcnemar=p,
        gained=tuple(change for right, change in changed if right),
        lost=tuple(change for right, change in changed if not right),
        real_loss=difference.one_sided_high < 0 and p / 2 <= ERROR,
    )
