"""Fusing two rankings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.fusion import DENSE_WEIGHT, DENSE_WEIGHT_IDENTIFIERS, combine, dense_weight


def test_scores_are_divided_by_the_best_and_weighted() -> None:
    fused = combine(np.array([0.8, 0.4, 0.0]), np.array([0.0, 5.0, 10.0]), weight=0.6)
    np.testing.assert_allclose(fused, [0.6, 0.3 + 0.2, 0.4])


def test_a_list_without_any_score_takes_no_part() -> None:
    np.testing.assert_allclose(combine(np.array([0.5, 0.25]), np.zeros(2), weight=0.6), [0.6, 0.3])
    assert combine(np.empty(0), np.empty(0), weight=0.5).shape == (0,)


def test_negative_cosines_count_as_none() -> None:
    np.testing.assert_allclose(combine(np.array([-0.2, 0.5]), np.array([1.0, 0.0]), weight=0.5), [0.5, 0.5])


@pytest.mark.parametrize(
    "question",
    ["What does T1185 do?", "Who inspects pump P-214?", "Is CVE-2021-44228 fixed?", "How does MITRE call it?", "PTSD?"],
)
def test_an_identifier_or_acronym_makes_words_count_more(question: str) -> None:
    assert dense_weight(question) == DENSE_WEIGHT_IDENTIFIERS


@pytest.mark.parametrize(
    "question", ["who got the first nobel prize in physics", "What happened in 1901?", "Is it 3.5 bar?", "I am US born"]
)
def test_plain_words_and_plain_numbers_are_no_identifiers(question: str) -> None:
    assert dense_weight(question) == DENSE_WEIGHT


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="same candidates"):
        combine(np.zeros(2), np.zeros(3), weight=0.5)
    with pytest.raises(ValueError, match="not in"):
        combine(np.zeros(2), np.zeros(2), weight=1.5)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 50)), max_size=20), st.floats(0, 1))
def test_fused_scores_stay_between_zero_and_one(pairs: list[tuple[float, float]], weight: float) -> None:
    dense, bm25 = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    fused = combine(dense, bm25, weight=weight)
    assert ((fused >= 0) & (fused <= 1 + 1e-9)).all()
