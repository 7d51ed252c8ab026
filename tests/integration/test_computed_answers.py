"""Sums over financial statements: done by code, each number cited where it stands; what cannot be is read as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.pipeline import Pipeline
from rag.types import Answer, DoneEvent, Filter, Question, RetrievalEvent
from tests.fakes.domains import ingest, open_pipeline
from tests.fakes.embedder import HashedWords

COMPANIES = ("Alder Mills", "Birch Foods", "Cedar Lines", "Dogwood Bank")
INCOME = """{company}
Consolidated Statements of Income
(in millions)

Year ended   {year}   {before}
Net sales   $   {sales:,} $   1,000
Cost of sales   ({cost:,})   (600)
Operating income   300   250
Net income   200   150
"""
BALANCE = """{company}
Consolidated Balance Sheets
(in millions)

   December 31, {year}   December 31, {before}
Inventories   120   100
Total current assets   900   800
Total assets   2,400   2,000
Total current liabilities   {owed}   500
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("filings")
    rows = []
    for number, company in enumerate(COMPANIES):
        for year in (2019, 2020, 2021):
            values = {"company": company, "year": year, "before": year - 1}
            values |= {"sales": 1_100 + 100 * number, "cost": 660, "owed": 600 if number else 0}
            for name, page in (("income", INCOME), ("balance", BALANCE)):
                rows.append(
                    {
                        "doc_id": f"{company}-{year}-{name}",
                        "title": f"{company} annual report {year}",
                        "text": page.format(**values),
                        "company": company,
                        "period": year,
                    }
                )
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ingest(folder / "data", folder / "corpus.jsonl", HashedWords(dimensions=256))
    pipeline = open_pipeline(folder / "data", lambda _: "Net sales", decoding="extractive", min_relevance=0.0)
    yield pipeline
    pipeline.close()


def asked(pipeline: Pipeline, text: str, **filters: object) -> Answer:
    question = Question(text=text, domain="plant", filter=Filter.model_validate(filters))
    events = list(pipeline.stream(question))
    assert isinstance(events[0], RetrievalEvent)
    assert isinstance(events[-1], DoneEvent)
    answer = events[-1].answer
    assert events[0].passages == answer.passages
    for citation in answer.citations:
        stored = pipeline.document("plant", citation.document_id)
        assert stored is not None
        assert stored.text[citation.char_start : citation.char_end] == citation.quote
        assert citation.claim in answer.text or answer.basis != "computed"
        assert citation.document_id in {passage.document_id for passage in answer.passages}
    return answer


def focused(pipeline: Pipeline, answer: Answer) -> list[tuple[str, str]]:
    """Every cited number, where it stands."""
    found = []
    for citation in answer.citations:
        stored = pipeline.document("plant", citation.document_id)
        assert stored is not None
        assert citation.focus is not None
        found.append((citation.document_id, stored.text[slice(*citation.focus)]))
    return found


def test_a_defined_ratio_is_computed_and_each_number_cited_where_it_stands(pipeline: Pipeline) -> None:
    answer = asked(
        pipeline,
        "What is Birch Foods' FY2021 inventory turnover? Inventory turnover is defined as: FY2021 COGS / (average "
        "inventory between FY2020 and FY2021). Round to two decimal places.",
    )
    assert answer.text == (
        "Inventory turnover: 6.00 = 660 / ((100 + 120) / 2). In 2020: Inventories: 100. In 2021: Cost of sales: (660); "
        "Inventories: 120."
    )
    assert (answer.basis, answer.abstained, answer.confidence) == ("computed", False, None)
    assert focused(pipeline, answer) == [
        ("Birch Foods-2021-income", "(660)"),
        ("Birch Foods-2021-balance", "100"),
        ("Birch Foods-2021-balance", "120"),
    ]
    assert [citation.claim for citation in answer.citations] == [
        "Cost of sales: (660)",
        "Inventories: 100",
        "Inventories: 120",
    ]
    assert answer.trace.draft == answer.text
    assert {timing.stage for timing in answer.trace.timings} >= {"search", "compute", "check"}


def test_a_line_of_a_statement_is_the_named_company_s_and_year_s(pipeline: Pipeline) -> None:
    answer = asked(pipeline, "What were Cedar Lines' total net sales in FY2020, in USD billions?")
    assert answer.text == "Net sales: 1,300 (millions) in 2020, which is 1.30 (billions)."
    assert focused(pipeline, answer) == [("Cedar Lines-2020-income", "1,300")]
    assert [citation.claim for citation in answer.citations] == ["Net sales: 1,300"]


def test_a_change_between_years_is_computed_from_one_row(pipeline: Pipeline) -> None:
    answer = asked(pipeline, "What is the year-over-year change in revenue of Birch Foods from FY2020 to FY2021?")
    assert (
        answer.text
        == "Revenue, change: 20.0% = 1,200 / 1,000 - 1. In 2020: Net sales: 1,000. In 2021: Net sales: 1,200."
    )
    assert {document for document, _ in focused(pipeline, answer)} == {"Birch Foods-2021-income"}


@pytest.mark.parametrize(
    "question",
    [
        "What is the current ratio of Alder Mills in FY2021? Current ratio is defined as: total current assets / "
        "total current liabilities.",  # nothing is owed
        "What is the goodwill of Birch Foods in FY2021, in USD millions?",  # no statement has it
        "What is the FY1999 amount of total assets of Birch Foods in USD millions?",
        "What were Elder Works' total net sales in FY2021, in USD millions?",  # not here, and others' are no answer
        "What is the FY2021 quick share? Quick share is defined as: net income / inventory.",  # of nobody
    ],
)
def test_what_cannot_be_computed_is_read_like_any_other_question(pipeline: Pipeline, question: str) -> None:
    answer = asked(pipeline, question)
    assert answer.basis != "computed"
    assert "compute" in {timing.stage for timing in answer.trace.timings}


def test_companies_are_not_mixed_where_nobody_named_one(pipeline: Pipeline) -> None:
    documents = ("Birch Foods-2021-income", "Cedar Lines-2021-balance")
    text = "What is the FY2021 quick share? Quick share is defined as: net income / inventory."
    assert asked(pipeline, text, documents=documents).basis != "computed"


def test_documents_that_the_caller_names_belong_together(pipeline: Pipeline) -> None:
    text = "What is the FY2021 quick share of Birch Foods? Quick share is defined as: net income / inventory."
    documents = ("Birch Foods-2021-income", "Birch Foods-2021-balance")
    assert (
        asked(pipeline, text, documents=documents).text
        == "Quick share: 1.67 = 200 / 120. In 2021: Net income: 200; Inventories: 120."
    )


def test_options_are_weighed_and_never_computed(pipeline: Pipeline) -> None:
    question = Question(
        text="What were Cedar Lines' total net sales in FY2020?", domain="plant", options=("1,300", "1,000")
    )
    answer = pipeline.answer(question)
    assert answer.basis in ("option", "none")
    assert "compute" not in {timing.stage for timing in answer.trace.timings}


def test_without_names_in_metadata_the_document_itself_must_say_them(tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_text(INCOME.format(company="Elder Works", year=2021, before=2020, sales=9, cost=4))
    ingest(tmp_path / "data", tmp_path / "report.txt", HashedWords(dimensions=256))
    alone = open_pipeline(tmp_path / "data", lambda _: "9", decoding="extractive", min_relevance=0.0)
    told = asked(alone, "What were Elder Works' total net sales in FY2021, in USD millions?")
    assert (told.text, told.basis) == ("Net sales: 9 (millions) in 2021.", "computed")
    assert asked(alone, "What were Fir Works' total net sales in FY2021, in USD millions?").basis != "computed"
    alone.close()


def test_of_many_reports_without_metadata_the_one_whose_title_says_the_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    for number in range(40):
        text = INCOME.format(company="Annual report", year=2021, before=2020, sales=1_000 + number, cost=4)
        (tmp_path / "reports" / f"HOLDING{number}_2021_10K.txt").write_text(text)
    ingest(tmp_path / "data", tmp_path / "reports", HashedWords(dimensions=256))
    many = open_pipeline(tmp_path / "data", lambda _: "9", decoding="extractive", min_relevance=0.0)
    for number in (0, 17, 39):
        told = asked(many, f"What were Holding{number}'s total net sales in FY2021, in USD millions?")
        assert (told.text, told.basis) == (f"Net sales: {1_000 + number:,} (millions) in 2021.", "computed")
    many.close()
