"""Which questions a run asks, and in which order their options stand: by seed alone. Pure."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence

from evaluation.suites import Kind, Suite, SuiteQuestion


def sample(suite: Suite, *, limit: int, seed: int, only: frozenset[str] | None = None) -> tuple[SuiteQuestion, ...]:
    """At most `limit` proper questions (0: all), drawn by seed and in the suite's order, options shuffled once.

    only: ids of the questions that may be drawn.

    Recorded answers are judged against the suite's own order; `shuffled` ones are for the arms that answer here.
    """
    questions = tuple(q for q in suite.used() if only is None or q.id in only)
    if limit and limit < len(questions):
        kept = set(random.Random(seed).sample(range(len(questions)), limit))  # noqa: S311  # a repeatable draw, no secret
        questions = tuple(question for place, question in enumerate(questions) if place in kept)
    return tuple(shuffled(question, seed) for question in questions)


def shuffled(question: SuiteQuestion, seed: int) -> SuiteQuestion:
    """The question with its options in an order drawn from seed and id; yes and no stay where they are."""
    if question.kind is not Kind.CHOICE:
        return question
    letters, texts = list(question.options), list(question.options.values())
    order = list(range(len(letters)))
    random.Random(f"{seed}:{question.id}").shuffle(order)  # noqa: S311  # a repeatable draw, no secret
    options = {letter: texts[place] for letter, place in zip(letters, order, strict=True)}
    gold = letters[order.index(letters.index(question.gold_letter))] if question.gold_letter in letters else ""
    return question.model_copy(update={"options": options, "answer_choice": gold})


def fingerprint(questions: Sequence[SuiteQuestion]) -> str:
    """Hex sha256 over what is asked and what counts as right."""
    rows = [[q.id, q.question, list(q.answers), q.options, q.gold_letter, list(q.gold_doc_ids)] for q in questions]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
