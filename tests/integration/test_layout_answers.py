"""Answers that layout gives their meaning: a row of a table by its column, a line of a manual by the term above it."""

from __future__ import annotations

from pathlib import Path

from rag.types import Question
from tests.fakes.domains import ingest, open_pipeline
from tests.fakes.embedder import HashedWords


def test_a_row_of_a_table_is_answered_by_its_column_and_cited_whole(tmp_path: Path) -> None:
    table = (
        "Statement of operations (in millions)\n\nYear   2016   2017\nNet sales   $   135.5   $   177.9\n"
        "Taxes   (950)   (769)\n"
    )
    (tmp_path / "report.txt").write_text(table)
    ingest(tmp_path / "data", tmp_path / "report.txt", HashedWords(dimensions=256))
    pipeline = open_pipeline(tmp_path / "data", lambda _: "135.5", decoding="extractive", min_relevance=0.1)
    answer = pipeline.answer(Question(text="What were the net sales in FY2017?", domain="plant"))
    (citation,) = answer.citations
    assert answer.text == "Net sales, 2017: 177.9 (millions)"
    assert " ".join(citation.quote.split()) == "Net sales $ 135.5 $ 177.9"
    assert citation.focus is not None
    assert table[slice(*citation.focus)] == "177.9"
    pipeline.close()


def test_what_is_said_of_a_term_is_answered_with_it_and_cited_where_it_stands(tmp_path: Path) -> None:
    manual = (
        "KEYWORDS\n     Timeout=\n             Seconds to wait for a reply. The\n             default is 30.\n\n"
        "     Retries=\n             Times that a message is sent again. The\n             default is 4.\n"
    )
    (tmp_path / "manual.txt").write_text(manual)
    ingest(tmp_path / "data", tmp_path / "manual.txt", HashedWords(dimensions=256))
    pipeline = open_pipeline(tmp_path / "data", lambda _: "4", decoding="extractive", min_relevance=0.1)
    answer = pipeline.answer(Question(text="What is the default of Retries?", domain="plant"))
    citation, term = answer.citations
    assert answer.text == "Retries: The default is 4."
    assert (term.claim, term.quote, term.char_start) == ("Retries", "Retries=", manual.index("Retries="))
    assert (citation.char_start, citation.quote) == (manual.rindex("The\n"), "The\n             default is 4.")
    assert citation.focus is not None
    assert manual[slice(*citation.focus)] == "4"
    pipeline.close()
