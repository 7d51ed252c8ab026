"""Checks a draft against the passages it was written from: claims in, citations and a verdict out. Pure.

A draft's sentences are its claims. A claim is *supported* by a span when the words that it adds to the question are
in the span (numbers and identifiers without exception), and the span is about the question. What is
supported is kept and cited with exact offsets; what is not is dropped; when nothing is left the answer abstains.
The check is lexical on purpose: it works for any model size, costs microseconds, and cannot be talked into
anything by a document. Knows no model and no index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.lexical import content_words, has_digit, sentences, words
from rag.types import Citation, Passage

NUMBER_WEIGHT = 2.0
QUESTION_WORD_WEIGHT = 0.25
"""A claim mostly repeats the question around its answer; those words prove little."""

WINDOW = 2
"""Sentences that one citation may span: a pronoun's sentence and the one before it."""

MAX_QUOTE = 600
"""Code points of a quote; a longer sentence is quoted around its matching words."""

REFUSAL = re.compile(
    r"\bnot (?:in|(?:found|mentioned|stated|given|provided|specified|included) in) (?:the|any|these|this)\b|"
    r"\b(?:do|does|did) not (?:mention|say|state|contain|provide|specify|hold|include)\b|"
    r"\b(?:no|not enough|insufficient) (?:information|answer|mention)\b|"
    r"\b(?:i|we) (?:do not|don't|cannot|can't) (?:know|answer|find|tell|say)\b|\bunknown\b|\bunable to\b",
    re.IGNORECASE,
)
YES_NO = re.compile(r"(yes|no|maybe)\b[\s.,!]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is left of a draft. `text` is empty when it abstains, and `reason` says why."""

    text: str
    citations: tuple[Citation, ...]
    reason: str

    @property
    def abstained(self) -> bool:
        """Whether nothing of the draft stood."""
        return not self.text


@dataclass(frozen=True, slots=True)
class _Span:
    """A window of sentences of one passage, its words ready for comparison."""

    passage: Passage
    start: int
    end: int
    words: frozenset[str]
    about: frozenset[str]
    """Words of the span, its whole passage, title and headings: what it is about."""
    sentences: int


def check(
    draft: str, question: str, passages: Sequence[Passage], *, min_support: float, min_coverage: float
) -> Verdict:
    """Keep what the passages support.

    min_support: least share of a claim's weighted words that its quote must hold, in (0, 1]
    min_coverage: least share of the question's weighted words that the quote's surroundings must hold, in [0, 1]
    """
    draft = draft.strip()
    if not passages:
        return Verdict("", (), "nothing was found in this domain")
    if not draft:
        return Verdict("", (), "the model wrote nothing")
    spans = _spans(passages)
    question_words = content_words(question)
    kept: list[str] = []
    citations: list[Citation] = []
    reason = ""
    for start, end in sentences(draft):
        claim = draft[start:end]
        if REFUSAL.search(claim):
            reason = reason or "the model found no answer in the passages"
            continue
        if claim in kept:
            continue
        found = _best(claim, question_words, spans, min_coverage)
        if found is None or found[0] < min_support:
            reason = reason or "no passage supports what the model wrote"
            continue
        support, span = found
        kept.append(claim)
        citations.append(_citation(claim, support, span))
    if not kept:
        return Verdict("", (), reason or "no passage supports what the model wrote")
    return Verdict(" ".join(kept), tuple(citations), "")


def quote(passage: Passage, start: int, end: int) -> Verdict:
    """A sentence of a passage, by its offsets in the passage's text, as the answer, cited with itself."""
    text = passage.text[start:end]
    claim = _Span(passage, start, end, frozenset(), frozenset(), 1)
    cited = _citation(text, 1.0, claim)
    return Verdict(cited.quote, (cited.model_copy(update={"claim": cited.quote}),), "")


def option(chosen: str, question: str, places: Sequence[tuple[Passage, int, int]]) -> Verdict:
    """A chosen option as the answer, cited with each sentence, by its offsets in a passage's text, that speaks for it.

    A sentence's support is the share of the option's words in it; a bare yes or no has none of its own, there the
    question's words count.
    """
    told = content_words(chosen)
    wanted = told if told and not YES_NO.fullmatch(chosen.strip()) else content_words(question)
    cited: dict[tuple[str, int], Citation] = {}  # a sentence may be among the best and the last of its document
    for passage, start, end in places:
        held = frozenset(words(passage.text[start:end]))
        citation = _citation(chosen, coverage(wanted, held), _Span(passage, start, end, held, held, 1))
        cited.setdefault((citation.document_id, citation.char_start), citation)
    return Verdict(chosen, tuple(cited.values()), "")


def span(passage: Passage, sentence: tuple[int, int], chosen: tuple[int, int]) -> Verdict:
    """A sentence of a passage as the answer, cited with itself, the words that answer marked in it.

    sentence, chosen: start and end in the passage's text
    """
    words_chosen = passage.text[slice(*chosen)]
    cited = _citation(words_chosen, 1.0, _Span(passage, *sentence, frozenset(), frozenset(), 1))
    focus = (passage.start + chosen[0], passage.start + chosen[1])
    inside = cited.char_start <= focus[0] and focus[1] <= cited.char_end
    return Verdict(
        cited.quote, (cited.model_copy(update={"claim": cited.quote, "focus": focus if inside else None}),), ""
    )


def row(said: str, passage: Passage, line: tuple[int, int], chosen: tuple[int, int] | None) -> Verdict:
    """What a table's row or a list's item says as the answer, cited with it, the words that answer marked in it.

    line, chosen: start and end in the passage's text
    """
    cited = _citation(said, 1.0, _Span(passage, *line, frozenset(), frozenset(), 1))
    focus = (passage.start + chosen[0], passage.start + chosen[1]) if chosen else None
    return Verdict(said, (cited.model_copy(update={"focus": focus}),), "")


def named(verdict: Verdict, passage: Passage, term: str, start: int) -> Verdict:
    """An answer after the term that it is said of ("Port: The default is 22."), which is cited too.

    start: of the term in the document's text, maybe before the passage
    """
    name = term.rstrip(":= ")
    cited = Citation(
        document_id=passage.document_id,
        title=passage.title,
        char_start=start,
        char_end=start + len(term),
        quote=term,
        text_sha256=passage.text_sha256,
        claim=name,
        support=1.0,
    )
    return Verdict(f"{name}: {verdict.text}", (*verdict.citations, cited), verdict.reason)


def coverage(question_words: Sequence[str], about: frozenset[str]) -> float:
    """Share of the question's weighted words in a set of words, in [0, 1]; 1 for a question without any."""
    total = sum(_weight(word) for word in question_words)
    if total == 0:
        return 1.0
    return sum(_weight(word) for word in question_words if _in(word, about)) / total


def _weight(word: str) -> float:
    return NUMBER_WEIGHT if has_digit(word) else 1.0


def _in(word: str, known: frozenset[str]) -> bool:
    """Whether a word occurs, or one of the same beginning (six letters tell inflections of longer words)."""
    if word in known:
        return True
    if has_digit(word) or len(word) < 6:
        return False
    stem = word[: max(5, len(word) - 3)]
    return any(other.startswith(stem) and abs(len(other) - len(word)) <= 4 for other in known)


def _spans(passages: Sequence[Passage]) -> list[_Span]:
    spans = []
    for passage in passages:
        around = frozenset(words(f"{passage.title} {passage.heading} {passage.text}"))
        parts = list(sentences(passage.text))
        for first in range(len(parts)):
            for count in range(1, WINDOW + 1):
                if first + count > len(parts):
                    break
                start, end = parts[first][0], parts[first + count - 1][1]
                inside = frozenset(words(passage.text[start:end]))
                spans.append(_Span(passage, start, end, inside, around, count))
    return spans


def _best(
    claim: str, question_words: Sequence[str], spans: Sequence[_Span], min_coverage: float
) -> tuple[float, _Span] | None:
    """(support, span) of the span that supports a claim best, among those about the question."""
    asked = frozenset(question_words)
    bare = YES_NO.match(claim)
    stated = claim[bare.end() :] if bare else claim
    told = content_words(stated)
    new = [word for word in told if word not in asked]
    if not new and not bare:
        return None  # an echo of the question answers nothing
    best: tuple[tuple[float, float, int, float], float, _Span] | None = None
    for rank, span in enumerate(spans):
        about = coverage(question_words, span.about)
        if about < min_coverage:
            continue
        inside = coverage(question_words, span.words)
        support = _support(told, asked, span.words) if new else inside
        order = (round(support, 6), round(inside, 6), -span.sentences, -float(rank))
        if best is None or order > best[0]:
            best = (order, support, span)
    return None if best is None else (best[1], best[2])


def _support(told: Sequence[str], asked: frozenset[str], known: frozenset[str]) -> float:
    """Share of a claim's weighted words found; 0 when a number or identifier that is new is missing."""
    total = found = 0.0
    for word in told:
        weight = _weight(word) * (QUESTION_WORD_WEIGHT if word in asked else 1.0)
        total += weight
        if word in known if has_digit(word) else _in(word, known):
            found += weight
        elif has_digit(word) and word not in asked:
            return 0.0
    return found / total if total else 0.0


def _citation(claim: str, support: float, span: _Span) -> Citation:
    passage = span.passage
    start, end = span.start, span.end
    if end - start > MAX_QUOTE:
        start, end = _narrow(passage.text, start, end, claim)
    return Citation(
        document_id=passage.document_id,
        title=passage.title,
        char_start=passage.start + start,
        char_end=passage.start + end,
        quote=passage.text[start:end],
        text_sha256=passage.text_sha256,
        claim=claim,
        support=round(min(1.0, support), 4),
    )


def _narrow(text: str, start: int, end: int, claim: str) -> tuple[int, int]:
    """The stretch of at most `MAX_QUOTE` code points, cut at white space, that holds most of the claim's words."""
    wanted = content_words(claim)
    lowered = text[start:end].casefold()
    places = sorted(place for word in wanted if (place := lowered.find(word)) >= 0)
    middle = start + (places[len(places) // 2] if places else 0)
    left = max(start, min(middle - MAX_QUOTE // 2, end - MAX_QUOTE))
    right = min(end, left + MAX_QUOTE)
    while left > start and not text[left - 1].isspace() and left < middle:
        left += 1
    while right < end and not text[right].isspace() and right > middle + 1:
        right -= 1
    while left < right and text[left].isspace():
        left += 1
    while right > left and text[right - 1].isspace():
        right -= 1
    return left, right
