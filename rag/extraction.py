"""Which words of the passages answer a question: the model's candidates weighed over all passages. Pure.

The model reads every excerpt at once and proposes spans with their likelihoods (rag.engine.spans); a span also counts
by how well its sentence speaks to the question. What is left beside the chosen span, the refusal's likelihood among it,
are signals for the confidence. Knows no threshold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.reading import Sentence
from rag.types import Passage, Span

REFUSAL = "not in the passages"
"""What the prompt asks for where the passages hold no answer (prompts/answer.md)."""

SENTENCE_WEIGHT = 24.0
"""What a sentence's score in [0, 1.2] counts beside a log-probability in nats. On 145 Natural Questions that the
adapter never saw the chosen sentence is right for 73% at 2, 76% at 8, 80% at 24, 79% at 32; the best-ranked for 66%."""

RIVAL = 4.0
"""Nats below the best candidate down to which others are looked for (rag.engine.beams.BEATEN)."""

FLOOR = -20.0
"""Log-probability of what was not found by the beam."""

_EXPLAINS = re.compile(
    r"\b(?:why|how (?:do|does|can|could|should) (?:i|we|you|one|they)|how to|explain|describe)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Extracted:
    """The chosen words, by their offsets in one of the excerpts, with the sentence they stand in."""

    passage: Passage
    start: int
    end: int
    sentence: Sentence
    score: float

    @property
    def text(self) -> str:
        """The words."""
        return self.passage.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Extraction:
    """The best answer, if any words were found, and what tells how far to trust it."""

    best: Extracted | None
    signals: Mapping[str, float]


def explains(question: str) -> bool:
    """Whether a question asks for an explanation, which no few words give."""
    return bool(_EXPLAINS.search(question))


def worth(excerpts: Sequence[Passage], sentences: Sequence[Sentence]) -> list[list[tuple[int, int, float]]]:
    """What the sentences of each excerpt count beside a log-probability, less what the best one does: in nats, <= 0."""
    best = max((sentence.score for sentence in sentences), default=0.0)
    found: list[list[tuple[int, int, float]]] = []
    for excerpt in excerpts:
        stretches = []
        for sentence in sentences:
            if sentence.passage.document_id == excerpt.document_id:
                moved = sentence.passage.start - excerpt.start
                start, end = max(0, moved + sentence.start), min(len(excerpt.text), moved + sentence.end)
                if start < end:
                    stretches.append((start, end, SENTENCE_WEIGHT * (sentence.score - best)))
        found.append(stretches)
    return found


def choose(spans: Sequence[Span], excerpts: Sequence[Passage], sentences: Sequence[Sentence]) -> Extraction:
    """Weigh candidates; `spans` were found in the texts of `excerpts`, the refusal as the one alternative after them.

    sentences: those that the excerpts were cut from, best first
    """
    refusal = max((s.logprob for s in spans if s.places[0].text >= len(excerpts)), default=FLOOR)
    candidates: list[tuple[Extracted, float]] = []
    for span in spans:
        stands = [
            (sentence, passage, place)
            for place in span.places
            if place.text < len(excerpts)
            and (sentence := _around(passage := excerpts[place.text], place.start, place.end, sentences)) is not None
        ]
        if stands:
            sentence, passage, place = max(stands, key=lambda stand: stand[0].score)
            score = span.logprob + SENTENCE_WEIGHT * sentence.score
            candidates.append((Extracted(passage, place.start, place.end, sentence, score), span.logprob))
    candidates.sort(key=lambda candidate: -candidate[0].score)
    if not candidates:
        return Extraction(
            None, {"span": FLOOR, "refusal": max(FLOOR, refusal), "margin": 0.0, "sentence": 0.0, "cosine": 0.0}
        )
    best, logprob = candidates[0]
    other = next((c.score for c, _ in candidates if c.sentence is not best.sentence), best.score - RIVAL)
    signals = {
        "span": max(FLOOR, logprob),
        "refusal": max(FLOOR, refusal),
        "margin": min(RIVAL, best.score - other),
        "sentence": best.sentence.score,
        "cosine": best.sentence.cosine,
    }
    return Extraction(best, signals)


def _around(passage: Passage, start: int, end: int, sentences: Sequence[Sentence]) -> Sentence | None:
    """The sentence that most of a span of an excerpt stands in."""
    a, b = passage.start + start, passage.start + end
    best: tuple[int, Sentence] | None = None
    for sentence in sentences:
        if sentence.passage.document_id != passage.document_id:
            continue
        begin, stop = sentence.passage.start + sentence.start, sentence.passage.start + sentence.end
        shared = min(b, stop) - max(a, begin)
        if shared > 0 and (best is None or shared > best[0]):
            best = (shared, sentence)
    return None if best is None else best[1]
