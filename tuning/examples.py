"""What an adapter learns from: prompts exactly as the pipeline writes them, and the words that should follow.

Four lessons: the exact words of a passage; a refusal where the passages do not hold the answer (questions from outside
the corpus, retrieval that missed, and the same question with the sentences that answer it taken away); one of given
options; yes, no or maybe. Knows no torch.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluation.made_options import look
from rag.extraction import REFUSAL
from rag.prompt import answer_messages
from rag.types import Message, Passage, Question

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

WITHOUT = 0.3
"""Share of the answered questions that are also shown without the sentences that answer them."""
CHOICES = 0.3
"""Share of the answered questions that are also asked with options, the others of one kind with the right one."""
MAX_ANSWER_CHARS = 120
"""A longer gold answer is an explanation, not a span to be copied."""

Lesson = Literal["span", "refusal", "choice", "polar"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question with what is right about it, of whatever source."""

    id: str
    question: str
    answers: tuple[str, ...]
    """accepted answers; none: the corpus does not answer it"""
    gold: tuple[str, ...] = ()
    """documents that hold the answer"""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and its right continuation."""

    id: str
    lesson: Lesson
    messages: tuple[Message, ...]
    answer: str
    documents: frozenset[str]
    """the documents whose words are in the prompt"""


def build(
    pipeline: Pipeline,
    domain: str,
    questions: Sequence[Labelled],
    *,
    seed: int,
    hidden: frozenset[str] = frozenset(),
    progress: Callable[[int, int], None] | None = None,
) -> list[Example]:
    """The examples of some questions over a domain, in order.

    hidden: documents that must not be seen, not even as a distractor
    """
    made: list[Example] = []
    for number, labelled in enumerate(questions, 1):
        rng = random.Random(f"{seed}:{labelled.id}")  # noqa: S311  # a repeatable draw, no secret
        options = labelled.options if is_polar(labelled.options) else ()
        brief = pipeline.brief(Question(text=labelled.question, domain=domain, options=options))
        used = [passage for passage in brief.used if passage.document_id not in hidden]
        if used:
            others = [q for q in questions if q.answers and q.id != labelled.id and not q.options]
            made += _lessons(labelled, brief.question, used, others, rng)
        if progress:
            progress(number, len(questions))
    return made


def is_polar(options: Sequence[str]) -> bool:
    """Whether options are some of yes, no and maybe."""
    return bool(options) and {option.casefold() for option in options} <= {"yes", "no", "maybe"}


def _lessons(
    labelled: Labelled, question: str, used: Sequence[Passage], others: Sequence[Labelled], rng: random.Random
) -> Iterator[Example]:
    def example(lesson: Lesson, used: Sequence[Passage], answer: str, options: Sequence[str] = ()) -> Example:
        return Example(
            id=labelled.id,
            lesson=lesson,
            messages=answer_messages(question, used, options=options),
            answer=answer,
            documents=frozenset(passage.document_id for passage in used),
        )

    if is_polar(labelled.options):
        yield example("polar", used, labelled.answers[0], labelled.options)
        return
    if not labelled.answers:
        yield example("refusal", used, REFUSAL)
        return
    found = _first(labelled, used)
    if found is None:
        if not any(passage.document_id in labelled.gold for passage in used):
            yield example("refusal", used, REFUSAL)
        return
    yield example("span", used, found)
    if rng.random() < WITHOUT and (rest := _without(labelled.answers, used)):
        yield example("refusal", rest, REFUSAL)
    if rng.random() < CHOICES and (wrong := _alike(found, others, rng)):
        options = [found, *wrong]
        rng.shuffle(options)
        yield example("choice", used, found, options)


def _first(labelled: Labelled, used: Sequence[Passage]) -> str | None:
    """The answer as a passage writes it: in a gold document before others, the longest accepted form first."""
    passages = sorted(used, key=lambda passage: passage.document_id not in labelled.gold)
    for passage in passages:
        for answer in sorted(labelled.answers, key=len, reverse=True):
            if len(answer) <= MAX_ANSWER_CHARS and (match := _written(answer).search(passage.text)):
                return match.group()
    return None


def _without(answers: Sequence[str], used: Sequence[Passage]) -> list[Passage]:
    """The excerpts in which no accepted answer stands."""
    return [p for p in used if not any(_written(answer).search(f"{p.title} {p.text}") for answer in answers)]


def _alike(answer: str, others: Sequence[Labelled], rng: random.Random) -> list[str]:
    """Three answers of other questions that look like this one: numbers among numbers, names among names."""
    pool = {a for q in others for a in q.answers[:1] if look(a) == look(answer) and a.casefold() != answer.casefold()}
    return rng.sample(sorted(pool), 3) if len(pool) >= 3 else []


def _written(answer: str) -> re.Pattern[str]:
    """Matches an answer in a text, letter case and white space aside, at word boundaries."""
    inside = r"\s+".join(re.escape(part) for part in answer.split())
    return re.compile(rf"(?<!\w){inside}(?!\w)" if inside else r"(?!)", re.IGNORECASE)
