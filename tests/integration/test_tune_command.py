"""`understudy tune` from a stored domain to an adapter that answers: the real default model, one step of training."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.prompt import seen_hash

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def understudy(data: Path, *arguments: str, adapter: str = "auto") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "UNDERSTUDY_DATA__DIRECTORY": str(data),
        "UNDERSTUDY_MODEL__WEIGHTS_FORMAT": "as-shipped",
        "UNDERSTUDY_MODEL__ADAPTER": adapter,
        "UNDERSTUDY_ANSWER__MIN_CONFIDENCE": "0",
    }
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    done = understudy(lend(folder / "data"), "ingest", "apply", "corpora/plant", "--domain", "plant")
    assert done.returncode == 0, done.stderr
    return folder / "data"


def test_questions_are_made_from_the_documents_of_a_domain(data: Path, tmp_path: Path) -> None:
    made = understudy(data, "tune", "corpus", "plant", "--out", str(tmp_path), "--limit", "20", "--only-questions")
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    assert len(rows) == 20
    assert all(row["question"].endswith("?") and row["answers"] and row["gold_doc_ids"] for row in rows)


def test_a_domain_is_tuned_checked_and_asked_with_its_adapter(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    tuned = understudy(
        data, "tune", "corpus", "plant", "--out", str(out), "--limit", "14", "--check", "3", "--steps", "1",
        "--licence", "CC0-1.0", "--json",
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stderr
    card = json.loads(tuned.stdout)
    assert card["licence"] == "CC0-1.0"
    assert card["after"]["answerable"] == card["before"]["answerable"] == 3
    assert sum(card["examples"].values()) > 0
    assert {path.name for path in out.iterdir()} == {"adapter.gguf", "adapter.json", "check-plant.txt", "loss.svg"}
    asked = understudy(
        data,
        "ask",
        "--domain",
        "plant",
        "--json",
        "Which code is overtime booked on?",
        adapter=str(out / "adapter.gguf"),
    )
    answer = json.loads(asked.stdout)
    assert answer["basis"] == "span"
    assert "changed since" in answer["warning"], "the shipped calibration was fitted with another adapter"


def test_an_adapter_is_checked_again_with_the_questions_of_its_card(data: Path, tmp_path: Path) -> None:
    unasked = understudy(data, "tune", "check", "corpora/plant")
    assert unasked.returncode == 2
    assert "none of the questions" in unasked.stderr
    other = str(ROOT / "rag" / "tuned" / "smollm2-135m-instruct.json")
    mixed = understudy(data, "tune", "check", "corpora/plant", "--questions", other, "--write")
    assert (mixed.returncode, "leave out --questions" in mixed.stderr) == (2, True)
    for name in ("smollm2-135m-instruct.gguf", "smollm2-135m-instruct.json"):
        shutil.copy(ROOT / "rag" / "tuned" / name, tmp_path / name)
    adapter = tmp_path / "smollm2-135m-instruct.gguf"
    card = json.loads(adapter.with_suffix(".json").read_text())
    suite = [json.loads(line) for line in (ROOT / "corpora/plant/questions.jsonl").read_text().splitlines()]
    card["checked"] = [seen_hash(row["question"]) for row in suite[:2]]
    adapter.with_suffix(".json").write_text(json.dumps(card))
    found = understudy(data, "tune", "check", "corpora/plant", "--adapter", str(adapter), "--write", "--json")
    assert found.returncode == 0, found.stderr
    shown, kept = json.loads(found.stdout), json.loads(adapter.with_suffix(".json").read_text())
    assert shown == {"before": kept["before"], "after": kept["after"]}
    assert all(part["answerable"] + part["out_of_corpus"] == 2 for part in shown.values())
    assert {k: v for k, v in kept.items() if k not in shown} == {k: v for k, v in card.items() if k not in shown}


def test_refusals_say_what_to_do(data: Path, tmp_path: Path) -> None:
    unknown = understudy(data, "tune", "corpus", "nowhere", "--out", str(tmp_path))
    assert unknown.returncode == 2
    assert "understudy ingest apply" in unknown.stderr
    uneven = understudy(data, "tune", "suite", "a", "b", "c", "--check", "1", "--check", "2", "--out", str(tmp_path))
    assert uneven.returncode == 2
    assert "once a suite" in uneven.stderr
