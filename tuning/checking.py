"""What an adapter is worth, on questions that it never saw: read, refuse, and closed book. The evaluation's judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evaluation.choices import refusals
from evaluation.judge import shipped_judge
from rag.types import Message, Prompt, Question, Value

if TYPE_CHECKING:
    from rag.pipeline import Pipeline
    from tuning.examples import Labelled

CLOSED = "Answer the question in a few words. If you do not know, say: I do not know."


class Figures(Value):
    """Shares in [0, 1], of the numbers of questions beside them."""

    answerable: int
    right: float
    refused_wrongly: float
    out_of_corpus: int
    refused_rightly: float
    options: int
    options_right: float
    closed_book_right: float
    """of the answerable, without any passage: what the weights know by heart"""


def check(
    pipeline: Pipeline,
    parts: Sequence[tuple[str, Sequence[Labelled]]],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Figures:
    """Ask the questions of each (domain, questions) through the pipeline as it is."""
    judge = shipped_judge()
    right = refused = silent = chosen = heart = 0
    answerable = outside = optional = 0
    total, done = sum(len(questions) for _, questions in parts), 0
    for domain, questions in parts:
        for labelled in questions:
            answer = pipeline.answer(Question(text=labelled.question, domain=domain, options=labelled.options))
            text = "" if answer.abstained else answer.text
            if labelled.options:
                optional += 1
                chosen += text == labelled.answers[0]
            elif labelled.answers:
                answerable += 1
                refused += answer.abstained
                right += bool(text) and judge.judge(labelled.question, labelled.answers, text).correct
                said = _closed(pipeline, labelled.question)
                heart += not refusals(said) and judge.judge(labelled.question, labelled.answers, said).correct
            else:
                outside += 1
                silent += answer.abstained
            done += 1
            if progress:
                progress(done, total)
    return Figures(
        answerable=answerable,
        right=right / max(1, answerable),
        refused_wrongly=refused / max(1, answerable),
        out_of_corpus=outside,
        refused_rightly=silent / max(1, outside),
        options=optional,
        options_right=chosen / max(1, optional),
        closed_book_right=heart / max(1, answerable),
    )


def _closed(pipeline: Pipeline, question: str) -> str:
    messages = (Message(role="system", content=CLOSED), Message(role="user", content=f"Question: {question}\nAnswer:"))
    prompt = Prompt(messages=messages, max_tokens=24, stop=("\n",))
    return "".join(piece.text for piece in pipeline.model.generate(prompt)).strip()
