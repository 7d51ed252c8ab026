"""`understudy keys` as an operator runs it, beside a service that is running."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import httpx
import pytest

from api.audit import FILE as AUDIT
from api.keys import FILE, Keys

ROOT = Path(__file__).parents[2]


def environment(data: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")}
    return kept | {"UNDERSTUDY_DATA__DIRECTORY": str(data), "COLUMNS": "200", "NO_COLOR": "1"}


def keys(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api", "keys", *arguments]
    return subprocess.run(command, env=environment(data), capture_output=True, text=True, timeout=60, check=False)


def test_standard_output_is_the_key_alone_and_the_rest_is_said_beside_it(tmp_path: Path) -> None:
    done = keys(tmp_path, "create", "Help desk", "--domain", "plant", "--domain", "office")
    assert done.returncode == 0, done.stderr
    text = done.stdout.removesuffix("\n")
    assert Keys(tmp_path).find(text).domains == ("office", "plant")
    assert "(Help desk) may read in the domains office, plant. It is shown this once:" in done.stderr
    assert "there is no domain 'plant' yet" in done.stderr


def test_for_a_program_everything_is_json_and_the_hash_is_nowhere(tmp_path: Path) -> None:
    arguments = ("--all-domains", "--scope", "ingest", "--scope", "read", "--expires", "2999-12-31", "--json")
    made = json.loads(keys(tmp_path, "create", "ci", *arguments, "--requests-per-minute", "7").stdout)
    key = Keys(tmp_path).find(made.pop("key"))
    assert (key.scopes, key.domains, key.requests_per_minute) == (("read", "ingest"), None, 7)
    assert made["expires"] == "3000-01-01T00:00:00Z"  # the last day counts whole
    (listed,) = json.loads(keys(tmp_path, "list", "--json").stdout)
    assert listed == made
    assert (listed["id"], listed["state"]) == (key.id, "active")
    revoked = json.loads(keys(tmp_path, "revoke", key.id, "--json").stdout)
    assert revoked["state"] == "revoked"
    assert key.sha256 not in json.dumps([made, listed, revoked])


def test_a_list_shows_what_each_key_opens(tmp_path: Path) -> None:
    assert "There are no keys" in keys(tmp_path, "list").stderr
    keys(tmp_path, "create", "desk", "--domain", "plant", "--expires", "2999-12-31")
    head, line = keys(tmp_path, "list").stdout.splitlines()
    assert re.split(r"\s{2,}", head)[:5] == ["id", "name", "state", "scopes", "domains"]
    assert re.split(r"\s{2,}", line)[1:5] == ["desk", "active", "read", "plant"]
    assert line.endswith("2999-12-31")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "desk"), "--all-domains"),
        (("create", "desk", "--domain", "plant", "--all-domains"), "--all-domains"),
        (("create", "desk", "--all-domains", "--scope", "reed"), "'reed' is none of read, ingest, admin"),
        (("create", "desk", "--all-domains", "--expires", "2001-01-01"), "2001-01-01 is over"),
        (("create", "desk", "--all-domains", "--requests-per-minute", "0"), "--requests-per-minute"),
        (("create", " ", "--all-domains"), "1 to 100 characters"),
        (("create", "desk", "--domain", "../plant"), "'../plant' is no domain name"),
        (("revoke", "nothing"), "understudy keys list"),
        (("revoke",), "ID"),
    ],
)
def test_what_makes_no_sense_is_refused_with_status_2_and_creates_nothing(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = keys(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert Keys(tmp_path).all() == ()


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{", "utf-8")
    for arguments in (("list",), ("create", "desk", "--all-domains"), ("revoke", "x")):
        done = keys(tmp_path, *arguments)
        assert done.returncode == 2
        assert re.fullmatch(r"understudy: .*keys\.json is damaged .*\n", done.stderr)


def test_a_running_service_follows_what_the_command_line_does(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from api.serving import serve\nfrom tests.fakes.pipeline import FakePipeline\nfrom rag.settings import load\n"
        "serve(load(), port=0, build=lambda settings: FakePipeline())"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, env=environment(tmp_path), stdout=PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0] + "/v1/domains"
        assert httpx.get(url).status_code == 200
        key = keys(tmp_path, "create", "desk", "--all-domains").stdout.strip()
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        keys(tmp_path, "revoke", key.split("_")[1])
        assert httpx.get(url, headers={"X-API-Key": key}).status_code == 401
    finally:
        process.terminate()
        process.communicate(timeout=30)
    lines = [json.loads(line) for line in (tmp_path / AUDIT).read_text("utf-8").splitlines()]
    assert [(line["action"], line["outcome"]) for line in lines] == [
        ("keys create", "created"),
        ("GET /v1/domains", "401"),
        ("keys revoke", "revoked"),
        ("GET /v1/domains", "401"),
    ]
    assert key.split("_", 2)[2] not in (tmp_path / AUDIT).read_text("utf-8")
