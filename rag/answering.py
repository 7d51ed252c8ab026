"""From passages to an answer: what the model is shown, how it is asked, and what of its words stands.

Three ways, one for each kind of question: given options are weighed (rag.choosing); a question for a fact gets the
likeliest words of the passages (rag.extraction); any other is answered in the model's own words, which stand where
the best sentences support them (rag.grounding). Knows no domain, no index and no stored text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from rag import choosing, context, extraction, grounding, keywords, outline, reading, scoping, tables
from rag.errors import InvalidQuestion
from rag.lexical import unmarked
from rag.prompt import answer_messages, heading_line
from rag.protocols import Embedder, LanguageModel
from rag.stages import StageClock
from rag.turns import IsCancelled
from rag.types import Decoding, Message, OptionScore, Passage, Piece, Prompt, RetrievalMode

MIN_CONTEXT_TOKENS = 48
"""Less than two sentences of a passage is no ground for an answer."""

TRUSTED_SENTENCES = 2
"""The model's words stand only if they rest on one of so many best sentences: on NQ the best holds the answer for 57%
of the questions, the best two for 70%, while the default model's own words are right for 35%."""

SPAN_TOKENS = 24
"""Longest answer in the words of a passage: the 120 characters of the longest that was trained on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds an answer; the fields are those of the settings' sections retrieval and answer."""

    passages: int
    mode: RetrievalMode
    scope: bool
    rerank_candidates: int
    context_tokens: int
    max_tokens: int
    temperature: float
    seed: int
    decoding: Decoding
    min_support: float
    min_coverage: float
    sentences: int
    sentence_spread: float
    min_relevance: float
    min_confidence: float
    likelihood_weight: float
    max_question_chars: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Brief:
    """What a question finds, and what of it the model is shown."""

    question: str
    """standing alone: what is searched and asked"""
    domain: str
    found: Sequence[Passage]
    sentences: Sequence[reading.Sentence]
    """of the found passages, best first"""
    relevant: bool
    """whether the best sentence speaks to the question at all"""
    used: Sequence[Passage]
    """what the model reads; nothing unless relevant"""
    messages: tuple[Message, ...]
    text_of: Callable[[str], str]
    """a document's whole stored text: a table's headings may stand outside the passage"""
    names: tuple[str, ...] = ()
    """of options, settings or functions, that the question says"""
    defined: bool = False
    """whether `sentences` are those of the definitions of these names alone"""
    unsaid: str = ""
    """the first of the names that no passage says"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question, before its citations are compared with the stored text."""

    verdict: grounding.Verdict
    basis: Literal["model", "span", "quote", "definition", "option", "computed"]
    draft: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    options: tuple[OptionScore, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)
    """what tells how far to trust it: rag.calibration makes a confidence of them"""


class Answerer:
    """Asks one model. Thread-safe; blocking."""

    def __init__(self, embedder: Embedder, model: LanguageModel, limits: Limits) -> None:
        self._embedder, self._model, self._limits = embedder, model, limits

    def budget(self, question: str, options: Sequence[str]) -> int:
        """Tokens for passages: as set, and never more than the model's context leaves beside question and answer.

        Raises InvalidQuestion when the question alone leaves no room for them.
        """
        taken = self._model.prompt_tokens(answer_messages(question, (), options=options))
        longest = max(self._model.count_tokens(options)) if options else self._limits.max_tokens
        left = self._model.card.context_tokens - taken - longest
        if left < MIN_CONTEXT_TOKENS:
            raise InvalidQuestion(
                f"the question and its instructions take {taken} of the model's {self._model.card.context_tokens} "
                "tokens, which leaves no room for passages: ask something shorter"
            )
        return min(self._limits.context_tokens, left)

    def brief(
        self,
        question: str,
        domain: str,
        found: Sequence[Passage],
        *,
        options: Sequence[str],
        budget: int,
        clock: StageClock,
        text_of: Callable[[str], str],
        cancelled: IsCancelled = None,
    ) -> Brief:
        """Choose what the model is shown, in at most `budget` tokens. Raises Cancelled."""
        spoken = [p for p in found if options or not scoping.of_another(question, heading_line(p), p.text)]
        most = reading.MAX_SENTENCES if options else reading.NEAREST  # an option has words of its own
        names = () if options else keywords.said(question)
        rank = partial(
            reading.rank,
            question,
            embedder=self._embedder,
            most=most,
            text_of=text_of,
            wanted=(lambda text: any(keywords.says(text, name) for name in names)) if names else None,
            cancelled=cancelled,
        )
        sentences: Sequence[reading.Sentence] = rank(spoken)
        defined = keywords.definitions(question, names, sentences, text_of)
        own = keywords.telling(question, rank(defined)) if defined else ()
        unsaid = keywords.unknown(names, spoken)
        sentences = own or sentences
        relevant = bool(sentences) and not unsaid and (bool(own) or sentences[0].score >= self._limits.min_relevance)
        clock.lap("read")
        read = sentences[: self._limits.sentences] if relevant else []
        if not options:
            read = [s for s in read if s.score >= read[0].score - self._limits.sentence_spread]
        used = context.fit(reading.excerpts(read), budget=budget, count_tokens=self._model.count_tokens)
        messages = answer_messages(question, used, options=options)
        clock.lap("context")
        return Brief(question, domain, found, sentences, relevant, used, messages, text_of, names, bool(own), unsaid)

    def extracts(self, question: str, domain: str) -> bool:
        """Whether a question is answered in the words of a passage alone.

        By setting; on auto where an adapter taught the model to copy, unless an explanation is asked for.
        """
        if not self._model.card.scores or self._limits.decoding == "free":
            return False
        learned = bool(self._model.adapter(domain))
        return self._limits.decoding == "extractive" or (learned and not extraction.explains(question))

    def read(
        self, brief: Brief, options: tuple[str, ...], clock: StageClock, cancelled: IsCancelled = None
    ) -> Outcome | None:
        """The answer in words of the passages; None where the model is to write it in its own (`write`, `judge`)."""
        outcome = None
        if options:
            outcome = self.choose(options, brief, cancelled)
            clock.lap("choose")
        elif self._defines(brief):
            outcome = self.define(brief)
            clock.lap("define")
        elif self.extracts(brief.question, brief.domain):
            outcome = self.extract(brief, cancelled)
            clock.lap("extract")
        return outcome

    def choose(self, options: tuple[str, ...], brief: Brief, cancelled: IsCancelled = None) -> Outcome:
        """The option that the passages speak for, cited with the sentence that does so most."""
        if not brief.relevant:
            return Outcome(grounding.Verdict("", (), silent(brief)), "option")
        gains = None
        if brief.used and self._model.card.scores and self._limits.likelihood_weight:
            bare = answer_messages(brief.question, (), options=options)
            briefed, prior = (
                self._model.score(self._prompt(messages, brief.domain), options, cancelled=cancelled)
                for messages in (brief.messages, bare)
            )
            gains = [told.mean - known.mean for told, known in zip(briefed, prior, strict=True)]
        polar = choosing.is_polar(options)
        best = brief.found[0]
        conclusion = choosing.conclusion_of(best, brief.text_of(best.document_id)) if polar else []
        weighed = choosing.weigh(
            brief.question,
            options,
            brief.sentences,
            gains=gains,
            gain_weight=self._limits.likelihood_weight,
            conclusion=conclusion,
        )
        first, second, *_ = sorted(weighed, key=lambda option: -option.score)
        lead, nearest = first.score - second.score, brief.sentences[0]
        places = [(at.passage, at.start, at.end) for at in (first.sentence, *first.further)]
        return Outcome(
            grounding.option(first.option, brief.question, places),
            "option",
            draft=first.option,
            prompt_tokens=self._model.prompt_tokens(brief.messages) if gains else 0,
            options=tuple(OptionScore(option=w.option, score=round(w.score, 6)) for w in weighed),
            # scores of words and of votes are no one scale: each has signals of its own
            signals={"polar": 1.0, "polar_lead": lead, "polar_sentence": nearest.score}
            if polar
            else {"option": first.score, "option_lead": lead, "sentence": nearest.score, "cosine": nearest.cosine},
        )

    def _defines(self, brief: Brief) -> bool:
        """Whether a question asks what a name is for, the passages define it, and their words are wanted."""
        asked = brief.relevant and brief.defined and self._limits.decoding != "free"
        return asked and keywords.asks_meaning(brief.question, brief.names)

    def define(self, brief: Brief) -> Outcome:
        """What the definition of a name begins with, cited; no model reads it."""
        at = keywords.first(brief.question, brief.names, brief.sentences)
        said = _said(at)
        verdict = _under(grounding.row(said, at.passage, (at.start, at.end), None), said, at, brief.names)
        return Outcome(verdict, "definition", draft=said, signals={"meaning": 1.0} | _defined(brief, at))

    def extract(self, brief: Brief, cancelled: IsCancelled = None) -> Outcome:
        """The sentence in which the likeliest words of the passages stand, cited, these words marked."""
        if not brief.used:
            return Outcome(grounding.Verdict("", (), silent(brief)), "span")
        prompt = self._prompt(brief.messages, brief.domain).model_copy(update={"max_tokens": SPAN_TOKENS})
        texts = [passage.text for passage in brief.used]
        worth = extraction.worth(brief.used, brief.sentences)
        spans = self._model.extract(prompt, texts, alternatives=(extraction.REFUSAL,), worth=worth, cancelled=cancelled)
        chosen = extraction.choose(spans, brief.used, brief.sentences)
        tokens = self._model.prompt_tokens(brief.messages)
        if chosen.best is None:
            verdict = grounding.Verdict("", (), "the passages hold no words that could answer")
            return Outcome(verdict, "span", prompt_tokens=tokens, signals=chosen.signals)
        best, at = chosen.best, chosen.best.sentence
        moved = best.passage.start - at.passage.start  # the excerpt's offsets as the passage's
        verdict = grounding.span(at.passage, (at.start, at.end), (best.start + moved, best.end + moved))
        sentence = at.passage.text[at.start : at.end]
        if at.row is not None:
            verdict = _row(brief, at, best.start + moved)
        else:
            if (said := _said(at)) != sentence:
                verdict = grounding.row(said, at.passage, (at.start, at.end), (best.start + moved, best.end + moved))
            verdict = _under(verdict, said, at, brief.names if brief.defined else ())
        signals = {"span": chosen.signals["span"]} | _defined(brief, at) if brief.defined else chosen.signals
        return Outcome(
            verdict,
            "definition" if brief.defined else "span",
            draft=best.text,
            prompt_tokens=tokens,
            completion_tokens=self._model.count_tokens([best.text])[0],
            signals=signals,
        )

    def write(self, brief: Brief, cancelled: IsCancelled = None) -> Iterator[Piece]:
        """The model's own words, piece by piece; nothing where it was shown nothing."""
        if brief.used:
            yield from self._model.generate(self._prompt(brief.messages, brief.domain), cancelled=cancelled)

    def judge(self, draft: str, brief: Brief) -> Outcome:
        """What stands: the model's words where the best passages support them, else the best sentence itself."""
        if not brief.relevant:
            return Outcome(grounding.Verdict("", (), silent(brief)), "quote")
        best = brief.sentences[:TRUSTED_SENTENCES]
        signals = {
            "sentence": best[0].score,
            "cosine": best[0].cosine,
            "lead": best[0].score - best[-1].score,
        }
        shown = {(s.passage.document_id, s.passage.start): s.passage for s in best}
        verdict = grounding.check(
            draft,
            brief.question,
            [p for p in brief.found if (p.document_id, p.start) in shown] or list(shown.values()),
            min_support=self._limits.min_support,
            min_coverage=self._limits.min_coverage,
        )
        near = any(
            citation.document_id == s.passage.document_id
            and citation.char_start < s.passage.start + s.end
            and s.passage.start + s.start < citation.char_end
            for citation in verdict.citations
            for s in best
        )
        if near:
            support = min(citation.support for citation in verdict.citations)
            return Outcome(verdict, "model", draft=draft, signals=signals | {"support": support})
        quoted = grounding.quote(best[0].passage, best[0].start, best[0].end)
        return Outcome(quoted, "quote", draft=draft, signals=signals)

    def _prompt(self, messages: tuple[Message, ...], domain: str) -> Prompt:
        return Prompt(
            messages=messages,
            max_tokens=self._limits.max_tokens,
            temperature=self._limits.temperature,
            seed=self._limits.seed,
            stop=("\n",),
            timeout_seconds=self._limits.timeout_seconds,
            domain=domain,
        )


def _said(at: reading.Sentence) -> str:
    """A sentence as an answer: without line breaks and what makes it a row of a table or an item of a list."""
    text = at.passage.text
    row = tables.said(text, at.start, at.end)
    return row if row != text[at.start : at.end] else " ".join(unmarked(text, at.start, at.end).split())


def _defined(brief: Brief, at: reading.Sentence) -> dict[str, float]:
    """What tells how far to trust a sentence of a definition."""
    places = math.log(len({(s.passage.document_id, s.passage.start) for s in brief.sentences}))
    return {"sentence": at.score, "cosine": at.cosine, "coverage": at.coverage, "places": places}


def _under(verdict: grounding.Verdict, said: str, at: reading.Sentence, names: Sequence[str] = ()) -> grounding.Verdict:
    """A sentence's verdict after the term that it stands under, unless it says that itself.

    names: whose definition it is of, if of any; then the term is left out only where one of them is in the sentence
    """
    term = outline.unsaid(said, at.under)
    if term is None and names and at.under and not any(keywords.says(said, name) for name in names):
        term = at.under[-1]
    return verdict if term is None else grounding.named(verdict, at.passage, term.words, term.start)


def _row(brief: Brief, at: reading.Sentence, marked: int) -> grounding.Verdict:
    """What a table's row says; its headings are looked for in the whole document."""
    text, base = brief.text_of(at.passage.document_id), at.passage.start
    row = tables.row_at(text, base + at.start, base + at.end)
    if row is None:  # the document changed under the passage: the citation will not verify either
        return grounding.Verdict("", (), "the passages hold no words that could answer")
    said, cell = tables.told(brief.question, text, row, base + marked)
    chosen = (cell.start - base, cell.end - base) if cell else None
    return grounding.row(said, at.passage, (at.start, at.end), chosen)


def unread(question: str, domain: str, found: Sequence[Passage], text_of: Callable[[str], str]) -> Brief:
    """What is left of a question that no model reads for."""
    return Brief(question, domain, found, (), True, (), answer_messages(question, ()), text_of)


def silent(brief: Brief) -> str:
    """Why nothing was shown to the model."""
    if brief.found and brief.unsaid:
        return f"no passage says {brief.unsaid}"
    return "nothing in this domain speaks to the question" if brief.found else "nothing was found in this domain"
