"""What is asked to be computed: definitions, shares, averages and changes as expressions, and what none is."""

from __future__ import annotations

import time

import pytest

from rag.formula_questions import asked
from rag.formulas import Formula, Term, told, value


def shown(formula: Formula | None) -> str:
    assert formula is not None
    return told(formula.expression, {t: f"{t.item.name}@{t.year}" for t in formula.terms})


@pytest.mark.parametrize(
    ("question", "expression"),
    [
        (
            "What is the FY2019 DPO of Example? DPO is defined as: 365 * (average accounts payable between FY2018 and "
            "FY2019) / (FY2019 COGS + change in inventory between FY2018 and FY2019). Round to two decimal places.",
            "365 * ((accounts payable@2018 + accounts payable@2019) / 2) / "
            "(cost of goods sold@2019 + (inventories@2019 - inventories@2018))",
        ),
        (
            "What is Example's FY2019 CCC? CCC is defined as: DIO - DPO. DIO is defined as: inventory / COGS. DPO is "
            "defined as: accounts payable / COGS.",
            "inventories@2019 / cost of goods sold@2019 - accounts payable@2019 / cost of goods sold@2019",
        ),
        (
            "What is the working capital ratio in 2020? Define working capital ratio as total current assets divided "
            "by total current liabilities.",
            "total current assets@2020 / total current liabilities@2020",
        ),
        (
            "FY2021 retention ratio? Retention ratio is calculated as 1 minus dividends paid / net income.",
            "1 - dividends paid@2021 / net income@2021",
        ),
        (
            "What is the FY2019 - FY2021 3 year average of capex as a % of revenue for Example?",
            "(capital expenditure@2019 / revenue@2019 + capital expenditure@2020 / revenue@2020 + "
            "capital expenditure@2021 / revenue@2021) / 3",
        ),
        ("What is Example's FY2021 gross profit % margin?", "gross profit@2021 / revenue@2021"),
        (
            "What is the FY2020 - FY2021 change in operating income % margin?",
            "operating income@2021 / revenue@2021 - operating income@2020 / revenue@2020",
        ),
        ("Year-over-year change in net sales from 2018 to 2019?", "revenue@2019 / revenue@2018 - 1"),
        ("What is the 2 year revenue CAGR from FY2019 to FY2021?", "(revenue@2021 / revenue@2019) ^ 0.5 - 1"),
        ("What was the increase in total assets from 2018 to 2019?", "total assets@2019 - total assets@2018"),
        ("How much (in USD billions) was paid in cash dividends for FY2021?", "dividends paid@2021"),
        ("What is the year end FY21 amount of accounts payable?", "accounts payable@2021"),
        ("What was Example's current ratio in 2020?", "total current assets@2020 / total current liabilities@2020"),
        ("What was the net working capital in 2020?", "total current assets@2020 - total current liabilities@2020"),
        ("Calculate the free cash flow for FY2020.", "cash from operations@2020 - capital expenditure@2020"),
        ("How much EBITDA did it make in FY2020?", "operating income@2020 + depreciation and amortization@2020"),
        ("What is the operating margin in FY2020?", "operating income@2020 / revenue@2020"),
    ],
)
def test_what_is_asked_for_is_an_expression(question: str, expression: str) -> None:
    assert shown(asked(question)) == expression


@pytest.mark.parametrize(
    "question",
    [
        "When did the Normans arrive in 1066?",
        "What drove revenue growth in 2022?",
        "What was the current ratio in 2021 and in 2022?",
        "What was the EBITDA margin in 2022?",
        "What is the total revenue?",
        "What was the amount of revenue in Q2 of FY2023?",
        "How much revenue and how much net income were made in 2020?",
        "What is the FY2021 retention ratio using total cash dividends paid and net income, in USD?",
        "How much was the organic growth rate of revenue from FY2020 to FY2021?",
        "What was the adjusted operating income in FY2021 in USD millions?",
        "What was the change in revenue from 2019 to 2020 excluding currency?",
        "What is the FY2019 ratio? The ratio is defined as: revenue / happiness.",
        "What is the FY2019 ratio? The ratio is defined as: (revenue / net income.",
        "What is the FY2019 ratio? The ratio is defined as: revenue / .",
        "What is A in FY2019? A is defined as: B / revenue. B is defined as: A / revenue.",
        "",
    ],
)
def test_what_is_no_formula_over_known_items_is_none(question: str) -> None:
    assert asked(question) is None


def test_how_the_result_is_wanted() -> None:
    percent = asked("What is the FY2021 COGS % margin? Round to one decimal place.")
    assert percent is not None
    assert (percent.percent, percent.amount, percent.decimals, percent.unit) == (True, False, 1, "")
    amount = asked("What is FY2021 FCF in USD millions? FCF is defined as: cash from operations - capex.")
    assert amount is not None
    assert (amount.percent, amount.amount, amount.decimals, amount.unit) == (False, True, None, "million")
    known = asked("What was the gross margin in 2020?")
    assert known is not None
    assert known.percent
    hundred = asked("What is the FY2021 share in percent? The share is defined as: 100 * COGS / revenue.")
    assert hundred is not None
    assert not hundred.percent


def test_the_arithmetic() -> None:
    formula = asked("FY2021 margin? Margin is defined as: (revenue - COGS) / revenue * 2 + 1.")
    assert formula is not None
    known = {term: {"revenue": 10.0, "cost of goods sold": 4.0}[term.item.name] for term in formula.terms}
    assert value(formula.expression, known) == pytest.approx(2.2)
    assert shown(formula) == "(revenue@2021 - cost of goods sold@2021) / revenue@2021 * 2 + 1"
    with pytest.raises(ZeroDivisionError):
        value(formula.expression, dict.fromkeys(formula.terms, 0.0))
    growth = asked("2 year revenue CAGR from 2019 to 2021?")
    assert growth is not None
    first, last = sorted(growth.terms, key=lambda term: term.year)
    assert value(growth.expression, {first: 100.0, last: 121.0}) == pytest.approx(0.1)
    with pytest.raises(ZeroDivisionError):
        value(growth.expression, {first: -100.0, last: 121.0})
    with pytest.raises(KeyError):
        value(Term(first.item, 1999), {})


TWICE = " ".join(f"{chr(c)} is defined as: {chr(c + 1)} + {chr(c + 1)}." for c in range(ord("A"), ord("V")))


@pytest.mark.parametrize(
    "question",
    [
        f"FY2019? {TWICE} V is defined as: revenue.",
        "FY2019 revenue is defined as: " + "(" * 3000,
        "FY2019 x is defined as: " + "revenue + " * 390 + "revenue",
        "FY2019 " + "a is " * 800,
        "FY2019 " + "as a % of " * 390,
        "FY2019 x is defined as: " + "average " * 480,
        "FY2019 " + "total net " * 390,
    ],
)
def test_a_question_that_would_take_for_ever_is_no_formula(question: str) -> None:
    begin = time.process_time()
    assert asked(question[:4000]) is None
    assert time.process_time() - begin < 5, "no race: without bounds these take minutes"


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What is Tesla's FY2021 revenue in USD millions?", ("tesla",)),
        ("Tesla's FY2021 revenue in USD millions?", ("tesla",)),
        ("AWS revenue in FY2021, total?", ("aws",)),
        (
            "You are an analyst. According to the P&L statement, what is the FY2019 depreciation and amortization (D&A "
            "from cash flow statement) % margin for Acme? Basing it by utilizing the income statement, round it.",
            ("acme",),
        ),
        (
            "By drawing conclusions from the information stated only in the income statement, what is Acme's FY2021 "
            "net income attributable to shareholders (in USD millions)?",
            ("acme",),
        ),
        (
            "We need to calculate a reasonable approximation of a financial metric. Basing your judgment by "
            "information plainly provided in the statement of income, what is Acme's three year average of cost of "
            "goods sold as a % of revenue from FY2015 to FY2017? Answer in units of percents and round to one decimal.",
            ("acme",),
        ),
        (
            "How much (in USD billions) did Acme Water pay out in cash dividends for FY2022? Compute or extract the "
            "answer by primarily using the details outlined in the statement of cash flows.",
            ("acme water",),
        ),
        ("This is about Tesla. What was the FY2021 total revenue in USD?", ("tesla",)),
        ("what was the total revenue of gamma in 2021, in units of percents?", ("gamma",)),
        ("how much did costco pay in dividends in 2021?", ("costco",)),
        ("What is Block's (formerly Square) FY2021 total revenue?", ("block",)),
        ("What was the total revenue of Cedar Lines and AMD in 2021?", ("cedar lines", "amd")),
        (
            "What is the FY2021 DPO? DPO is defined as: accounts payable / COGS. Answer like Warren Buffett.",
            ("warren buffett",),
        ),
        (
            "What is the FY2021 EBITDA margin of AT&T? EBITDA margin is defined as: operating income / revenue.",
            ("at t",),
        ),
        ("From the Balance Sheet, what is the amount of Total Assets in FY2021 (USD)?", ()),
    ],
)
def test_the_names_that_a_question_says(question: str, names: tuple[str, ...]) -> None:
    formula = asked(question)
    assert formula is not None
    assert formula.names == names


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("What was the revenue from advertising in FY2021, in USD millions?", "advertising"),
        ("What drove the operating margin in 2022?", "drove"),
        ("Does it have an improving gross margin as of 2022?", "improving"),
        ("what was tesla's total revenue in 2021?", "tesla"),
        ("How much total revenue did 3M report in 2021?", "3m"),
        ("Tesla: what was the total revenue in FY2021?", "tesla"),
        ("tesla - what was the total revenue in 2021?", "tesla"),
        ("In north america, how much revenue did Ford report in 2021?", "north america"),
        ("What was the total revenue of Five Below in 2021?", "five below"),
        ("What was Capital One's total revenue in 2021?", "capital one"),
        ("What was total revenue in FY2021 (Tesla)?", "tesla"),
        ("What is FY2021 Tesla ROA? Tesla ROA is defined as: net income / total assets.", "tesla"),
        ("What was Apple's Services revenue in FY2021, in USD millions?", "services"),
        ("How much of Acme's 2021 revenue came from its largest customer?", "largest customer"),
        ("What was Acme's net debt / EBITDA in 2021?", "debt"),
        ("What is Acme's target operating margin for 2021?", "target"),
        ("What were total dividends declared in 2021?", "declared"),
        ("What is the minimum current ratio required by the 2021 credit agreement?", "credit agreement"),
    ],
)
def test_a_word_that_is_neither_of_the_formula_nor_everyday_must_be_borne_by_the_document(
    question: str, left: str
) -> None:
    formula = asked(question)
    assert formula is not None
    assert left in formula.names


@pytest.mark.parametrize(
    "question",
    [
        "What was the YoY change in Ford's total revenue in FY2021?",
        "What was the total footwear revenue in FY2021, in USD millions?",
        "What were total other assets in 2021?",
        "What was the deferred revenue in FY2021, in USD millions?",
        "What was the year end FY2021 gross PP&E in USD millions?",
        "In its automotive segment, what was Ford's total revenue in 2021?",
        "On an adjusted basis, what was Ford's operating margin in 2021?",
        "What was Ford's total revenue in 2021? Only consider its automotive segment.",
        "What was the working capital turnover in 2021?",
        "What were the operating margin and gross margin in 2021?",
        "What were total R&D and SG&A as a % of revenue in 2021?",
        "What was the average change in revenue from 2019 to 2021?",
        "What was the YoY growth in revenue from 2019 to 2021?",
        "How much did Ford's revenue grow in 2021?",
        "How much total revenue did Acme make the year before 2021?",
        "What was the annual growth rate of Acme's revenue from 2019 to 2021?",
        "What was total revenue in 2019-21?",
        "What was total revenue in January 2021?",
        "What is ROA in 2021? ROA is defined as: net income / average total assets.",
        "What was growth in 2021? Growth is defined as: (revenue - prior year revenue) / prior year revenue.",
        "What is gross margin in 2021, where gross margin = net income / revenue?",
        "What is the change in ROA from FY2020 to FY2021? ROA is defined as: net income / total assets.",
        "What are DSO and DPO in 2021? DSO is defined as: accounts receivable / revenue. DPO is defined as: accounts "
        "payable / COGS.",
        "What is X in 2021? X is defined as: revenue - 500.",
        "WHAT IS THE GROSS MARGİN IN 2021?",
        "What was the operatıng margin in 2021?",
    ],
)
def test_what_could_be_meant_otherwise_is_no_formula(question: str) -> None:
    assert asked(question) is None


def test_years_are_those_that_are_asked_for() -> None:
    assert shown(asked("According to Ford's 2022 10-K, what was the change in revenue from 2020 to 2021?")) == (
        "revenue@2021 - revenue@2020"
    )
    assert shown(asked("What was the average of revenue in 2019 and 2021?")) == "(revenue@2019 + revenue@2021) / 2"
    assert shown(asked("What was the average revenue for FY19-FY21?")).count("revenue") == 3
