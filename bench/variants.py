"""The product with one thing changed: what `bench.ablations` measures. The first one changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluation.suites import Kind
from rag import extraction, grounding, reading, tables
from rag.lexical import content_words
from rag.reading import Sentence
from rag.types import Passage, Span

FREE, CHOICE, YES_NO = frozenset({Kind.FREE}), frozenset({Kind.CHOICE}), frozenset({Kind.YES_NO})
EVERY = FREE | CHOICE | YES_NO

ALIKE = 0.8
"""Share of their words that two sentences share when one says what the other says."""


@dataclass(frozen=True)
class Variant:
    """One change."""

    name: str
    kinds: frozenset[Kind] = EVERY
    """of the questions that it can change an answer of"""
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    parts: Mapping[str, object] = field(default_factory=dict)
    """dotted name of a constant or function -> what stands in its place"""


# --- what stands in the place of a part ---------------------------------------------------------


def best_sentence(
    _spans: Sequence[Span], _excerpts: Sequence[Passage], sentences: Sequence[Sentence]
) -> extraction.Extraction:
    """The best-ranked sentence, whatever the model proposes."""
    best = sentences[0]
    whole = extraction.Extracted(best.passage, best.start, best.end, best, best.score)
    return extraction.Extraction(whole, {"sentence": best.score})


def words_alone(passage: Passage, sentence: tuple[int, int], chosen: tuple[int, int]) -> grounding.Verdict:
    """The chosen words as the answer, in place of their sentence."""
    return grounding.row(passage.text[slice(*chosen)], passage, sentence, chosen)


def whole_passages(chosen: Sequence[Sentence]) -> list[Passage]:
    """The passages of the best sentences, whole."""
    found = {(s.passage.document_id, s.passage.start): s.passage for s in chosen}
    return list(found.values())


def turned(excerpts: Callable[[Sequence[Sentence]], list[Passage]]) -> Callable[[Sequence[Sentence]], list[Passage]]:
    """The best excerpt last, beside the question."""
    return lambda chosen: excerpts(chosen)[::-1]


def with_neighbours(chosen: Sequence[Sentence]) -> list[Passage]:
    """The best sentence with the one before and after it, then the others."""
    if not chosen:
        return []
    best = chosen[0]
    spans = list(reading._units(best.passage.text))
    at = spans.index((best.start, best.end))
    around = [
        Sentence(best.passage, start, end, 0.0, 0.0)
        for start, end in (*spans[max(0, at - 1) : at], *spans[at + 1 : at + 2])
    ]
    known = {(s.passage.document_id, s.passage.start, s.start) for s in chosen}
    new = [s for s in around if (s.passage.document_id, s.passage.start, s.start) not in known]
    return _excerpts([*chosen, *new])


def without_repeats(chosen: Sequence[Sentence]) -> list[Passage]:
    """Without sentences that say what a better one says."""
    kept: list[tuple[Sentence, set[str]]] = []
    for sentence in chosen:
        said = set(content_words(sentence.passage.text[sentence.start : sentence.end]))
        if not any(len(said & other) >= ALIKE * min(len(said), len(other)) for _, other in kept):
            kept.append((sentence, said))
    return _excerpts([sentence for sentence, _ in kept])


def no_rows(_text: str, _start: int = 0, _end: int | None = None) -> Iterator[tables.Row]:
    """No line of a table is a row."""
    return iter(())


_excerpts = reading.excerpts


def _answer(**changes: object) -> Mapping[str, Mapping[str, object]]:
    return {"answer": changes}


def _retrieval(**changes: object) -> Mapping[str, Mapping[str, object]]:
    return {"retrieval": changes}


NO_ROWS = {"rag.tables.rows": no_rows, "rag.tables.row_at": lambda *_: None}
PLAIN = {"model": {"adapter": "none"}}

VARIANTS: tuple[Variant, ...] = (
    Variant("as it is"),
    # what is made of the model's words
    Variant("no model: the best-ranked sentence", FREE, parts={"rag.extraction.choose": best_sentence}),
    Variant("sentence weight 0", FREE, parts={"rag.extraction.SENTENCE_WEIGHT": 0.0}),
    Variant("sentence weight 8", FREE, parts={"rag.extraction.SENTENCE_WEIGHT": 8.0}),
    Variant("sentence weight 48", FREE, parts={"rag.extraction.SENTENCE_WEIGHT": 48.0}),
    Variant("the chosen words alone", FREE, parts={"rag.grounding.span": words_alone}),
    # options
    Variant("options without likelihood", CHOICE | YES_NO, _answer(likelihood_weight=0.0)),
    Variant("likelihood of options at 0.1", CHOICE | YES_NO, _answer(likelihood_weight=0.1)),
    Variant("options by likelihood (weight 10)", CHOICE | YES_NO, _answer(likelihood_weight=10.0)),
    Variant("no conclusion sentences", YES_NO, parts={"rag.choosing.conclusion_of": lambda *_: []}),
    # what is found
    Variant("no scoping", EVERY, _retrieval(scope=False)),
    Variant("dense search alone", EVERY, _retrieval(mode="dense")),
    Variant("BM25 alone", EVERY, _retrieval(mode="bm25")),
    Variant("4 passages", EVERY, _retrieval(passages=4)),
    Variant("16 passages", EVERY, _retrieval(passages=16)),
    Variant("no table rows", FREE, parts=NO_ROWS),
    Variant("nothing computed", FREE, parts={"rag.formula_questions.asked": lambda _: None}),
    # what the model reads
    Variant("sentences ranked by cosine alone", EVERY, parts={"rag.reading.COVERAGE_WEIGHT": 0.0}),
    Variant("neighbours of the best sentence", FREE, parts={"rag.reading.excerpts": with_neighbours}),
    Variant("near-duplicates removed", FREE, parts={"rag.reading.excerpts": without_repeats}),
    Variant("7 sentences compared", FREE, parts={"rag.reading.NEAREST": 7}),
    Variant("all sentences compared", FREE, parts={"rag.reading.NEAREST": reading.MAX_SENTENCES}),
    Variant("promised by words alone", FREE, parts={"rag.reading.PASSAGE_WEIGHT": 0.0}),
    Variant("sentences within 0.15 of the best", FREE, _answer(sentence_spread=0.15)),
    Variant("sentences however far from the best", FREE, _answer(sentence_spread=2.0)),
    Variant("3 sentences", FREE, _answer(sentences=3)),
    Variant("12 sentences, 800 tokens", FREE, _answer(sentences=12, context_tokens=800)),
    Variant("best excerpt last", FREE, parts={"rag.reading.excerpts": turned(reading.excerpts)}),
    Variant("whole passages, 800 tokens", FREE, _answer(context_tokens=800), {"rag.reading.excerpts": whole_passages}),
    # the model
    Variant("no adapter: own words, checked, else the best sentence", FREE, PLAIN),
    Variant("no adapter, decoding within the passages", FREE, {**PLAIN, **_answer(decoding="extractive")}),
    Variant("adapter, own words, checked, else the best sentence", FREE, _answer(decoding="free")),
)


def other_adapter(path: str) -> Variant:
    """Another adapter, decoding within the passages as with the shipped one."""
    return Variant(f"adapter {path}", FREE, {"model": {"adapter": path}, **_answer(decoding="extractive")})


def cross_encoder(folder: str) -> Variant:
    """Passages reordered by a cross-encoder, within the time of the settings."""
    return Variant(f"reranker {folder}", EVERY, _retrieval(reranker=folder))
