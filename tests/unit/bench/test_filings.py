"""Questions over filings: what counts as saying the number, and that every one but one is a formula."""

from __future__ import annotations

import pytest

from bench.filings import GROUPS, says, tally
from rag.formula_questions import asked


@pytest.mark.parametrize(
    ("answer", "wanted", "right"),
    [
        ("Ratio: 1.00 = 29,505 / 29,441. In 2021: …", "1.00", True),
        ("Ratio: 11.00 = 1.00 / 2", "1.00", False),
        ("FCF: -1,189 (millions) = 1,108 - 2,297.", "-1,189", True),
        ("FCF: 1,108 (millions) = 1,189 + 2,297.", "1,189", False),
        ("Inventories: 3,088 (millions) in 2022.", "3,088", True),
        ("Inventories: 3,0881 in 2022.", "3,088", False),
        ("Margin: 18.5% = 1 / 2", "18.5%", True),
    ],
)
def test_the_number_counts_before_what_it_is_made_of(answer: str, wanted: str, right: bool) -> None:
    assert says(answer, wanted) is right


def test_every_question_but_one_asks_for_a_formula() -> None:
    questions = [question for group in GROUPS.values() for question, _ in group]
    assert len(set(questions)) == len(questions) == 47
    assert [question for question in questions if asked(question) is None] == [
        "What is the FY2021 cash position of Costco: how much cash and cash equivalents did it hold?"
    ]


def test_outcomes_are_counted() -> None:
    rows = [{"outcome": name} for name in ("right", "right", "wrong", "read")]
    assert tally(rows) == "right 2, wrong 1, read 1"
