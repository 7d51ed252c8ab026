"""The gate fails for a loss that is no chance, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.finished import read_run
from evaluation.gate import gate
from evaluation.judge import shipped_judge
from evaluation.llm_judge import agreement, judge_by_model
from evaluation.records import Declared, Record, Records
from evaluation.sampling import fingerprint
from evaluation.suites import read_suite
from rag.errors import InvalidCorpus, InvalidSettings
from tests.fakes.language_model import FakeLanguageModel

CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Kyoto", "Quito")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "lines"
    (folder / "baselines").mkdir(parents=True)
    rows = [
        {"id": str(n), "question": f"Where does line {n} end?", "answers": [CITIES[n % 8]], "use": "answerable"}
        for n in range(40)
    ]
    (folder / "questions.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    said = [
        {
            "id": str(n),
            "model": "big",
            "setting": "closed_book",
            "answer": CITIES[(n + (n % 4 == 0)) % 8],
            "correct": n % 4 != 0,
        }
        for n in range(40)
    ]
    (folder / "baselines" / "big.jsonl").write_text("\n".join(json.dumps(row) for row in said), "utf-8")
    return folder


def made(suite: Path, out: Path, wrong: int) -> Path:
    """A run whose first `wrong` answers are wrong."""
    read, _ = read_suite(suite)
    questions = read.used()
    declared = Declared(
        suite="lines", source=str(suite), suite_sha256=fingerprint(questions), domain="d", arms=("slm+rag",),
        questions=tuple(q.id for q in questions), of=40, seed=0, margin=0.05, primary={}, model="m",
        model_fingerprint="f", embedder_fingerprint="e", generation="g", code="c", hardware="h", date="2026-01-01",
    )  # fmt: skip
    with Records(out, declared) as records:
        for n, q in enumerate(questions):
            records.add(Record(id=q.id, arm="slm+rag", text="Berlin" if n < wrong else q.answers[0]))
    return out


def test_many_lost_questions_are_a_real_loss_and_few_are_not(suite: Path, tmp_path: Path) -> None:
    before = read_run(made(suite, tmp_path / "a", 2))
    slightly = gate(before, read_run(made(suite, tmp_path / "b", 5)), shipped_judge())
    assert [change.id for change in slightly.lost] == ["2", "3", "4"]
    assert slightly.mcnemar == 0.25
    assert not slightly.real_loss
    badly = gate(before, read_run(made(suite, tmp_path / "c", 20)), shipped_judge())
    assert len(badly.lost) == 18
    assert badly.difference.estimate == pytest.approx(-0.45)
    assert badly.real_loss
    back = gate(read_run(tmp_path / "c"), read_run(tmp_path / "a"), shipped_judge())
    assert len(back.gained) == 18
    assert not back.real_loss


def test_a_run_is_read_back_only_with_the_questions_that_it_asked(suite: Path, tmp_path: Path) -> None:
    run = made(suite, tmp_path / "a", 0)
    moved = suite.rename(tmp_path / "moved")
    with pytest.raises(InvalidCorpus, match="--suite"):
        read_run(run)
    assert read_run(run, moved).complete
    lines = (moved / "questions.jsonl").read_text("utf-8")
    (moved / "questions.jsonl").write_text(lines.replace("Paris", "Berlin"), "utf-8")
    with pytest.raises(InvalidCorpus, match="run it again"):
        read_run(run, moved)


def test_runs_that_share_no_answered_question_cannot_be_compared(suite: Path, tmp_path: Path) -> None:
    run = read_run(made(suite, tmp_path / "a", 0))
    with pytest.raises(InvalidCorpus, match="share no answerable question"):
        gate(run, run, shipped_judge(), arm="slm")


def test_a_model_as_judge_is_measured_like_the_other_and_its_failures_are_counted(suite: Path) -> None:
    read, _ = read_suite(suite)

    def says(prompt: object) -> str:
        text = str(prompt)
        return "Maybe so." if "line 7 " in text else "Yes." if "line 3 " in text else "No."

    rows = agreement(read, shipped_judge(), FakeLanguageModel(answer=says))
    every, big = rows
    assert every.system == "all"
    assert big.answers == 40
    assert big.human_rate == pytest.approx(0.75)
    assert big.judge_agreement == pytest.approx(1.0)
    assert big.llm_failures == 1
    assert big.llm_agreement == pytest.approx((10 + 1) / 40)
    assert judge_by_model(FakeLanguageModel(answer=lambda _: "yes"), "q?", ("a",), "a") is True
    (alone, _) = agreement(read, shipped_judge(), None, limit=8)
    assert alone.answers == 8
    assert alone.llm_rate is None
    with pytest.raises(InvalidSettings, match="no recorded answer"):
        agreement(read.model_copy(update={"recorded": ()}), shipped_judge(), None)
