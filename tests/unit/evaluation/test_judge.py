"""The shipped judge, its file, and the rates that are corrected for its error."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.judge import (
    SHIPPED,
    Judge,
    Judgement,
    StyleError,
    judge_choice,
    judge_yes_no,
    load_judge,
    shipped_judge,
)
from evaluation.judge_features import alike, best_alike, features, name_match
from evaluation.judge_typed import polarity, rounds_to, typed_agreement
from evaluation.rates import corrected_rate, score_rate
from rag.errors import InvalidCorpus


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


RIGHT = [
    ("who invented the telephone", ["Alexander Graham Bell"], "Alexander Bell"),
    ("who invented the telephone", ["Alexander Graham Bell"], "The telephone was invented by Alexander Graham Bell."),
    ("when did the bridge open", ["12 April 1979"], "It opened on April 12, 1979."),
    ("when did the bridge open", ["April 1979"], "April 12, 1979"),
    ("how many valves does the pump have", ["six"], "The pump has 6 valves."),
    ("how long is the pipeline", ["8,850 km"], "It is 8850 kilometers long."),
    ("is the pump self-priming", ["Yes, it is"], "Yes, the pump is self-priming."),
    ("what was revenue (in USD millions)", ["$1616.00"], "Revenue was $1,615.9 million."),
]
WRONG = [
    ("who invented the telephone", ["Alexander Graham Bell"], "Thomas Edison"),
    ("who invented the telephone", ["Alexander Graham Bell"], "It was invented by Elisha Gray in 1876."),
    ("when did the bridge open", ["12 April 1979"], "It opened in 1985."),
    ("how many valves does the pump have", ["six"], "The pump has 8 valves."),
    ("is the pump self-priming", ["Yes, it is"], "No, the pump is not self-priming."),
    ("who invented the telephone", ["Alexander Graham Bell"], "I'm sorry, I do not know who invented it."),
    ("what was revenue (in USD millions)", ["$1616.00"], "Revenue was $1,580.6 million."),
    ("who invented the telephone", ["Alexander Graham Bell"], ""),
]


@pytest.mark.parametrize(("question", "golds", "answer"), RIGHT)
def test_a_right_answer_in_other_words_is_called_correct(
    judge: Judge, question: str, golds: list[str], answer: str
) -> None:
    assert judge.judge(question, golds, answer).correct


@pytest.mark.parametrize(("question", "golds", "answer"), WRONG)
def test_a_wrong_answer_or_a_refusal_is_called_wrong(
    judge: Judge, question: str, golds: list[str], answer: str
) -> None:
    assert not judge.judge(question, golds, answer).correct


def test_a_refusal_is_told_from_a_wrong_answer(judge: Judge) -> None:
    assert judge.judge("who sang it", ["Cyndi Grecco"], "I do not have that information.").refused
    assert not judge.judge("who sang it", ["Cyndi Grecco"], "Matt Monro").refused


def test_the_judge_never_changes_its_mind(judge: Judge) -> None:
    one, two = (judge.judge("who sang it", ["Cyndi Grecco"], "It was Cyndi Greco.") for _ in range(2))
    assert one == two


@given(st.text(max_size=80), st.text(min_size=1, max_size=40).filter(str.strip), st.text(max_size=120))
def test_any_text_can_be_judged(question: str, gold: str, answer: str) -> None:
    judgement = shipped_judge().judge(question, [gold], answer)
    assert 0.0 <= judgement.probability <= 1.0


def test_a_question_without_gold_answer_cannot_be_judged(judge: Judge) -> None:
    with pytest.raises(ValueError, match="no gold answer"):
        judge.judge("who sang it", [" "], "Cyndi Grecco")


def test_options_and_yes_no_are_exact() -> None:
    options = {"A": "yes", "B": "no"}
    assert judge_choice(options, "A", "A) yes").correct
    assert not judge_choice(options, "A", "B").correct
    assert judge_choice(options, "A", "hard to say").refused
    assert judge_yes_no("maybe", "Maybe, it depends.").correct
    assert not judge_yes_no("yes", "No.").correct


def test_a_judge_file_of_another_version_is_refused(tmp_path: Path) -> None:
    raw = json.loads(SHIPPED.read_text("utf-8"))
    file = tmp_path / "judge.json"
    file.write_text(json.dumps(raw | {"version": 999}))
    with pytest.raises(InvalidCorpus, match="version 999"):
        load_judge(file)


def test_a_damaged_or_missing_judge_file_is_refused(tmp_path: Path) -> None:
    raw = json.loads(SHIPPED.read_text("utf-8"))
    file = tmp_path / "judge.json"
    file.write_text(json.dumps(raw | {"coefficients": raw["coefficients"][:-1]}))
    with pytest.raises(InvalidCorpus, match="unequal length"):
        load_judge(file)
    file.write_text("{")
    with pytest.raises(InvalidCorpus, match="damaged"):
        load_judge(file)
    with pytest.raises(InvalidCorpus, match="cannot be read"):
        load_judge(tmp_path / "none.json")


def test_the_shipped_file_names_the_features_that_the_code_computes(judge: Judge) -> None:
    assert list(features("who", ["Bell"], "Bell", {})) == list(judge.fitted.features)


def test_words_are_alike_by_spelling_and_numbers_only_when_equal() -> None:
    assert alike("philip", "phillip") > 0.8
    assert alike("1979", "1978") == 0.0
    assert alike("cat", "car") == 0.0
    assert best_alike("x", []) == 0.0


def test_names_match_by_surname_and_initials() -> None:
    assert name_match(("a", "k", "mathur"), ("ashok", "kumar", "mathur")) == 1.0
    assert name_match(("keeley", "clare", "hawe"), ("actress", "keeley", "hawe")) == 1.0
    assert name_match(("gupta", "empir"), ("kushan", "empir")) == 0.0


def test_a_gold_yes_is_met_by_affirming_and_missed_by_denying() -> None:
    question = "did the pump need repair in spring"
    assert polarity(question, "The pump did need repair in spring.") == 1
    assert polarity(question, "The pump did not need repair in spring.") == -1
    assert polarity(question, "Pressure gauges are round.") == 0
    assert typed_agreement(question, "No, never", "No.") == 1.0
    assert typed_agreement(question, "the red pump", "No.") is None


def test_a_number_may_be_told_rounded_to_two_digits() -> None:
    assert rounds_to(21_196, 21_000)
    assert rounds_to(2.45, 2.4)
    assert not rounds_to(4.37, 4.2)
    assert not rounds_to(660, 647)


def judged(correct: int, wrong: int) -> list[Judgement]:
    rows = [(True, correct), (False, wrong)]
    return [
        Judgement(correct=value, probability=float(value), refused=False, style="short")
        for value, count in rows
        for _ in range(count)
    ]


def test_a_rate_is_corrected_by_rogan_and_gladen() -> None:
    # seen 0.70, sensitivity 0.9, specificity 0.8: (0.70 + 0.8 - 1) / (0.9 + 0.8 - 1) = 5/7
    rate = score_rate(judged(70, 30), {"short": StyleError(correct=100, correct_found=90, wrong=50, wrong_found=40)})
    assert rate.judged == pytest.approx(0.7)
    assert rate.corrected == pytest.approx(5 / 7)
    assert rate.low < 5 / 7 < rate.high


def test_the_interval_is_wider_when_the_judges_error_is_known_less_well() -> None:
    well = StyleError(correct=10_000, correct_found=9_000, wrong=10_000, wrong_found=8_000)
    badly = StyleError(correct=20, correct_found=18, wrong=20, wrong_found=16)
    narrow, wide = (score_rate(judged(70, 30), {"short": error}) for error in (well, badly))
    assert wide.high - wide.low > narrow.high - narrow.low


def test_styles_are_corrected_each_by_its_own_error_and_stay_in_range() -> None:
    seen, share = np.array([0.05, 0.5]), np.array([0.5, 0.5])
    sensitivity, specificity = np.array([0.9, 1.0]), np.array([0.9, 1.0])
    assert float(corrected_rate(seen, share, sensitivity, specificity)) == pytest.approx(0.25)


def test_exact_judgements_need_no_correction() -> None:
    rows = [judge_yes_no("yes", "yes"), judge_yes_no("yes", "no")]
    assert score_rate(rows, {}).corrected == 0.5


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no judgement"):
        score_rate([], {})
