"""The arms that answer here: the small model closed book, with retrieval, with the gold document; and no model at all.

An arm gets a question and gives a record. Options are hidden from retrieval; they come in the order that
`evaluation.sampling` drew. Knows no gold answer (but for the gold document of `slm+gold`) and no judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.answers import content
from evaluation.records import Cited, Found, Record
from evaluation.suites import Kind, SuiteQuestion
from rag.errors import RagError
from rag.prompt import fingerprint, heading_line
from rag.types import Filter, Message, Passage, Piece, Prompt, Question

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

Answering = Callable[[SuiteQuestion], Record]

CLOSED = "Answer the question in one short sentence. If you do not know, say: I do not know."
OPTIONS = "Answer with the letter of the right option alone."
YES_NO = "Answer with one word: {words}."
ANSWER_TOKENS = 64
LETTER_TOKENS = 8


def runners(pipeline: Pipeline, domain: str) -> Mapping[str, Answering]:
    """Every arm that can answer here, by name."""
    arms = _Arms(pipeline, domain)
    return {"slm": arms.closed, "slm+rag": arms.briefed, "slm+gold": arms.gold, "overlap": arms.overlap}


class _Arms:
    def __init__(self, pipeline: Pipeline, domain: str) -> None:
        self._pipeline, self._domain = pipeline, domain

    def closed(self, question: SuiteQuestion) -> Record:
        return self._timed("slm", question, lambda: self._unbriefed(question))

    def briefed(self, question: SuiteQuestion) -> Record:
        return self._timed("slm+rag", question, lambda: self._with(question, "slm+rag", Filter()))

    def gold(self, question: SuiteQuestion) -> Record:
        chosen = Filter(documents=question.gold_doc_ids)  # without a gold document: what retrieval finds
        return self._timed("slm+gold", question, lambda: self._with(question, "slm+gold", chosen))

    def overlap(self, question: SuiteQuestion) -> Record:
        """No model: the passage sentence, or the option, that shares most words with the question or the passages."""
        return self._timed("overlap", question, lambda: self._overlap(question))

    def _timed(self, arm: str, question: SuiteQuestion, answer: Callable[[], Record]) -> Record:
        begin = time.perf_counter()
        try:
            record = answer()
        except RagError as error:
            record = Record(id=question.id, arm=arm, text="", failure=f"{error.code}: {error}")
        return record.model_copy(update={"milliseconds": round((time.perf_counter() - begin) * 1000, 3)})

    def _with(self, question: SuiteQuestion, arm: str, chosen: Filter) -> Record:
        options = distinct_options(question)
        answer = self._pipeline.answer(
            Question(text=question.question, domain=self._domain, filter=chosen, options=tuple(options))
        )
        text = "" if answer.abstained else answer.text
        return Record(
            id=question.id,
            arm=arm,
            text=options.get(text, text),
            abstained=answer.abstained,
            confidence=_best(answer.passages) if answer.confidence is None else answer.confidence,
            basis=answer.basis,
            signals=answer.trace.signals,
            passages=found_passages(answer.passages),
            citations=tuple(
                Cited(document_id=c.document_id, start=c.char_start, end=c.char_end, quote=c.quote, claim=c.claim)
                for c in answer.citations
            ),
            prompt_sha256=answer.trace.prompt_sha256,
            prompt_tokens=answer.trace.prompt_tokens,
            completion_tokens=answer.trace.completion_tokens,
            stages={timing.stage: timing.milliseconds for timing in answer.trace.timings},
        )

    def _unbriefed(self, question: SuiteQuestion) -> Record:
        """The likeliest option where the model tells likelihoods; else its own words."""
        options = distinct_options(question)
        if not options or not self._pipeline.model.card.scores:
            return self._generate(question)
        asked = f"Question: {question.question}\nOptions: {'; '.join(options)}\nAnswer:"
        messages = (Message(role="system", content=CLOSED), Message(role="user", content=asked))
        prompt = Prompt(messages=messages, max_tokens=LETTER_TOKENS, temperature=0.0, seed=0)
        told = self._pipeline.model.score(prompt, tuple(options))
        best = max(zip(options, told, strict=True), key=lambda pair: pair[1].mean)[0]
        return Record(
            id=question.id,
            arm="slm",
            text=options[best],
            prompt_sha256=fingerprint(messages),
            prompt_tokens=self._pipeline.model.prompt_tokens(messages),
        )

    def _generate(self, question: SuiteQuestion) -> Record:
        """The model's own words to a prompt of this file."""
        messages = prompt_messages(question)
        last: Piece | None = None
        text = ""
        tokens = LETTER_TOKENS if question.options else ANSWER_TOKENS
        prompt = Prompt(messages=messages, max_tokens=tokens, temperature=0.0, seed=0, stop=("\n",))
        for piece in self._pipeline.model.generate(prompt):
            text, last = text + piece.text, piece
        return Record(
            id=question.id,
            arm="slm",
            text=text.strip(),
            prompt_sha256=fingerprint(messages),
            prompt_tokens=(last.prompt_tokens if last else 0) or 0,
            completion_tokens=(last.completion_tokens if last else 0) or 0,
        )

    def _overlap(self, question: SuiteQuestion) -> Record:
        found = self._pipeline.passages(Question(text=question.question, domain=self._domain))
        text = best_option(question, found) if question.options else best_sentence(question.question, found)
        return Record(id=question.id, arm="overlap", text=text, confidence=_best(found), passages=found_passages(found))


def prompt_messages(
    question: SuiteQuestion, passages: Sequence[Passage] = (), *, chars: int = 0
) -> tuple[Message, ...]:
    """The prompt of a question without the pipeline's own: closed book, or with passages before it.

    chars: how many characters of the passages are shown at most
    """
    rule = CLOSED
    if question.kind is Kind.CHOICE:
        rule = OPTIONS
    elif question.kind is Kind.YES_NO:
        rule = YES_NO.format(words=" or ".join(text.lower() for text in question.options.values()))
    shown = "\n\n".join(f"{heading_line(p)}\n{p.text}" for p in passages)[:chars]
    options = [f"{letter}. {text}" for letter, text in question.options.items()] if question.kind is Kind.CHOICE else []
    parts = [*([shown] if shown else []), "\n".join([f"Question: {question.question}", *options, "Answer:"])]
    return (Message(role="system", content=rule), Message(role="user", content="\n\n".join(parts)))


def distinct_options(question: SuiteQuestion) -> dict[str, str]:
    """Option -> what a record says when it is chosen: its letter, or a yes-or-no option's own word.

    An option that a suite left empty, or gave twice, is told apart by its letter.
    """
    shown: dict[str, str] = {}
    known: set[str] = set()
    for letter, text in question.options.items():
        option = text.strip() or f"({letter})"
        option = option if option.casefold() not in known else f"{option} ({letter})"
        known.add(option.casefold())
        shown[option] = letter if question.kind is Kind.CHOICE else text
    return shown


def best_option(question: SuiteQuestion, passages: Sequence[Passage]) -> str:
    """The letter of the option whose words stand most in the three best passages; the first of equals."""
    held = {word for passage in passages[:3] for word in content(f"{passage.title} {passage.text}")}

    def share(text: str) -> float:
        words = content(text)
        return sum(word in held for word in words) / max(1, len(words))

    return max(question.options, key=lambda letter: share(question.options[letter]))


def best_sentence(question: str, passages: Sequence[Passage]) -> str:
    """The sentence of the three best passages that shares most words with the question; empty without passages."""
    from evaluation.answers import sentences

    asked = set(content(question))
    said = [sentence for passage in passages[:3] for sentence in sentences(passage.text)]
    return max(said, key=lambda sentence: len(asked & set(content(sentence))), default="")


def found_passages(passages: Sequence[Passage]) -> tuple[Found, ...]:
    """Where the retrieved passages stand, as a record keeps them."""
    return tuple(Found(document_id=p.document_id, start=p.start, end=p.end, score=round(p.score, 6)) for p in passages)


def _best(passages: Sequence[Passage]) -> float | None:
    return round(max((p.dense_score or 0.0 for p in passages), default=0.0), 6) if passages else None
