"""Labelled questions of a suite, dealt into those to train on, to check with, and to leave to the report.

What a report asks (`evaluation.sampling`) is never trained on, nor is any document that answers it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.sampling import sample
from evaluation.suites import Suite, SuiteQuestion, Use
from rag.prompt import seen_hash
from rag.types import Document
from tuning.examples import Labelled, is_polar
from tuning.synthetic import questions


@dataclass(frozen=True, slots=True)
class Deal:
    """Three parts that share no question and no document that answers one."""

    train: tuple[Labelled, ...]
    check: tuple[Labelled, ...]
    report: tuple[Labelled, ...]

    @property
    def hidden(self) -> frozenset[str]:
        """Documents that training must not see."""
        return frozenset(document for part in (self.check, self.report) for q in part for document in q.gold)


def deal(suite: Suite, *, report: int, report_seed: int, check: int, seed: int, tasks: Sequence[str] = ()) -> Deal:
    """Split the proper questions of a suite.

    report, report_seed: `--limit` and `--seed` of the evaluation that must stay unseen; 0 leaves nothing to it
    check: questions to choose settings and thresholds by
    tasks: only these sub-suites are trained on and checked with; all by default
    """
    reported = {q.id for q in sample(suite, limit=report, seed=report_seed)} if report else set()
    proper = [question for question in suite.used() if not tasks or question.task in tasks]
    kept = [question for question in suite.used() if question.id in reported]
    documents = {document for question in kept for document in question.gold_doc_ids}
    rest = [q for q in proper if q.id not in reported and not documents & set(q.gold_doc_ids)]
    random.Random(seed).shuffle(rest)  # noqa: S311  # a repeatable draw, no secret
    checked = rest[:check]
    seen = {document for question in checked for document in question.gold_doc_ids}
    trained = [q for q in rest[check:] if not seen & set(q.gold_doc_ids)]
    return Deal(*(tuple(map(labelled, part)) for part in (trained, checked, kept)))


def beside(dealt: Deal, documents: Sequence[Document], *, limit: int, seed: int) -> Deal:
    """Questions made without labels (`tuning.synthetic`), from documents that no question kept back rests on."""
    open_to = [document for document in documents if document.id not in dealt.hidden]
    return Deal(tuple(questions(open_to, limit=limit, seed=seed)), (), (*dealt.check, *dealt.report))


def chosen(suite: Suite, hashes: frozenset[str]) -> tuple[Labelled, ...]:
    """The proper questions of a suite that a card names: by `rag.prompt.seen_hash`."""
    return tuple(labelled(question) for question in suite.used() if seen_hash(question.question) in hashes)


def labelled(question: SuiteQuestion) -> Labelled:
    """A suite's question as training takes it; of options only yes, no and maybe are shown."""
    options = tuple(question.options.values())
    answers = question.answers if question.use is Use.ANSWERABLE else ()
    if is_polar(options):
        answers = (question.options[question.gold_letter],) if question.gold_letter else ()
        options = tuple(option.lower() for option in options)
    return Labelled(
        id=question.id,
        question=question.question,
        answers=tuple(answer.lower() for answer in answers) if options else answers,
        gold=question.gold_doc_ids,
        options=options,
    )
