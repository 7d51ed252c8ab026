"""Rows of tables: cells with exact offsets, headings, columns by the question, changes by arithmetic."""

from __future__ import annotations

import pytest

from rag.tables import column, headed, headings, row_at, rows, said, told, unbarred, value

FILING = """Example Company
Statement of operations (in millions)

Year ended   2016   2017
Net sales   $   135.5   $   177.9
Taxes   (950)   (769)
  Margin   24.3   %   25.1   %
Goodwill   —   12
Net income   $   21,748 $   22,618
Loans of $33 to staff   1,973 $129
Some text with 3 numbers 4 and 5 is no row, nor is  this one  of two gaps.
"""
ORDERS = "| region | orders | returned |\n|---|---|---|\n| north | 1,204 | 31 |\n| south | 988 | 44 |\n"


def test_rows_have_labels_and_cells_at_their_offsets() -> None:
    found = {row.label: row for row in rows(FILING)}
    assert list(found) == ["Net sales", "Taxes", "Margin", "Goodwill", "Net income", "Loans of $33 to staff"]
    for row in found.values():
        for cell in row.cells:
            assert FILING[cell.start : cell.end].replace(" ", "") == cell.text
        assert row_at(FILING, row.start, row.end) == row
    assert [cell.text for cell in found["Net sales"].cells] == ["135.5", "177.9"]
    assert [cell.text for cell in found["Net income"].cells] == ["21,748", "22,618"]
    assert [cell.text for cell in found["Loans of $33 to staff"].cells] == ["1,973", "$129"]
    assert [cell.text for cell in found["Margin"].cells] == ["24.3%", "25.1%"]
    assert [row.label for row in rows(ORDERS)] == ["north", "south"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("| Scrap time after restart | 70 minutes |", "Scrap time after restart: 70 minutes"),
        ("| Oven: | 140 °C | 2 h |", "Oven: 140 °C, 2 h"),
        ("| alone |", "alone"),
        ("a | b", "a | b"),
        ("|", ""),
    ],
)
def test_a_line_is_said_without_its_bars(line: str, said: str) -> None:
    assert unbarred(line) == said


RULED = "Before\n| Zone | Where |\n| --- | :-: |\n| Green | offices |\n| Blue | |"
PLAIN = "| When | Supplement |\n| Sunday | 80 % |\n| a | b | 5 |"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (RULED, "| Green | offices |", "Zone: Green, Where: offices"),
        (RULED, "| Blue | |", "Zone: Blue"),
        (RULED, "| Zone | Where |", "Zone: Where"),
        (RULED, "Before", "Before"),
        (PLAIN, "| Sunday | 80 % |", "When: Sunday, Supplement: 80 %"),
        (PLAIN, "| a | b | 5 |", "a: b, 5"),
        ("| Setting | 22 mm |\n| Speed | 3 |", "| Speed | 3 |", "Speed: 3"),
    ],
)
def test_a_line_is_compared_with_its_headings(text: str, line: str, said: str) -> None:
    start = text.index(line)
    assert headed(text, start, start + len(line)) == said


def test_more_than_two_cells_are_said_with_their_headings() -> None:
    text = (
        RULED.replace("Where |", "Where | Wear |")
        .replace("| --- |", "| --- | --- |", 1)
        .replace("offices |", "offices | shoes |")
    )
    line = "| Green | offices | shoes |"
    assert said(text, text.index(line), text.index(line) + len(line)) == "Zone: Green, Where: offices, Wear: shoes"
    assert said(PLAIN, PLAIN.index("| Sunday"), PLAIN.index("| a")) == "Sunday: 80 %"


def test_headings_stand_above_whatever_is_between() -> None:
    assert {headings(FILING, row) for row in rows(FILING)} == {("2016", "2017")}
    assert {headings(ORDERS, row) for row in rows(ORDERS)} == {("orders", "returned")}
    lone = "Net sales   1   2\n"
    assert headings(lone, next(rows(lone))) == ()


@pytest.mark.parametrize(
    ("question", "chosen"),
    [("What were sales in FY2017?", 1), ("sales in FY16", 0), ("sales from 2016 to 2017", None), ("sales?", None)],
)
def test_a_question_names_a_column_or_none(question: str, chosen: int | None) -> None:
    assert column(question, ("2016", "2017")) == chosen


def say(question: str, label: str, marked: int = -1) -> str:
    return told(question, FILING, next(row for row in rows(FILING) if row.label == label), marked)[0]


def test_a_row_is_said_by_the_column_that_is_asked_for() -> None:
    assert say("What were net sales in FY2017?", "Net sales") == "Net sales, 2017: 177.9 (millions)"
    row = next(rows(ORDERS))
    said, cell = told("How many were returned in the north?", ORDERS, row, -1)
    assert said == "north, returned: 31"
    assert cell == row.cells[1]


def test_without_a_column_the_marked_cell_or_the_whole_row_is_said() -> None:
    row = next(row for row in rows(FILING) if row.label == "Taxes")
    assert say("What are the taxes?", "Taxes", row.cells[1].start + 1) == "Taxes, 2017: (769) (millions)"
    assert say("What are the taxes?", "Taxes") == "Taxes (950) (769)"


@pytest.mark.parametrize(
    ("question", "label", "said"),
    [
        ("By what percent did sales grow from FY2016 to FY2017?", "Net sales", "+31.3% (135.5 to 177.9 (millions))"),
        ("What was the year-over-year change in taxes, 2016 to 2017?", "Taxes", "+19.1% ((950) to (769) (millions))"),
        ("By what percent did goodwill grow from 2016 to 2017?", "Goodwill", "Goodwill — 12"),
    ],
)
def test_a_change_is_computed_and_never_from_nothing(question: str, label: str, said: str) -> None:
    assert say(question, label).endswith(said)


@pytest.mark.parametrize(
    ("number", "expected"), [("1,204", 1204.0), ("(950)", -950.0), ("$ 5.5", 5.5), ("−3%", -3.0), ("—", None)]
)
def test_values(number: str, expected: float | None) -> None:
    assert value(number) == expected


def test_a_sum_without_a_label_heads_no_column() -> None:
    text = "   2022   2021\nCash   12   11\n   $   45,692   $   40,899\nTotal current liabilities   4,515   3,442\n"
    last = list(rows(text))[-1]
    assert last.label == "Total current liabilities"
    assert headings(text, last) == ("2022", "2021")
