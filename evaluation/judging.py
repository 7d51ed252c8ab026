"""One answer, of an arm or recorded, put before the judge. Pure.

An abstention on an answerable question is wrong; where no gold answer exists, to refuse is right for every system.
"""

from __future__ import annotations

from pydantic import Field

from evaluation.choices import refusals
from evaluation.judge import Judge, Judgement, judge_choice, judge_yes_no
from evaluation.metrics import grounding
from evaluation.metrics.grounding import Outcome
from evaluation.records import Record
from evaluation.suites import Kind, Recorded, SuiteQuestion, Use
from rag.types import Value


class Scored(Value):
    """One answer and what the judge says of it."""

    id: str
    cluster: str
    answerable: bool
    judgement: Judgement
    abstained: bool = False
    outcome: Outcome | None = Field(default=None, description="for arms that cite")
    confidence: float | None = None
    text: str = ""


def _judged(question: SuiteQuestion, text: str, judge: Judge) -> Judgement:
    """The same for every system. Where a question has no gold answer, to refuse is right and all else wrong."""
    if question.kind is Kind.CHOICE:
        return judge_choice(question.options, question.gold_letter, text)
    if question.kind is Kind.YES_NO:
        return judge_yes_no(question.options.get(question.gold_letter, "").lower(), word(question, text))
    if question.answers:
        return judge.judge(question.question, question.answers, text)
    refused = refusals(text) > 0
    return Judgement(correct=refused, probability=float(refused), refused=refused, style="exact")


def word(question: SuiteQuestion, text: str) -> str:
    """A recorded letter as the word of its option; anything else as it stands."""
    return question.options.get(text.strip().upper(), text)


def own_answer(question: SuiteQuestion, record: Record, judge: Judge) -> Scored:
    """An answer given here. A failure is wrong and no refusal; support is looked for where the arm cites."""
    answerable = question.use is Use.ANSWERABLE
    judged = _judged(question, record.text, judge)
    if record.failure:  # counted, never dropped, and no answer is not a refusal
        judged = judged.model_copy(update={"correct": False, "refused": False})
    abstained = not record.failure and (record.abstained or judged.refused)
    outcome = None
    if record.citations or record.abstained:
        outcome = grounding.outcome(
            correct=judged.correct, abstained=abstained, answerable=answerable, grounded=_grounded(question, record)
        )
    return Scored(
        id=question.id,
        cluster=question.cluster,
        answerable=answerable,
        judgement=judged,
        abstained=abstained,
        outcome=outcome,
        confidence=record.confidence,
        text=record.text,
    )


def _grounded(question: SuiteQuestion, record: Record) -> bool:
    """With evidence text: a citation supports its claim. Without, or for a bare yes or no: a gold document is cited, or
    words that stand in one just so: pages of one family repeat whole sentences."""
    told = question.kind is not Kind.YES_NO  # "yes" has no words that a quote could hold
    if (told and question.gold_evidence) or not question.gold_doc_ids:
        return any(
            grounding.support(question.question, c.claim, c.quote) >= grounding.SUPPORTED for c in record.citations
        )
    return any(
        c.document_id in question.gold_doc_ids or grounding.stands(c.quote, question.gold_texts)
        for c in record.citations
    )


def recorded_answer(question: SuiteQuestion, row: Recorded, judge: Judge) -> Scored:
    """A recorded answer, by the same judge; its recorded letter where it has one."""
    judged = _judged(question, row.choice or row.answer, judge)
    return Scored(
        id=row.id,
        cluster=question.cluster,
        answerable=question.use is Use.ANSWERABLE,
        judgement=judged,
        text=row.answer,
    )
