"""Labelled questions dealt: what a report or a check asks, and the documents that answer it, are never learned from."""

from __future__ import annotations

from evaluation.suites import Suite, SuiteQuestion, Use
from rag.types import Document
from tuning.suites import beside, deal

TOWNS = ("Aalen", "Bergen", "Cork", "Delft", "Essen", "Fulda", "Ghent", "Halle", "Imst", "Jena", "Kiel", "Lund")


def document(number: int) -> Document:
    town = TOWNS[number]
    text = f"{town} is a town with a harbour. In {1900 + number} its bridge was built by Marit Solheim for 40 crowns."
    return Document(id=f"d{number}", title=town, text=text, source=f"{town}.txt", file_sha256="")


def suite() -> Suite:
    asked = [
        SuiteQuestion(
            id=str(i), question=f"When was the bridge of {TOWNS[i]} built?", answers=(str(1900 + i),),
            gold_doc_ids=(f"d{i}",), use=Use.ANSWERABLE, file="q", line=i,
        )
        for i in range(9)
    ]  # fmt: skip
    return Suite(name="towns", root="", questions=tuple(asked))


def test_the_three_parts_share_no_question_and_no_document() -> None:
    dealt = deal(suite(), report=3, report_seed=0, check=2, seed=1)
    assert [len(part) for part in (dealt.train, dealt.check, dealt.report)] == [4, 2, 3]
    golds = [{gold for question in part for gold in question.gold} for part in (dealt.train, dealt.check, dealt.report)]
    assert sum(map(len, golds)) == len(set.union(*golds)) == 9
    assert dealt.hidden == golds[1] | golds[2]


def test_questions_made_beside_are_of_no_document_that_is_kept_back() -> None:
    dealt = deal(suite(), report=3, report_seed=0, check=2, seed=1)
    more = beside(dealt, [document(i) for i in range(len(TOWNS))], limit=100, seed=0)
    assert {gold for question in more.train for gold in question.gold} == {f"d{i}" for i in range(12)} - dealt.hidden
    assert more.hidden == dealt.hidden, "nor is it seen beside another question"
    assert more.check == ()
    assert len(beside(dealt, [document(i) for i in range(len(TOWNS))], limit=5, seed=0).train) == 5
