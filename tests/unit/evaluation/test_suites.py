"""Reading suites, and finding what is wrong with them by file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.suites import Kind, Use, arm_of, check, read_suite
from rag.errors import InvalidCorpus

GOOD: dict[str, Any] = {
    "id": "q1", "question": "Who sang it?", "answers": ["Cyndi Grecco"], "gold_doc_ids": ["d1"], "answerable": True,
}  # fmt: skip
RECORDED: dict[str, Any] = {
    "id": "q1",
    "model": "M",
    "setting": "closed_book",
    "answer": "Cyndi Grecco",
    "correct": True,
}


def suite(tmp_path: Path, questions: list[Any], baselines: list[Any] | None = None) -> Path:
    def lines(rows: list[Any]) -> str:
        return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"

    (tmp_path / "corpus.jsonl").write_text(lines([{"doc_id": "d1", "title": "T", "text": "Text."}]))
    (tmp_path / "questions.jsonl").write_text(lines(questions))
    if baselines is not None:
        (tmp_path / "baselines").mkdir()
        (tmp_path / "baselines" / "m.jsonl").write_text(lines(baselines))
    return tmp_path


def found(path: Path) -> list[str]:
    return [str(problem) for problem in check(path)]


def test_a_sound_suite_has_no_problem(tmp_path: Path) -> None:
    path = suite(tmp_path, [GOOD], [RECORDED])
    assert found(path) == []
    read, _ = read_suite(path)
    assert read.questions[0].kind is Kind.FREE
    assert read.questions[0].cluster == "d1"
    assert read.recorded[0].arm == "llm"
    assert read.documents == frozenset({"d1"})
    assert read.questions[0].gold_texts == ("Text.",)


def test_the_texts_of_gold_documents_are_kept_only_where_no_evidence_is_given(tmp_path: Path) -> None:
    read, _ = read_suite(suite(tmp_path, [GOOD | {"gold_evidence": ["Text."]}]))
    assert read.questions[0].gold_texts == ()


def test_a_missing_gold_document_a_duplicate_and_a_bad_row_are_named_by_line(tmp_path: Path) -> None:
    path = suite(tmp_path, [GOOD, GOOD | {"gold_doc_ids": ["d9"]}, "{oops", GOOD | {"id": "q3", "answers": []}])
    problems = found(path)
    assert problems[0].startswith("questions.jsonl:2: error: question id 'q1' comes twice, first in questions.jsonl:1")
    assert problems[1] == "questions.jsonl:2: error: gold document 'd9' of 'q1' is not in the corpus"
    assert problems[2].startswith("questions.jsonl:3: error: no JSON")
    assert problems[3] == "questions.jsonl:4: error: answerable question 'q3' has no gold answer"
    assert len(problems) == 4


def test_a_baseline_for_an_unknown_question_or_of_an_unknown_setting_is_an_error(tmp_path: Path) -> None:
    path = suite(tmp_path, [GOOD], [RECORDED | {"id": "q9"}, RECORDED | {"setting": "magic"}, RECORDED, RECORDED])
    problems = found(path)
    assert problems[0].startswith("baselines/m.jsonl:1: error: recorded answer for question 'q9'")
    assert problems[1].startswith("baselines/m.jsonl:2: error: recorded setting 'magic' is no arm")
    assert problems[2].startswith("baselines/m.jsonl:4: error: a second recorded answer for 'q1'")


def test_a_question_that_holds_its_long_answer_is_a_warning(tmp_path: Path) -> None:
    leak = GOOD | {"question": "Who wrote a tale of two old cities in 1859?", "answers": ["a tale of two old cities"]}
    assert "warning" in found(suite(tmp_path, [leak]))[0]


def test_settings_are_mapped_to_arms() -> None:
    arms = {
        s: arm_of(s) for s in ("closed_book_fewshot64", "medrag32", "oracle_reverse", "inContext", "cascade@20")[:4]
    }
    assert arms == {
        "closed_book_fewshot64": "llm",
        "medrag32": "llm+rag",
        "oracle_reverse": "llm+gold",
        "inContext": "llm+long-context",
    }
    assert arm_of("slm+rag") == "slm+rag"
    with pytest.raises(InvalidCorpus, match="'magic'"):
        arm_of("magic")


def test_the_population_goes_by_use_and_leaves_improper_questions_out(tmp_path: Path) -> None:
    rows = [
        GOOD | {"use": "answerable"},
        GOOD | {"id": "q2", "use": "out_of_corpus", "gold_doc_ids": []},
        GOOD | {"id": "q3", "use": "excluded_improper"},
        {key: value for key, value in GOOD.items() if key != "answerable"} | {"id": "q4"},
        GOOD | {"id": "q5", "answerable": False, "gold_doc_ids": []},
    ]
    read, _ = read_suite(suite(tmp_path, rows))
    assert [question.id for question in read.used()] == ["q1", "q2", "q4", "q5"]
    assert [question.id for question in read.used(Use.ANSWERABLE)] == ["q1", "q4"]
    assert read.questions[4].cluster == "question:q5"


def test_options_make_a_choice_or_a_yes_no_question_with_a_gold_letter(tmp_path: Path) -> None:
    rows = [
        GOOD | {"options": {"A": "yes", "B": "no"}, "answers": ["no"]},
        GOOD | {"id": "q2", "options": {"A": "x", "B": "y"}, "answers": ["x"], "answer_choice": "A"},
        GOOD | {"id": "q3", "options": {"A": "x", "B": "y"}, "answers": ["z"]},
    ]
    path = suite(tmp_path, rows)
    read, _ = read_suite(path)
    assert [question.kind for question in read.questions] == [Kind.YES_NO, Kind.CHOICE, Kind.CHOICE]
    assert [question.gold_letter for question in read.questions] == ["B", "A", ""]
    assert any("none of its options" in problem for problem in found(path))


def test_a_csv_of_questions_is_a_suite(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        'question,answer,gold_doc_ids\n"Who sang it?",Cyndi Grecco|C. Grecco,\nWho wrote it?,Ann,a.md|b.md\n'
    )
    read, problems = read_suite(file)
    assert problems == []
    assert read.name == "mine"
    assert [question.id for question in read.questions] == ["mine:2", "mine:3"]
    assert read.questions[0].answers == ("Cyndi Grecco", "C. Grecco")
    assert read.questions[1].gold_doc_ids == ("a.md", "b.md")
    assert check(file) == []


def test_a_csv_without_a_question_column_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("text\nx\n")
    with pytest.raises(InvalidCorpus, match="no column 'question'"):
        read_suite(file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidCorpus, match=r"no questions\.jsonl"):
        read_suite(tmp_path / "empty")


def test_our_own_corpus_is_a_suite() -> None:
    root = Path(__file__).parents[3] / "corpora" / "model-choice"
    read, _ = read_suite(root)
    assert read.name == "model-choice"
    assert read.documents is not None
    assert "glossary.md" in read.documents
    assert [problem for problem in check(root) if problem.severity == "error"] == []
