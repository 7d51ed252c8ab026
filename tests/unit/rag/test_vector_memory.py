"""What was embedded lately is not embedded again, and no more is kept than was said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag.protocols import Vectors
from rag.vector_memory import RememberingEmbedder
from tests.fakes.embedder import HashedWords


class Counting(HashedWords):
    """Notes what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(list(texts))
        return super().embed(texts)


def test_only_what_is_new_is_computed_and_each_text_once() -> None:
    inner = Counting()
    embedder = RememberingEmbedder(inner, most=10)
    first = embedder.embed(["a pump", "a valve", "a pump"])
    again = embedder.embed(["a valve", "a hose", "a pump"])
    assert inner.asked == [["a pump", "a valve"], ["a hose"]]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again[[2, 0]], first[:2])
    assert np.array_equal(again, HashedWords().embed(["a valve", "a hose", "a pump"]))
    embedder.embed(["a hose"])
    assert len(inner.asked) == 2, "there is nothing to ask"


def test_the_least_recently_used_is_forgotten_first() -> None:
    inner = Counting()
    embedder = RememberingEmbedder(inner, most=2)
    embedder.embed(["a", "b"])
    embedder.embed(["a"])
    embedder.embed(["c"])
    embedder.embed(["a"])
    embedder.embed(["b"])
    assert inner.asked == [["a", "b"], ["c"], ["b"]]


def test_with_nothing_to_remember_it_is_the_other_one() -> None:
    inner = Counting()
    embedder = RememberingEmbedder(inner, most=0)
    for _ in range(2):
        embedder.embed(["a"])
    assert inner.asked == [["a"], ["a"]]


def test_what_is_given_out_is_nobody_else_s() -> None:
    embedder = RememberingEmbedder(HashedWords(), most=2)
    embedder.embed(["a"])[0] *= 0
    assert np.linalg.norm(embedder.embed(["a"])) > 0.9
