"""The console script as a stranger runs it: help at once, sentences for errors, exit statuses to match."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import httpx
import pytest

ROOT = Path(__file__).parents[2]


def understudy(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")}
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        env=environment | variables | {"COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What an error says, once it is one sentence with status 2."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]  # the rest is the log
    assert line.startswith("understudy: ")
    return line


def test_help_lists_the_commands_and_comes_in_under_a_second() -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = understudy("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert done.returncode == 0
    assert all(f" {command} " in done.stdout for command in ("serve", "ask", "config", "ingest", "models", "keys"))
    # processor time, which a busy machine does not stretch as it does the clock's; 0.45 s of both when idle
    assert min(spent) < 1.0


def test_listing_the_commands_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom api.__main__ import app\n"
        "try:\n    app(['--help'], prog_name='understudy')\nexcept SystemExit:\n    pass\n"
        "print(sorted({'litestar', 'uvicorn', 'pydantic', 'ingest.cli'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_told() -> None:
    assert understudy("--version").stdout.startswith("understudy 0.")


def test_completion_can_be_shown() -> None:
    done = understudy(_UNDERSTUDY_COMPLETE="complete_bash", COMP_WORDS="understudy con", COMP_CWORD="1")
    assert done.stdout.split() == ["config"]


def test_a_terminal_without_unicode_gets_escapes() -> None:
    said = sentence(understudy("serve", "--host", "bücher.invalid", PYTHONIOENCODING="ascii"))
    assert "b\\xfccher.invalid" in said


def test_settings_are_shown_with_what_is_in_force() -> None:
    done = understudy("config", "show", "--json", UNDERSTUDY_SERVER__PORT="9001", UNDERSTUDY_MODEL__API_KEY="hunter2")
    values = {entry["variable"]: entry["value"] for entry in json.loads(done.stdout)}
    assert values["UNDERSTUDY_SERVER__PORT"] == 9001
    assert "hunter2" not in done.stdout


@pytest.mark.parametrize("command", [("config", "show"), ("serve",), ("ask", "Why?", "--domain", "plant")])
def test_a_misspelt_setting_is_refused_by_every_command(command: tuple[str, ...]) -> None:
    said = sentence(understudy(*command, UNDERSTUDY_MODLE__NAME="x"))
    assert "did you mean UNDERSTUDY_MODEL__NAME?" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.invalid"])
def test_serving_beyond_this_machine_is_refused_as_long_as_there_is_no_key(tmp_path: Path, host: str) -> None:
    said = sentence(understudy("serve", "--host", host, UNDERSTUDY_DATA__DIRECTORY=str(tmp_path)))
    assert "understudy keys create NAME" in said


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = sentence(understudy("serve", "--port", port))
    assert f"127.0.0.1 port {port}" in said
    assert "--port" in said


def test_serving_beyond_this_machine_is_allowed_once_there_is_a_key(tmp_path: Path) -> None:
    variables = {
        "UNDERSTUDY_DATA__DIRECTORY": str(tmp_path),
        "UNDERSTUDY_MODEL__NAME": str(tmp_path / "missing.gguf"),  # so that it ends by itself
    }
    assert understudy("keys", "create", "desk", "--all-domains", **variables).returncode == 0
    done = understudy("serve", "--host", "0.0.0.0", "--port", "0", **variables)
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["address"].rpartition(":")[0] for line in lines if "address" in line] == ["http://0.0.0.0"]


@pytest.mark.parametrize("command", [("ask", "Why?", "--domain", "plant"), ("serve", "--port", "0")])
def test_a_model_that_cannot_be_loaded_is_a_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    missing = str(tmp_path / "missing.gguf")
    variables = {"UNDERSTUDY_MODEL__NAME": missing, "UNDERSTUDY_DATA__DIRECTORY": str(tmp_path)}
    assert "missing.gguf" in sentence(understudy(*command, **variables))


def test_a_wrong_option_is_status_2() -> None:
    done = understudy("ask", "Why?")
    assert done.returncode == 2
    assert "--domain" in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_its_address_once_ready_and_stops_in_order(stop: signal.Signals) -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from api.serving import serve\nfrom tests.fakes.pipeline import FakePipeline\nfrom rag.settings import load\n"
        "class Told(FakePipeline):\n"
        "    def close(self):\n        print('closed', flush=True)\n"
        "serve(load({}), port=0, build=lambda settings: Told())"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True
    )
    assert process.stdout is not None
    url = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
    assert httpx.get(f"{url}/health/ready").status_code == 200
    process.send_signal(stop)
    out, err = process.communicate(timeout=30)
    assert out == "closed\n"
    assert "Traceback" not in err
    assert process.returncode in (0, -stop)


def test_the_commands_of_ingestion_are_mounted_and_completed() -> None:
    done = understudy("ingest", "--help")
    assert "Usage: understudy ingest" in done.stdout
    completed = understudy(_UNDERSTUDY_COMPLETE="complete_bash", COMP_WORDS="understudy ingest ap", COMP_CWORD="2")
    assert completed.stdout.split() == ["apply"]
    refused = understudy("ingest", "aply")
    assert refused.returncode == 2
    assert "apply" in refused.stderr
