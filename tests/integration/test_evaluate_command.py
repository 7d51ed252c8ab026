"""From a folder and a table of questions to a report in two commands, with the default models; then from a kill on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.openai_server import serving

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    "pump.md": "# Pump P-9\n\nThe pump of line 4 is greased every 200 hours. Its seal is made of Viton.\n",
    "gate.md": "# North gate\n\nThe north gate opens at 6:40 and closes at 22:15.\n",
    "boiler.md": "# Boiler\n\nThe boiler is fired with wood chips. Its pressure limit is 8 bar.\n",
}
QUESTIONS = (
    ("How often is the pump of line 4 greased?", "every 200 hours"),
    ("When does the north gate open?", "6:40"),
    ("When does the north gate close?", "22:15"),
    ("What is the seal of pump P-9 made of?", "Viton"),
    ("What is the boiler fired with?", "wood chips"),
    ("What is the pressure limit of the boiler?", "8 bar"),
)


def run(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=environment(data), capture_output=True, text=True, check=False)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "api", *arguments]


def environment(data: Path) -> dict[str, str]:
    return {**os.environ, "UNDERSTUDY_DATA__DIRECTORY": str(data), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    lend(folder / "data")
    (folder / "handbook").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / "handbook" / name).write_text(text, "utf-8")
    rows = [f'{n},"{question}","{answer}"' for n, (question, answer) in enumerate(QUESTIONS, start=1)]
    (folder / "mine.csv").write_text("\n".join(["id,question,answers", *rows]) + "\n", "utf-8")
    ingested = run("ingest", "apply", str(folder / "handbook"), "--domain", "works", data=folder / "data")
    assert ingested.returncode == 0, ingested.stderr
    return folder


def evaluate(place: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["evaluate", "run", str(place / "mine.csv"), "--domain", "works", "--out", str(place / out), *more]
    return run(*arguments, data=place / "data")


def records(folder: Path) -> list[dict[str, object]]:
    timings = ("milliseconds", "stages")
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in timings} for line in lines]


@pytest.mark.slow
def test_two_commands_make_a_report_and_a_killed_run_gives_the_same_records(place: Path) -> None:
    whole = evaluate(place, "whole")
    assert whole.returncode == 0, whole.stderr
    assert "no large model is recorded" in whole.stdout
    page = (place / "whole" / "report.html").read_text("utf-8")
    assert "<svg " in page
    report = json.loads((place / "whole" / "report.json").read_text("utf-8"))
    rates = {row["arm"]: row["rate"]["judged"] for row in report["parts"][0]["rows"]}
    assert rates["slm+rag"] > rates["slm"]
    arguments = ["evaluate", "run", str(place / "mine.csv"), "--domain", "works", "--out", str(place / "cut")]
    child = subprocess.Popen(
        command(*arguments), env=environment(place / "data"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    file = place / "cut" / "records.jsonl"
    deadline = time.monotonic() + 120
    while (not file.exists() or file.read_bytes().count(b"\n") < 2) and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = file.read_bytes()
    again = evaluate(place, "cut")
    assert again.returncode == 0, again.stderr
    assert file.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert records(place / "cut") == records(place / "whole")


@pytest.mark.slow
def test_what_cannot_be_run_is_told_with_the_way_out(place: Path) -> None:
    unknown = run(
        "evaluate", "run", str(place / "mine.csv"), "--domain", "other", "--out", str(place / "x"), data=place / "data"
    )
    assert unknown.returncode == 2
    assert "understudy ingest apply" in unknown.stderr
    arm = evaluate(place, "y", "--arms", "slm,magic")
    assert arm.returncode == 2
    assert "magic" in arm.stderr
    (place / "twice.csv").write_text(
        'id,question,answers\n1,"What is it?","a pump"\n1,"What else?","a gate"\n', "utf-8"
    )
    checked = run("evaluate", "check", str(place / "twice.csv"), data=place / "data")
    assert checked.returncode == 1
    assert "twice.csv:3" in checked.stdout
    (place / "one.csv").write_text('id,question,answers\n1,"What is the boiler fired with?","wood chips"\n', "utf-8")
    arguments = ["evaluate", "run", str(place / "one.csv"), "--domain", "works", "--out", str(place / "one")]
    one = run(*arguments, data=place / "data")
    assert one.returncode == 0, one.stderr
    assert "no large model is recorded" in one.stdout
    assert "nothing fine can be claimed" in one.stdout
    prices = place / "prices.toml"
    prices.write_text('[[model]]\nname = "GPT-4"\nusd_per_million_tokens = 1.0\nsource = "mine"\n', "utf-8")
    made = place / "one"
    undated = run("evaluate", "report", str(made), "--prices", str(prices), data=place / "data")
    assert undated.returncode == 2
    assert "'GPT-4' has no date" in undated.stderr
    none = run("evaluate", "report", str(place / "none"), data=place / "data")
    assert none.returncode == 2
    assert "holds no run" in none.stderr


@pytest.mark.slow
def test_a_large_model_is_asked_once_and_replayed_with_its_server_off(place: Path) -> None:
    prices = place / "local.toml"
    prices.write_text(
        '[[model]]\nname = "fake"\nusd_per_million_tokens = 10.0\ndate = 2026-01-01\nsource = "mine"\n', "utf-8"
    )
    arms = ["--arms", "slm+rag,llm,llm+rag", "--llm", "fake", "--prices", str(prices)]
    recording = ["--recording", str(place / "llm.jsonl")]
    with serving() as server:
        stopped = evaluate(place, "live", *arms, *recording, "--llm-url", server.url, "--max-usd", "0.002")
        assert stopped.returncode == 2
        assert "--max-usd" in stopped.stderr
        assert 0 < len(server.bodies) < 2 * len(QUESTIONS)
        asked = evaluate(place, "live", *arms, *recording, "--llm-url", server.url)
        assert asked.returncode == 0, asked.stderr
        assert len(server.bodies) == 2 * len(QUESTIONS), "an answer was paid for twice"
    replayed = evaluate(place, "replay", *arms, *recording)
    assert replayed.returncode == 0, replayed.stderr
    assert records(place / "replay") == records(place / "live")
    report = json.loads((place / "replay" / "report.json").read_text("utf-8"))
    rows = {row["arm"]: row for row in report["parts"][0]["rows"]}
    assert rows["llm"]["model"] == "fake"
    assert rows["llm"]["usd"] > 0
    assert [c["arm"] for c in report["parts"][0]["comparisons"] if c["primary"]] == ["llm"]
    compared = run(
        "evaluate", "compare", str(place / "live"), str(place / "replay"), "--gate", "--json", data=place / "data"
    )
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["lost"] == []


@pytest.mark.slow
def test_use_cases_are_measured_on_all_cores_and_on_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_MODEL__WEIGHTS_FORMAT", "as-shipped")  # the fastest on one core is not yet measured
    arguments = ["evaluate", "workloads", str(place / "mine.csv"), "--domain", "works", "--requests", "2", "--json"]
    done = run(*arguments, "--out", str(place / "use"), data=place / "data")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {"real-time chatbot", "document analysis", "edge device"}
    assert rows["edge device"]["cores"] == 1
    assert rows["edge device"]["fits"] is (rows["edge device"]["memory_mb"] <= 1000)
    assert all(row["first_ms"] <= row["whole_ms"] for row in rows.values())
    assert (place / "use" / "workloads.json").exists()
