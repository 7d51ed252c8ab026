"""Intervals, tests and verdicts, against values computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics import (
    Difference,
    Verdict,
    holm,
    mcnemar,
    minimum_detectable_effect,
    paired_difference,
    verdict,
)


def own(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def test_mcnemar_is_the_exact_binomial_of_the_disagreements() -> None:
    # b = 8, c = 2: p = 2 x (C(10,0) + C(10,1) + C(10,2)) / 2^10 = 2 x 56 / 1024
    ours = [True] * 8 + [False] * 2 + [True] * 5
    theirs = [False] * 8 + [True] * 2 + [True] * 5
    assert mcnemar(ours, theirs) == pytest.approx(112 / 1024)
    assert mcnemar([True, False], [True, False]) == 1.0


def test_holm_steps_down_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
    with pytest.raises(ValueError, match="lie in"):
        holm([1.2])


def test_a_difference_of_separate_questions_has_the_textbook_interval() -> None:
    # 8 of 20 for us alone, 4 for them alone: mean 0.2, sum of squares 12 - 20 x 0.04 = 11.2; se = sqrt(11.2/19/20)
    ours = [1.0] * 8 + [0.0] * 4 + [1.0] * 8
    theirs = [0.0] * 8 + [1.0] * 4 + [1.0] * 8
    found = paired_difference(ours, theirs, own(20))
    error = (11.2 / 19 / 20) ** 0.5
    assert found.estimate == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(error)
    assert found.high == pytest.approx(0.2 + 2.0930 * error, abs=1e-4)
    assert found.small


def test_repeating_every_question_within_its_cluster_gains_no_certainty() -> None:
    generator = np.random.default_rng(1)
    ours, theirs = generator.integers(0, 2, (2, 60)).astype(float)
    once = paired_difference(ours, theirs, own(60))
    thrice = paired_difference(np.repeat(ours, 3), np.repeat(theirs, 3), list(np.repeat(own(60), 3)))
    assert thrice.clusters == 60
    assert thrice.standard_error == pytest.approx(once.standard_error)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


def test_many_clusters_are_bootstrapped_with_the_same_result_for_the_same_seed() -> None:
    generator = np.random.default_rng(2)
    ours, theirs = generator.integers(0, 2, (2, 400)).astype(float)
    one, two = (paired_difference(ours, theirs, own(400), resamples=2000) for _ in range(2))
    assert one == two
    assert one.low < one.estimate < one.high
    assert one.high - one.low == pytest.approx(2 * 1.96 * one.standard_error, rel=0.1)


def test_one_question_says_nothing() -> None:
    found = paired_difference([1.0], [0.0], ["a"])
    assert (found.low, found.high) == (-1.0, 1.0)
    assert verdict(found, margin=0.05) is Verdict.INCONCLUSIVE


def test_two_systems_that_never_differ_still_have_an_interval() -> None:
    found = paired_difference([1.0] * 50, [1.0] * 50, own(50))
    assert found.estimate == 0.0
    assert found.low < 0 < found.high


def test_unequal_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([1.0], [1.0, 0.0], ["a"])
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([], [], [])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.20, Verdict.WINS),
        (-0.04, 0.10, Verdict.COMPETES),
        (-0.20, -0.06, Verdict.LOSES),
        (-0.20, 0.10, Verdict.INCONCLUSIVE),
        (-0.05, 0.10, Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts_follow_the_one_sided_interval(low: float, high: float, expected: Verdict) -> None:
    difference = Difference(
        n=200, clusters=200, estimate=(low + high) / 2, low=low - 0.02, high=high + 0.02, level=0.95,
        one_sided_low=low, one_sided_high=high, standard_error=0.03, small=False,
    )  # fmt: skip
    assert verdict(difference, margin=0.05) is expected


def test_a_margin_must_be_a_share() -> None:
    difference = paired_difference([1.0, 0.0], [0.0, 1.0], own(2))
    with pytest.raises(ValueError, match="margin 5"):
        verdict(difference, margin=5)


def test_the_minimum_detectable_effect_is_the_sum_of_two_quantiles() -> None:
    assert minimum_detectable_effect(0.02) == pytest.approx((1.6449 + 0.8416) * 0.02, abs=1e-5)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_swapping_the_sides_mirrors_the_interval(rows: list[tuple[bool, bool, int]]) -> None:
    ours, theirs = [float(a) for a, _, _ in rows], [float(b) for _, b, _ in rows]
    clusters = [str(c) for _, _, c in rows]
    there, back = paired_difference(ours, theirs, clusters), paired_difference(theirs, ours, clusters)
    assert there.low == pytest.approx(-back.high)
    assert there.one_sided_low == pytest.approx(-back.one_sided_high)
    assert there.low - 1e-9 <= there.estimate <= there.high + 1e-9
