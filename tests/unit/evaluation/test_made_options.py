"""Options made of a paragraph and of other answers."""

from __future__ import annotations

from evaluation.made_options import LETTERS, with_options
from evaluation.suites import Kind, SuiteQuestion, Use

EVIDENCE = "It was begun in 1901, opened in 1904 by the young Ada Berg and closed in 1938 by the old Ole Lund."


def question(number: int, answer: str, **changes: object) -> SuiteQuestion:
    plain = {
        "id": str(number), "question": f"What of line {number}?", "answers": (answer,) if answer else (),
        "gold_evidence": (EVIDENCE,), "use": Use.ANSWERABLE if answer else Use.OUT_OF_CORPUS, "file": "q", "line": 1,
    }  # fmt: skip
    return SuiteQuestion.model_validate({**plain, **changes})


YEARS = [question(i, str(1950 + i)) for i in range(6)]


def test_the_right_answer_stands_beside_three_of_its_kind_two_of_them_from_its_paragraph() -> None:
    for made in with_options(YEARS, seed=1):
        assert made.kind is Kind.CHOICE
        assert list(made.options) == list(LETTERS)
        assert made.options[made.answer_choice] == made.answers[0]
        assert len(set(made.options.values())) == len(LETTERS)
        assert sum(option in EVIDENCE for option in made.options.values()) == 2
        assert all(option.isdigit() for option in made.options.values())


def test_names_stand_among_names_and_seeds_decide() -> None:
    names = [question(10 + i, name) for i, name in enumerate(("Eva Holm", "Jan Moe", "Liv Aas", "Per Dahl"))]
    first, again, other = (with_options(names, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert {"Ada Berg", "Ole Lund"} <= set(first[0].options.values())


def test_a_question_without_an_answer_a_long_answer_and_one_without_its_like_get_no_options() -> None:
    outside, long = question(20, ""), question(21, "it was closed because nobody came there any more")
    assert {one.id for one in with_options([*YEARS, outside, long], seed=1)} == {one.id for one in YEARS}
    assert with_options([question(22, "1901")], seed=1) == []
