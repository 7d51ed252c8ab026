"""Metrics against values computed by hand."""

import math

import pytest

from evaluation.metrics.abstention import aurc, calibration_error, risk_coverage
from evaluation.metrics.classification import accuracy, macro_f1, majority
from evaluation.metrics.grounding import (
    Outcome,
    citation_precision,
    citation_recall,
    grounded_accuracy,
    outcome,
    scorer_quality,
    split,
    stands,
    support,
)
from evaluation.metrics.retrieval import document_ndcg, hit, ndcg, recall, reciprocal_rank


def test_cited_words_stand_in_a_text_whole_and_are_more_than_a_label() -> None:
    text = "Mitigations:\n- Segment and control\n  software movement by one directional DMZs."
    assert stands("Segment and control software movement", ["another", text])
    assert not stands("Segment and control any software movement", [text])
    assert not stands("Mitigations:", [text])
    assert not stands("Segment and control software movement", [])


def test_retrieval_is_scored_by_rank() -> None:
    ranked = ["a", "b", "c", "d"]
    assert recall(ranked, ["b", "d", "x"], k=2) == pytest.approx(1 / 3)
    assert recall(ranked, ["b", "d", "x"], k=4) == pytest.approx(2 / 3)
    assert hit(ranked, ["d"], k=3) == 0.0
    assert reciprocal_rank(ranked, ["c", "d"], k=4) == pytest.approx(1 / 3)
    assert reciprocal_rank(ranked, ["d"], k=3) == 0.0
    assert recall(ranked, [], k=1) == 0.0


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    # gains 0, 1, 1 of two relevant: (1/log2 3 + 1/log2 4) / (1/log2 2 + 1/log2 3)
    expected = (1 / math.log2(3) + 0.5) / (1 + 1 / math.log2(3))
    assert ndcg([0, 1, 1], [1, 1], k=3) == pytest.approx(expected)
    assert document_ndcg(["x", "a", "a", "b"], ["a", "b"], k=4) == pytest.approx(
        (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    )
    assert ndcg([1], [], k=1) == 0.0


def test_a_cut_off_of_zero_and_a_negative_gain_are_refused() -> None:
    with pytest.raises(ValueError, match="k = 0"):
        recall(["a"], ["a"], k=0)
    with pytest.raises(ValueError, match="negative"):
        ndcg([-1.0], [1.0], k=1)


def test_macro_f1_shows_what_a_constant_answer_hides() -> None:
    gold = ["yes", "yes", "yes", "no"]
    assert majority(gold) == ("yes", 0.75)
    # yes: 2 x 3 / (3 + 4) = 6/7, no: 0
    assert macro_f1(gold, ["yes"] * 4) == pytest.approx(3 / 7)
    assert macro_f1(gold, ["yes", "yes", None, "no"]) == pytest.approx((4 / 5 + 1) / 2)
    assert accuracy([True, False]) == 0.5
    with pytest.raises(ValueError, match="no answer"):
        accuracy([])


def test_the_risk_coverage_curve_keeps_ties_together() -> None:
    curve = risk_coverage([0.9, 0.9, 0.5, 0.1], [True, False, True, False])
    assert curve.coverage == (0.5, 0.75, 1.0)
    assert curve.risk == pytest.approx((0.5, 1 / 3, 0.5))
    assert curve.threshold == (0.9, 0.5, 0.1)


def test_aurc_is_the_mean_risk_over_prefixes_and_ties_gain_nothing() -> None:
    # most confident right, then wrong: risks 0, 1/2
    assert aurc([0.9, 0.1], [True, False]) == pytest.approx(0.25)
    assert aurc([0.5, 0.5], [True, False]) == aurc([0.5, 0.5], [False, True]) == pytest.approx(0.5)


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    assert calibration_error([0.8] * 10, [True] * 8 + [False] * 2, bins=1) == pytest.approx(0.0)
    assert calibration_error([0.9, 0.9, 0.1, 0.1], [True, False, False, False], bins=2) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="lie in"):
        calibration_error([1.5], [True])


def test_every_question_has_exactly_one_outcome() -> None:
    assert outcome(correct=True, abstained=False, answerable=True, grounded=True) is Outcome.RIGHT_GROUNDED
    assert outcome(correct=True, abstained=False, answerable=False, grounded=False) is Outcome.RIGHT_UNGROUNDED
    assert outcome(correct=False, abstained=False, answerable=True, grounded=True) is Outcome.WRONG_GROUNDED
    assert outcome(correct=False, abstained=False, answerable=True, grounded=False) is Outcome.WRONG_UNGROUNDED
    assert outcome(correct=False, abstained=True, answerable=True, grounded=False) is Outcome.ABSTAINED_WRONGLY
    assert outcome(correct=False, abstained=True, answerable=False, grounded=False) is Outcome.ABSTAINED_RIGHTLY
    shares = split([Outcome.RIGHT_GROUNDED, Outcome.ABSTAINED_RIGHTLY])
    assert len(shares) == 6
    assert sum(shares.values()) == pytest.approx(1.0)
    assert grounded_accuracy([Outcome.RIGHT_GROUNDED, Outcome.WRONG_GROUNDED]) == 0.5


QUESTION = "What is the lead time of pump P-214?"


def test_a_claim_is_supported_by_words_about_the_question_that_hold_it() -> None:
    assert support(QUESTION, "twelve weeks", "The lead time of the pump P-214 is twelve weeks.") > 0.5
    assert support(QUESTION, "twelve weeks", "Filters are changed monthly.") == 0.0
    assert support(QUESTION, "12 weeks", "The lead time of the pump P-214 is 8 weeks.") == 0.0
    assert support(QUESTION, "twelve weeks", "") == 0.0


def test_the_support_scorer_is_itself_measured() -> None:
    right = (QUESTION, "twelve weeks", "The lead time of pump P-214 is twelve weeks.")
    other = (QUESTION, "twelve weeks", "The gasket is made of rubber.")
    quality = scorer_quality([right, right], [other])
    assert (quality.precision, quality.recall, quality.pairs) == (1.0, 1.0, 3)
    lenient = scorer_quality([right], [other], scorer=lambda *_: 1.0)
    assert (lenient.precision, lenient.recall) == (0.5, 1.0)
    with pytest.raises(ValueError, match="no gold evidence"):
        scorer_quality([], [other])


def test_citations_have_precision_and_claims_have_recall() -> None:
    assert citation_precision([0.9, 0.2]) == 0.5
    assert citation_precision([]) is None
    assert citation_recall([[0.9, 0.1], [0.2], []]) == pytest.approx(1 / 3)
    assert citation_recall([]) is None
