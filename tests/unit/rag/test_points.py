"""Which candidates need a cosine, and how many passages are read: less work, never another ranking."""

from __future__ import annotations

import numpy as np
import pytest

from rag.adapters.points import DEPTH, best, contenders
from rag.types import RetrievalMode

QUESTIONS = ("How fast does the pump run?", "What does T1185 do?")


@pytest.mark.parametrize("seed", range(60))
def test_the_best_are_the_same_as_if_every_candidate_were_compared(seed: int) -> None:
    chance = np.random.default_rng(seed)
    every = {f"c{number:03}": float(score) for number, score in enumerate(chance.normal(0.3, 0.2, 400))}
    nearest = sorted(every, key=lambda key: -every[key])[:DEPTH]
    dense = {key: every[key] for key in nearest}
    words = chance.choice(sorted(every), int(chance.integers(1, DEPTH + 1)), replace=False)
    bm25 = {str(key): float(score) for key, score in zip(words, chance.exponential(5, len(words)), strict=True)}
    limit, question = int(chance.integers(1, 20)), QUESTIONS[seed % 2]
    rest = contenders(question, dense, bm25, limit=limit)
    few = best(RetrievalMode.HYBRID, question, dense | {key: every[key] for key in rest}, bm25, limit=limit)
    all_of_them = dense | {key: every[key] for key in bm25}
    every_one = best(RetrievalMode.HYBRID, question, all_of_them, bm25, limit=len(every))
    assert few[:limit] == every_one[:limit]
    assert len(every_one) == len(all_of_them)
    assert [score for _, score in every_one] == sorted((score for _, score in every_one), reverse=True)
    assert set(rest) <= bm25.keys() - dense.keys()


def test_most_hits_by_words_alone_need_no_cosine() -> None:
    dense = {f"d{number}": 0.9 - number / 1000 for number in range(DEPTH)}
    bm25 = {f"b{number}": 10.0 - number / 10 for number in range(DEPTH)}
    assert 0 < len(contenders(QUESTIONS[0], dense, bm25, limit=8)) < DEPTH


def test_where_fewer_are_near_than_were_asked_for_all_are_compared() -> None:
    dense = {f"d{number}": 0.9 for number in range(DEPTH - 1)}
    assert contenders(QUESTIONS[0], dense, {"d1": 9.0, "b1": 0.1, "b2": 0.1}, limit=8) == ["b1", "b2"]


def test_as_many_are_read_as_are_wanted_and_those_as_good_as_the_last() -> None:
    scores = {"e": 0.4, "c": 0.5, "b": 0.5, "d": 0.4999999, "a": 0.9}
    for mode, dense, bm25 in ((RetrievalMode.DENSE, scores, {}), (RetrievalMode.BM25, {}, scores)):
        assert [key for key, _ in best(mode, "", dense, bm25, limit=1)] == ["a"]
        assert [key for key, _ in best(mode, "", dense, bm25, limit=2)] == ["a", "b", "c", "d"]
        assert best(mode, "", dense, bm25, limit=9) == sorted(scores.items())
