"""Options for questions that have none: the right answer beside three that look like it. Pure; by seed alone.

Numbers stand among numbers and names among names: first what the paragraph that answers holds of the same kind, then
answers of other questions. A question without an answer gets none: who gives options holds one of them right. So a
confidence of options can be fitted where a suite's licence forbids to fit on its own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from evaluation.answers import tokens
from evaluation.suites import Kind, SuiteQuestion, Use

LETTERS = "ABCD"
MAX_WORDS = 6
"""A longer answer is a sentence, not one of some options."""
OF_PARAGRAPH = 2
"""Wrong options out of the paragraph itself, at most."""

_NUMBER = re.compile(r"(?<![\w.,])\d[\d.,]*\d(?!\w)|(?<![\w.,])\d(?!\w)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w\-’]+(?: (?:of |the |de |van )?[A-Z][\w\-’]+){0,3}")


def with_options(questions: Sequence[SuiteQuestion], *, seed: int) -> list[SuiteQuestion]:
    """The questions of which a choice can be made, in their order, with four options each."""
    short = [
        question
        for question in questions
        if question.kind is Kind.FREE and question.use is Use.ANSWERABLE and _short(question.answers[0])
    ]
    answers = sorted({question.answers[0] for question in short})
    made = (_made(question, answers, random.Random(f"{seed}:{question.id}")) for question in short)  # noqa: S311  # a repeatable draw, no secret
    return [question for question in made if question is not None]


def look(answer: str) -> tuple[bool, bool, int]:
    """What answers are told apart by: a number in it, a capital at its beginning, how many words."""
    return any(c.isdigit() for c in answer), answer[:1].isupper(), min(3, len(answer.split()))


def _made(question: SuiteQuestion, answers: Sequence[str], rng: random.Random) -> SuiteQuestion | None:
    right = question.answers[0]
    taken = {" ".join(tokens(answer)) for answer in question.answers}
    options = [right]
    near = list(dict.fromkeys(_alike(right, question.gold_evidence)))
    far = [answer for answer in answers if look(answer) == look(right)]
    for pool, most in ((near, 1 + OF_PARAGRAPH), (far, len(LETTERS))):
        rng.shuffle(pool)
        for other in pool:
            said = " ".join(tokens(other))
            if len(options) < most and said and not any(said in known or known in said for known in taken):
                taken.add(said)
                options.append(other)
    if len(options) < len(LETTERS):
        return None
    rng.shuffle(options)
    letters = dict(zip(LETTERS, options, strict=True))
    return question.model_copy(update={"options": letters, "answer_choice": LETTERS[options.index(right)]})


def _alike(model: str, evidence: Sequence[str]) -> Iterator[str]:
    """Numbers or names of a paragraph, as the model answer is one."""
    pattern = _NUMBER if any(c.isdigit() for c in model) else _NAME
    for text in evidence:
        for match in pattern.finditer(text):
            yield match[0]


def _short(answer: str) -> bool:
    return 0 < len(answer.split()) <= MAX_WORDS
