"""What a cross-encoder is taught: lists with one right passage each."""

from bench.reranking import WRONG, Lesson, lesson, lists
from evaluation.suites import SuiteQuestion, Use
from rag.types import Passage


def passage(document: str, text: str) -> Passage:
    return Passage(
        document_id=document, title="Valves", heading="", text=text, start=0, end=len(text), text_sha256="0" * 64,
        score=1.0,
    )  # fmt: skip


def test_a_passage_elsewhere_that_holds_the_answer_is_neither_right_nor_wrong() -> None:
    question = SuiteQuestion(
        id="1", task="t", question="When does it open?", use=Use.ANSWERABLE, answers=("Six bar",),
        gold_doc_ids=("a",), file="f", line=1,
    )  # fmt: skip
    near = [passage("a", "It opens at six bar."), passage("b", "Another opens at six bar."), passage("c", "It leaks.")]
    taught = lesson(question, near, near[:1])
    assert taught == Lesson("When does it open?", ["Valves\nIt opens at six bar."], ["Valves\nIt leaks."])


def test_each_list_begins_with_a_right_one_and_too_few_wrong_ones_make_none() -> None:
    lessons = [Lesson(f"q{i}", [f"right {i}"], [f"wrong {i} {n}" for n in range(WRONG + i)]) for i in range(3)]
    made = list(lists([*lessons, Lesson("few", ["right"], ["wrong"]), Lesson("none", [], ["wrong"] * WRONG)], seed=0))
    assert sorted(row[0] for row in made) == [(f"q{i}", f"right {i}") for i in range(3)]
    for row in made:
        assert len({text for _, text in row}) == 1 + WRONG
        assert {asked for asked, _ in row} == {row[0][0]}
        assert all(text.startswith("wrong") for _, text in row[1:])
    assert made != list(lists(lessons, seed=1)), "another order for every round"
