"""Which sentences of the retrieved passages speak to the question, best first. Pure but for the embedder.

Two uses: the best sentences are all the context that a small model gets (less to read, less to confuse), and the very
best one is quoted where the model's own words find no support. Scores are a cosine plus a share of words;
knows no model and no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np

from rag import outline, tables
from rag.grounding import coverage
from rag.lexical import content_words, sentences, words
from rag.prompt import heading_line
from rag.protocols import Embedder, Vectors
from rag.turns import IsCancelled, check
from rag.types import Passage

COVERAGE_WEIGHT = 0.2
"""What all of the question's words in a sentence and its title add to the cosine. On NQ the best sentence holds the
answer for 55.3% of the questions at 0, 57.3% at 0.2, 58.7% at 0.3 (docs/experiments.md)."""

MAX_SENTENCES = 96
"""Sentences and table rows that are compared, from the best passages down: a tenth of a second or two on two cores."""

NEAREST = 14
"""Sentences whose vectors are compared where a question asks for words: those that promise most. On 200 questions of
NQ with 32 sentences each they held the best one every time but one, and 98.5% of all that are read."""

PASSAGE_WEIGHT = 1.0
"""What the passage's own cosine counts beside the words in what a sentence promises: on 53 questions over filings, most
of whose sentences are rows of tables, the 14 hold as many of the best as the 20 with most of the question's words."""

WANTED = 2.0
"""More than words and passage promise together."""

BLOCK = 7
"""Texts that are embedded between two looks at whether anybody waits: 0.11 s on two cores without AVX-512."""

MIN_WORDS = 3
"""A shorter line is a label, not a sentence that could answer."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage, by its offsets in the passage's text, and how well it speaks to the question."""

    passage: Passage
    start: int
    end: int
    cosine: float
    coverage: float
    """share of the question's weighted words in the sentence, its title and headings, in [0, 1]"""
    row: tables.Row | None = None
    """what it says where it is a line of a table; offsets are the passage's"""
    under: tuple[outline.Term, ...] = ()
    """what it stands under by its indentation; offsets are the document's"""

    @property
    def score(self) -> float:
        """What sentences are ranked by."""
        return self.cosine + COVERAGE_WEIGHT * self.coverage


def rank(
    question: str,
    passages: Sequence[Passage],
    embedder: Embedder,
    *,
    most: int = MAX_SENTENCES,
    text_of: Callable[[str], str] | None = None,
    wanted: Callable[[str], bool] | None = None,
    cancelled: IsCancelled = None,
) -> list[Sentence]:
    """The sentences, best first; ties in the order of the passages. One that asks the same again is none of them.

    most: of them, those that promise most, by the question's words in them and by how near their passage is.
    text_of: a document's whole text: what a sentence stands under may be said before its passage begins.
    wanted: of a sentence under what it stands under, whether it is compared before others.
    Raises Cancelled once `cancelled` says so.
    """
    asked = content_words(question)
    spans = [
        (passage, start, end)
        for passage in passages
        for start, end in _units(passage.text)
        if _says_something(passage, passage.text[start:end]) and not _asks_again(asked, passage.text[start:end])
    ][:MAX_SENTENCES]
    if not spans:
        return []
    under = _terms(spans, text_of)
    texts = [
        "\n".join(filter(None, (heading_line(passage), outline.path(terms), tables.headed(passage.text, start, end))))
        for (passage, start, end), terms in zip(spans, under, strict=True)
    ]
    covered = [coverage(asked, frozenset(words(text))) for text in texts]
    promised = [c + PASSAGE_WEIGHT * (span[0].dense_score or 0.0) for c, span in zip(covered, spans, strict=True)]
    if wanted is not None:
        promised = [(WANTED if wanted(text) else 0.0) + share for text, share in zip(texts, promised, strict=True)]
    kept = sorted(sorted(range(len(spans)), key=lambda i: -promised[i])[:most])
    check(cancelled)
    asked_for = embedder.embed([question])[0]
    cosines = _embedded([texts[i] for i in kept], embedder, cancelled) @ asked_for
    ranked = [
        Sentence(passage, start, end, float(cosine), covered[i], tables.row_at(passage.text, start, end), under[i])
        for i, cosine in zip(kept, cosines, strict=True)
        for passage, start, end in [spans[i]]
    ]
    return sorted(ranked, key=lambda sentence: -sentence.score)


def excerpts(chosen: Sequence[Sentence]) -> list[Passage]:
    """The chosen sentences as passages of their own: neighbours joined, each passage's in its order, best first.

    What the first of joined ones stands under is the last of their headings.
    """
    found: list[Passage] = []
    for passage in dict.fromkeys(sentence.passage.document_id + str(sentence.passage.start) for sentence in chosen):
        own = sorted(
            (s for s in chosen if s.passage.document_id + str(s.passage.start) == passage), key=lambda s: s.start
        )
        runs: list[tuple[int, int, tuple[outline.Term, ...]]] = []
        text = own[0].passage.text
        for sentence in own:
            if runs and not text[runs[-1][1] : sentence.start].strip():
                runs[-1] = (runs[-1][0], sentence.end, runs[-1][2])
            else:
                runs.append((sentence.start, sentence.end, sentence.under))
        base = own[0].passage
        for a, b, under in runs:
            heading = " > ".join(part for part in (base.heading, outline.path(under)) if part)
            place = {"text": text[a:b], "start": base.start + a, "end": base.start + b, "heading": heading}
            found.append(base.model_copy(update=place))
    return found


def _terms(
    spans: Sequence[tuple[Passage, int, int]], text_of: Callable[[str], str] | None
) -> list[tuple[outline.Term, ...]]:
    """What each stretch of a passage stands under; those of a passage come one after the other."""
    read = cache(text_of) if text_of is not None else lambda _: ""
    found: list[tuple[outline.Term, ...]] = []
    for _, group in groupby(spans, key=lambda span: (span[0].document_id, span[0].start, span[0].end)):
        own = list(group)
        passage, starts = own[0][0], [start for _, start, _ in own]
        whole = read(passage.document_id)
        if whole[passage.start : passage.end] == passage.text:  # else it changed under the passage
            found += outline.above(whole, [passage.start + start for start in starts])
            continue
        for terms in outline.above(passage.text, starts):
            found.append(tuple(outline.Term(t.words, passage.start + t.start, passage.start + t.end) for t in terms))
    return found


def _embedded(texts: Sequence[str], embedder: Embedder, cancelled: IsCancelled) -> Vectors:
    """(n, d) rows in the order given; embedded in blocks of texts of like length, longest first."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    vectors = np.empty((len(texts), embedder.dimensions), np.float32)
    for start in range(0, len(order), BLOCK):
        check(cancelled)
        block = order[start : start + BLOCK]
        vectors[block] = embedder.embed([texts[i] for i in block])
    return vectors


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Sentences, but each row of a table on its own: extracted tables have no full stops."""
    for start, end in sentences(text):
        begin = start
        for row in tables.rows(text, start, end):
            yield from _kept(text, begin, row.start)
            yield row.start, row.end
            begin = row.end
        yield from _kept(text, begin, end)


def _kept(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A stretch without the white space around it, if anything is left."""
    inside = text[start:end]
    if inside.strip():
        yield start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())


def _says_something(passage: Passage, sentence: str) -> bool:
    """Whether a sentence is more than a label, and more than its document's title said again."""
    if " " in sentence and len(sentence.split()) < MIN_WORDS:
        return False
    return not set(content_words(sentence)) <= set(content_words(heading_line(passage)))


def _asks_again(asked: Sequence[str], sentence: str) -> bool:
    """Whether a sentence is the question itself: nearest of all, and no answer, however often a document repeats it."""
    return sentence.endswith(("?", "？")) and coverage(asked, frozenset(words(sentence))) == 1.0
