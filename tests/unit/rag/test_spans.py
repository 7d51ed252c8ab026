"""Decoding held to texts: which tokens may follow, where answers begin and end, and where they stand."""

from __future__ import annotations

import numpy as np
import pytest

from rag.engine.spans import Found, Hypothesis, Spans

TEXT = "It paid $5,000.50 (in U.S. dollars) at 10:30. Ça va, Zoë's 60 °C? It paid."
LETTERS = {bytes([byte]): byte for byte in range(256)}
"""A vocabulary of single bytes: every spelling has one tokenization."""
UNIFORM = np.full(256 + 8, -1.0, np.float32)


def write(spans: Spans, answer: str) -> Found | None:
    """Follow the automaton letter by letter; None where it does not lead there."""
    data = answer.encode()
    now: list[Hypothesis] = [h for h in spans.first(UNIFORM) if h.token == data[0]]
    for byte in data[1:]:
        now = [h for old in now for h in spans.next(old, 0, UNIFORM) if h.token == byte]
    assert len(now) <= 1
    return spans.finished(now[0], -0.5) if now else None


@pytest.mark.parametrize(
    "answer", ["It paid", "$5,000.50", "5,000.50", "U.S.", "U.S. dollars", "10:30", "Ça va", "Zoë", "60 °C", "Zoë's 60"]
)
def test_whole_words_and_numbers_are_answers(answer: str) -> None:
    found = write(Spans([TEXT], [], LETTERS, 4), answer)
    assert found is not None
    _, start, end = found.places[0]
    assert TEXT[start:end] == answer
    assert found.value == pytest.approx(-len(answer.encode()) - 0.5)


@pytest.mark.parametrize(
    "answer", ["t paid", "It pai", "000.50", "5,000", "50", "0:30", "10", "s 60", "It  paid", "Rome"]
)
def test_parts_of_words_and_numbers_and_other_words_are_not(answer: str) -> None:
    assert write(Spans([TEXT], [], LETTERS, 4), answer) is None


def test_every_place_of_the_same_words_is_kept_over_all_texts() -> None:
    found = write(Spans([TEXT, "She said: It paid off."], [], LETTERS, 4), "It paid")
    assert found is not None
    assert found.places == ((0, 0, 7), (0, len(TEXT) - 8, len(TEXT) - 1), (1, 10, 17))


def test_an_alternative_is_written_as_a_whole_or_not_at_all() -> None:
    spans = Spans([TEXT], ["not in the passages"], LETTERS, 4)
    assert write(spans, "not in the passages") == Found(((1, 0, 19),), (-1.0,) * 19 + (-0.5,))
    assert write(spans, "not in") is None
    assert write(spans, "passages") is None


def test_an_answer_is_worth_what_the_best_of_its_places_is() -> None:
    spans = Spans([TEXT], [], LETTERS, 4, [[(0, 5, -3.0), (len(TEXT) - 8, len(TEXT), -2.0)]])
    twice, once = write(spans, "It paid"), write(spans, "Zoë")
    assert twice is not None
    assert once is not None
    assert (twice.worth, once.worth) == (-2.0, 0.0)
    assert twice.value == sum(twice.logprobs) - 2.0


def test_tokens_of_several_letters_and_a_leading_space_lead_to_the_same_place() -> None:
    vocabulary = {**LETTERS, b"It": 256, b" It": 257, b" paid": 258, b"It paid $5,0": 259}
    spans = Spans([TEXT], [], vocabulary, 12)
    firsts = {hypothesis.token: hypothesis for hypothesis in spans.first(UNIFORM)}
    assert {256, 257, 259} <= set(firsts)
    for token in (256, 257):
        (follower,) = [h for h in spans.next(firsts[token], 3, UNIFORM) if h.token == 258]
        assert follower.parent == 3
        done = spans.finished(follower, -0.1)
        assert done is not None
        assert done.places[0] == (0, 0, 7)
        assert done.value == pytest.approx(-2.1)
    assert spans.finished(firsts[259], -0.1) is None, "the middle of a number"


def test_texts_without_a_word_lead_nowhere() -> None:
    assert Spans(["", "— … !"], [], LETTERS, 4).first(UNIFORM) == []
