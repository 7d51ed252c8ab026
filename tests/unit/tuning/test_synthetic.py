"""Questions made from documents: each answer stands in its document, and no document drowns the others."""

from __future__ import annotations

from rag.types import Document
from tuning.synthetic import MAX_A_DOCUMENT, questions

TEXT = (
    "Aramid is a heat-resistant synthetic fibre, used in vests. The furnace of line 2 was rebuilt by Anna Kovacs in "
    "1998 after a fire. The crown is heated at no more than 60 °C per hour up to 900 degrees.\n\n"
    "| Setting | Value |\n|---|---|\n| Scrap time after restart | 70 minutes |\n"
)


def document(name: str, text: str = TEXT) -> Document:
    return Document(id=name, title=f"Sheet {name}", text=text, file_sha256="0" * 64, source=name)


def test_every_answer_stands_in_its_document_and_not_in_its_question() -> None:
    made = questions([document("a")], limit=50, seed=0)
    assert len(made) >= 3
    for question in made:
        assert question.gold == ("a",)
        assert question.answers[0] in TEXT
        assert question.answers[0] not in question.question
        assert question.question.endswith("?")


def test_definitions_numbers_names_and_rows_are_asked_for() -> None:
    made = {q.answers[0]: q.question for seed in range(8) for q in questions([document("a")], limit=50, seed=seed)}
    assert made["a heat-resistant synthetic fibre"] == "What is Aramid?"
    assert made["70 minutes"] == "What is given for scrap time after restart in Sheet a?"
    assert "how many" in made["60 °C"]
    assert "which name" in made["Anna Kovacs"]


def test_long_documents_do_not_drown_short_ones() -> None:
    made = questions([document("long", TEXT * 30), document("short")], limit=6, seed=1)
    assert {q.gold[0] for q in made} == {"long", "short"}
    assert sum(q.gold[0] == "long" for q in made) <= MAX_A_DOCUMENT


def test_a_seed_gives_the_same_questions_and_the_limit_holds() -> None:
    documents = [document(str(i)) for i in range(5)]
    assert questions(documents, limit=3, seed=4) == questions(documents, limit=3, seed=4)
    assert len(questions(documents, limit=3, seed=4)) == 3
    assert questions([document("none", "...")], limit=3, seed=4) == []
