"""Lines of financial statements: found by what questions call them, in statements alone, in the year's column."""

from __future__ import annotations

import hashlib
import time

import pytest

from rag.statement_items import ITEMS, mentioned
from rag.statements import figures, of_year
from rag.types import Passage

BY_NAME = {item.name: item for item in ITEMS}

INCOME = """Example Company
Consolidated Statements of Income
(in millions)

Year ended   2021   2020
Net sales   $   192,052 $   163,220
Membership fees   3,877   3,541
Total revenue   195,929   166,761
Cost of sales (Note 4)   170,684   144,939
Operating income   6,708   5,435
Interest expense   (171)   (160)
Provision for income taxes   1,601   1,308
Net income   5,079   4,059
"""
CASH = """Consolidated Statements of Cash Flows
(amounts in thousands)
   December 31, 2021   December 31, 2020
Net income   5,079   4,059
Depreciation and amortization   1,781   1,645
Inventories   (1,892)   (791)
Net cash provided by operating activities   8,958   8,861
Additions to property and equipment   (3,588)   (2,810)
Cash dividends declared, not paid   99   98
Cash dividend payments   (5,748)   (1,479)
"""
BALANCE = """Balance Sheet
   2021   2020
Inventories.......   $   14,215   12,242
Total current assets   29,505   28,120
Property and equipment, net of depreciation   23,492   21,807
Total assets   59,268   55,556
"""
SEGMENT = """Segments (in millions)
   2021   2020
Total net sales   1,234   1,111
Operating income   12   11
Provision for income taxes   3   2
"""
QUARTER = INCOME.replace("Year ended", "Three Months Ended").replace("195,929", "50,000")
CHANGES = BALANCE.replace("   2021   2020", "   2021 over 2020   2020 over 2019")


def passage(name: str, text: str, start: int = 0, end: int | None = None) -> Passage:
    part = text[start:end]
    return Passage(
        document_id=name, title=name, heading="", text=part, start=start, end=start + len(part),
        text_sha256=hashlib.sha256(text.encode()).hexdigest(), score=1.0
    )  # fmt: skip


def found(item: str, year: int, *texts: str) -> list[str]:
    stored = {str(number): text for number, text in enumerate(texts)}
    passages = [passage(name, text) for name, text in stored.items()]
    return [
        figure.cell.text
        for _, figure in figures([BY_NAME[item]], passages, stored.__getitem__)
        if of_year(figure.heading, year)
    ]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("capex as a share of total revenue", ["capital expenditure", "revenue"]),
        ("average PP&E", ["net property, plant and equipment"]),
        ("net property, plant, and equipment", ["net property, plant and equipment"]),
        ("net AR", ["accounts receivable"]),
        ("cash from operations", ["cash from operations"]),
        ("net income attributable to shareholders", ["net income attributable to shareholders"]),
        ("total cash dividends paid", ["dividends paid"]),
        ("unadjusted operating income", ["operating income"]),
        ("total current assets", ["total current assets"]),
        ("D&A and COGS", ["depreciation and amortization", "cost of goods sold"]),
        ("the art of warfare", []),
    ],
)
def test_items_are_known_by_what_questions_call_them(text: str, items: list[str]) -> None:
    assert [item.name for item in mentioned(text)] == items


@pytest.mark.parametrize(
    ("item", "year", "amounts"),
    [
        ("revenue", 2021, ["195,929"]),
        ("revenue", 2020, ["166,761"]),
        ("cost of goods sold", 2021, ["170,684"]),
        ("operating income", 2021, ["6,708"]),
        ("net income", 2021, ["5,079"]),
        ("inventories", 2021, ["14,215"]),
        ("net property, plant and equipment", 2020, ["21,807"]),
        ("capital expenditure", 2021, ["(3,588)"]),
        ("dividends paid", 2021, ["(5,748)"]),
        ("depreciation and amortization", 2020, ["1,645"]),
        ("revenue", 2019, []),
        ("goodwill", 2021, []),
    ],
)
def test_a_figure_is_the_year_s_in_the_statement_that_the_item_belongs_to(
    item: str, year: int, amounts: list[str]
) -> None:
    assert found(item, year, CASH, BALANCE, INCOME) == amounts


def test_of_two_statements_the_fuller_one_counts_first() -> None:
    assert found("revenue", 2021, SEGMENT, INCOME)[0] == "195,929"


def test_statements_on_one_page_are_told_apart_by_their_titles() -> None:
    page = f"{CASH}\n{INCOME}\n{BALANCE}"
    assert found("inventories", 2021, page) == ["14,215"], "not the change of the cash flow"
    assert found("cost of goods sold", 2021, page) == ["170,684"]
    assert found("capital expenditure", 2021, page) == ["(3,588)"]


def test_of_two_as_full_the_one_with_the_greater_numbers_counts_a_part_is_less_than_the_whole() -> None:
    subsidiary = (
        BALANCE.replace("29,505", "500")
        .replace("59,268", "900")
        .replace("Total assets", "Goodwill   1   1\nTotal assets")
    )
    assert found("total current assets", 2021, subsidiary, BALANCE)[0] == "29,505"


def test_a_part_of_a_year_and_a_comparison_of_two_are_no_year() -> None:
    assert found("revenue", 2021, QUARTER) == []
    assert found("total assets", 2021, CHANGES) == []
    assert found("total assets", 2020, CHANGES) == []


def test_amounts_that_are_paid_count_without_their_sign_and_the_scale_is_the_statement_s() -> None:
    cash = passage("cash", CASH)
    paid = next(figure for _, figure in figures([BY_NAME["capital expenditure"]], [cash], lambda _: CASH))
    assert (paid.value, paid.scale) == (3588.0, 1e3)
    assert CASH[paid.cell.start : paid.cell.end] == "(3,588)"
    income = passage("income", INCOME)
    interest = next(figure for _, figure in figures([BY_NAME["interest expense"]], [income], lambda _: INCOME))
    assert (interest.value, interest.scale) == (171.0, 1e6)
    bare = next(f for _, f in figures([BY_NAME["total assets"]], [passage("b", BALANCE)], lambda _: BALANCE))
    assert bare.scale is None


def test_a_passage_is_read_with_the_page_around_it_and_not_where_its_document_changed() -> None:
    part = passage("income", INCOME, 0, INCOME.index("Net sales"))
    assert [f.cell.text for _, f in figures([BY_NAME["net income"]], [part], lambda _: INCOME)] == ["5,079", "4,059"]
    assert list(figures([BY_NAME["net income"]], [part], lambda _: "another text")) == []


def test_a_label_of_a_million_characters_is_passed_over() -> None:
    hostile = INCOME + "provision for income tax " * 40_000 + "   1   2\n"
    begin = time.process_time()
    assert found("operating income", 2021, hostile) == ["6,708"]
    assert time.process_time() - begin < 5, "no race: compared with every pattern it takes minutes"


@pytest.mark.parametrize(
    "heading",
    ["Q4 2021", "Budget 2021", "2021 RMB", "2021 over 2020", "Three months 2021", "2021 pro forma"],
)
def test_a_heading_that_is_more_than_a_year_is_none(heading: str) -> None:
    assert not of_year(heading, 2021)
    assert of_year("As of December 31, 2021", 2021)
    assert of_year("FY21", 2021)


@pytest.mark.parametrize(
    "page",
    [
        INCOME.replace("2021   2020", "September 30, 2021   December 31, 2020"),
        INCOME.replace("2021   2020", "Budget 2021   Actual 2021"),
        INCOME.replace("(in millions)", "(EUR in millions)").replace("$", ""),
        INCOME.replace("Cost of sales (Note 4)   170,684   144,939", "Cost of sales   1   2\nCost of sales   3   4"),
        INCOME.replace("Year ended", "Half-year ended"),
        INCOME.replace("2021   2020", "6/30/2021   12/31/2020"),
        INCOME.replace("(in millions)", "for the three-month period ended June 30"),
        INCOME.replace("Consolidated Statements", "Pro Forma Statements"),
    ],
)
def test_what_may_be_another_number_gives_none(page: str) -> None:
    passages = [passage("0", page)]
    item = BY_NAME["cost of goods sold"]
    assert list(figures([item], passages, lambda _: page, currency="USD")) == []


def test_a_row_that_lacks_a_column_has_no_headings_and_no_figure() -> None:
    page = CASH.replace("   December 31, 2021   December 31, 2020", "   2022   2021   2020")
    assert found("capital expenditure", 2021, page) == []


def test_a_long_line_above_is_passed_over() -> None:
    hostile = "a  " * 70_000 + "\n" + INCOME + "Net sales   1   2\n" * 200
    begin = time.process_time()
    assert found("operating income", 2021, hostile) == ["6,708"]
    assert time.process_time() - begin < 5, "no race: taken apart for each row it takes minutes"
