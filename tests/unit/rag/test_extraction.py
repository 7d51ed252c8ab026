"""Candidates weighed over all passages, and the signals that are left for a confidence."""

from __future__ import annotations

import pytest

from rag import extraction
from rag.extraction import FLOOR, SENTENCE_WEIGHT, choose, explains
from rag.reading import Sentence
from rag.types import Passage, Place, Span


def passage(text: str, *, document: str = "d", start: int = 0) -> Passage:
    return Passage(
        document_id=document, title="", heading="", text=text, start=start, end=start + len(text),
        text_sha256="0" * 64, score=1.0,
    )  # fmt: skip


def whole(of: Passage, cosine: float) -> Sentence:
    return Sentence(of, 0, len(of.text), cosine, 0.0)


def span(logprob: float, *places: tuple[int, str, Passage]) -> Span:
    return Span(
        places=tuple(Place(text=i, start=(at := p.text.index(words)), end=at + len(words)) for i, words, p in places),
        logprob=logprob,
        tokens=2,
    )


NEAR = passage("The valve opens at 6.5 bar.", document="valve", start=100)
FAR = passage("The boiler is tested at 9 bar.", document="boiler")
SENTENCES = [whole(NEAR, 0.9), whole(FAR, 0.3)]


def test_a_better_sentence_outweighs_a_little_likelihood() -> None:
    found = choose([span(-1.0, (1, "9 bar", FAR)), span(-1.5, (0, "6.5 bar", NEAR))], [NEAR, FAR], SENTENCES)
    assert found.best is not None
    assert (found.best.text, found.best.sentence.passage.document_id) == ("6.5 bar", "valve")
    assert found.best.score == pytest.approx(-1.5 + SENTENCE_WEIGHT * 0.9)
    assert found.signals["margin"] == extraction.RIVAL, "further away than rivals are looked for"


def test_a_sentence_of_an_excerpt_is_worth_its_score_below_the_best() -> None:
    text = "It is old. The valve opens at 6.5 bar."
    both = passage(text, document="valve", start=100)
    sentences = [Sentence(both, 11, len(text), 0.9, 0.0), Sentence(both, 0, 10, 0.4, 0.0), whole(FAR, 0.3)]
    late = both.model_copy(update={"text": text[4:], "start": 104})
    told = extraction.worth([late, FAR], sentences)
    assert told == [
        [(7, len(text) - 4, 0.0), (0, 6, pytest.approx(-0.5 * SENTENCE_WEIGHT))],
        [(0, len(FAR.text), pytest.approx(-0.6 * SENTENCE_WEIGHT))],
    ]
    assert late.text[7:] == "The valve opens at 6.5 bar."


def test_the_same_words_are_cited_where_their_sentence_is_best() -> None:
    other = passage("At 6.5 bar it opens.", document="third")
    found = choose(
        [span(-1.0, (2, "6.5 bar", other), (0, "6.5 bar", NEAR))], [NEAR, FAR, other], [*SENTENCES, whole(other, 0.2)]
    )
    assert found.best is not None
    assert found.best.passage.document_id == "valve"


def test_another_form_of_the_answer_in_the_same_sentence_is_no_rival() -> None:
    forms = [span(-1.0, (0, "6.5 bar", NEAR)), span(-1.2, (0, "6.5", NEAR)), span(-4.0, (1, "9 bar", FAR))]
    found = choose(forms, [NEAR, FAR], SENTENCES)
    assert found.signals["margin"] == extraction.RIVAL


def test_likelihood_decides_between_sentences_alike() -> None:
    alike = [whole(NEAR, 0.61), whole(FAR, 0.6)]
    found = choose([span(-1.0, (1, "9 bar", FAR)), span(-1.5, (0, "6.5 bar", NEAR))], [NEAR, FAR], alike)
    assert found.best is not None
    assert found.best.text == "9 bar"


def test_the_refusal_is_a_signal_and_never_the_answer() -> None:
    refusal = Span(places=(Place(text=2, start=0, end=len(extraction.REFUSAL)),), logprob=-0.1, tokens=5)
    found = choose([refusal, span(-6.0, (0, "6.5 bar", NEAR))], [NEAR, FAR], SENTENCES)
    assert found.best is not None
    assert found.signals["refusal"] == pytest.approx(-0.1)
    nothing = choose([refusal], [NEAR, FAR], SENTENCES)
    assert nothing.best is None
    assert nothing.signals["span"] == FLOOR


def test_the_refusal_is_what_the_prompt_asks_for() -> None:
    from rag.prompt import load

    assert f"say: {extraction.REFUSAL}." in load("answer")


@pytest.mark.parametrize(
    ("question", "so"),
    [
        ("Why does the kiln trip?", True),
        ("How do I change a bushing?", True),
        ("how many tornado planes does the uk have", False),
        ("How often is it greased?", False),
        ("Who signs off a valve change?", False),
        ("Explain the shift rule", True),
    ],
)
def test_questions_for_an_explanation_are_told_apart(question: str, so: bool) -> None:
    assert explains(question) is so
