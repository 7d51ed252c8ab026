"""The beam search over texts finds what is worth most, and leaves what cannot be it any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import extraction
from rag.engine import beams
from rag.engine.llama import Llama, Logits, log_softmax
from rag.engine.spans import Found, Hypothesis, Spans
from rag.engine.wire import Frame
from tests.fakes.engine_model import EngineModel

WORDS = {word.encode(): token for token, word in enumerate(("ab", "cd", " ab", " cd", " ef", "ef"))}
"""Tokens of the fake model, which has 32."""
PROMPT = (7, 8, 9)


class Model(EngineModel):
    """The fake model with an end token."""

    ends = (31,)


def run(texts: Sequence[str], worth: Sequence[Sequence[tuple[int, int, float]]]) -> tuple[Model, Frame]:
    model = Model(sequences=1 + beams.BEAM, memory_tokens=400)
    spans = Spans(texts, [], WORDS, 3, worth)
    task = beams.extract(cast(Llama, model), range(1 + beams.BEAM), 0, PROMPT, spans, max_tokens=4)
    rows = next(task)
    try:
        while True:
            logits = model.evaluate(rows)
            assert logits is not None
            rows = task.send(logits)
    except StopIteration as end:
        return model, cast(Frame, end.value)


def rows_of(texts: Sequence[str], worth: Sequence[Sequence[tuple[int, int, float]]]) -> int:
    return sum(map(len, run(texts, worth)[0].calls))


def found(texts: Sequence[str], worth: Sequence[Sequence[tuple[int, int, float]]] = ()) -> list[Found]:
    return [
        Found(one["places"], one["logprobs"], max(_worth(worth, text, start) for text, start, _ in one["places"]))
        for one in run(texts, worth)[1]["spans"]
    ]


def _worth(worth: Sequence[Sequence[tuple[int, int, float]]], text: int, start: int) -> float:
    stretches = worth[text] if text < len(worth) else ()
    return next((nats for begin, end, nats in stretches if begin <= start < end), 0.0)


def best_of_all(texts: Sequence[str], worth: Sequence[Sequence[tuple[int, int, float]]]) -> float:
    """The greatest value of any answer, by following every one of them."""
    model = Model(sequences=1, memory_tokens=400)
    spans = Spans(texts, [], WORDS, 3, worth)

    def logprobs(tokens: Sequence[int]) -> Logits:
        return log_softmax(np.array([model.logits_after([*PROMPT, *tokens])], np.float32))

    best = -np.inf
    open_ones: list[tuple[Hypothesis, tuple[int, ...]]]
    open_ones = [(one, (one.token,)) for one in spans.first(logprobs(())[0])]
    while open_ones:
        hypothesis, tokens = open_ones.pop()
        after = logprobs(tokens)[0]
        done = spans.finished(hypothesis, float(after[31]))
        best = max(best, done.value if done else -np.inf)
        if len(tokens) < 4:
            open_ones += [(one, (*tokens, one.token)) for one in spans.next(hypothesis, 0, after)]
    return float(best)


@settings(deadline=None)
@given(st.sampled_from(["ab", "cd", "ef ab", "ab cd", "cd cd"]), st.floats(-300, 0))
def test_no_answer_is_worth_more_than_the_first(text: str, nats: float) -> None:
    # Texts of few hypotheses: the beam is as wide as they are. The fake model's logits span 255 nats, so that what
    # is hopeless is made nothing.
    worth = [[(0, 2, nats)]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beams, "HOPELESS", 1000.0)
        values = [one.value for one in found([text], worth)]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(best_of_all([text], worth), abs=1e-3)


def test_what_a_place_is_worth_decides_between_equal_words() -> None:
    plain = found(["ab", "cd"])
    first, other = (one.places[0][0] for one in plain[:2])
    turned = [[(0, 2, -500.0)] if text == first else [] for text in range(2)]
    assert found(["ab", "cd"], turned)[0].places[0][0] == other


def test_nothing_is_followed_that_is_beaten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beams, "HOPELESS", 1000.0)
    texts = ["ab ab ab ab", "cd cd cd cd"]
    fewer = rows_of(texts, [])
    best = found(texts)[0]
    monkeypatch.setattr(beams, "BEATEN", 1000.0)
    assert fewer < rows_of(texts, [])
    assert found(texts)[0] == best


def test_texts_without_words_have_no_answer() -> None:
    assert found(["— …"]) == []


def test_rivals_are_looked_for_as_far_down_as_the_margin_counts_them() -> None:
    assert beams.BEATEN == extraction.RIVAL, "the core may not import the engine, nor the engine's process the core"
