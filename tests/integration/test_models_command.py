"""`models list | pull | verify` as an operator runs them, against a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.gguf_files import write_gguf
from tests.fakes.model_hub import ModelHub, hub_with

ADDRESS = "owner/tiny-GGUF:tiny.gguf"
PATH = "owner/tiny-GGUF/tiny.gguf"


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    write_gguf(tmp_path / "source.gguf", "phi3")
    return (tmp_path / "source.gguf").read_bytes()


@pytest.fixture
def hub(content: bytes) -> Iterator[ModelHub]:
    with hub_with({PATH: content, "owner/other/notes.gguf": b"notes, no model"}) as running:
        yield running


class Models:
    """The command with its own data directory and hub."""

    def __init__(self, data: Path, hub: ModelHub) -> None:
        self.data = data
        self._environment = os.environ | {
            "UNDERSTUDY_DATA__DIRECTORY": str(data),
            "UNDERSTUDY_NETWORK__OFFLINE": "false",
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(data / "hf"),
            "NO_PROXY": "127.0.0.1",
        }

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api", "models", *arguments],
            env=self._environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def refused(self, *arguments: str, **variables: str) -> str:
        done = self(*arguments, **variables)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("understudy: ")
        return line


@pytest.fixture
def models(tmp_path: Path, hub: ModelHub) -> Models:
    return Models(tmp_path / "data", hub)


def test_a_pulled_model_is_recorded_listed_and_verified(models: Models, hub: ModelHub, content: bytes) -> None:
    done = models("pull", ADDRESS)
    sha256 = hashlib.sha256(content).hexdigest()
    assert done.returncode == 0, done.stderr
    assert f"sha256 {sha256}, F32, template phi3" in done.stdout
    assert json.loads((models.data / "models" / "registry.json").read_text("utf-8")) == {ADDRESS: sha256}

    entries = {entry["name"]: entry for entry in json.loads(models("list", "--json").stdout)}
    assert entries[ADDRESS]["verified"]
    assert not entries["qwen3-4b"]["verified"]
    assert "qwen3-4b" in models("list").stdout

    assert models("pull", ADDRESS).returncode == 0
    assert hub.downloads == [PATH], "what is there is not fetched again"
    assert models("verify").returncode == 0


def test_an_altered_file_fails_the_check_and_is_fetched_again(models: Models, hub: ModelHub, content: bytes) -> None:
    models("pull", ADDRESS)
    file = models.data / "models" / "hub" / "owner--tiny-GGUF" / "tiny.gguf"
    file.write_bytes(content[:-1] + b"\xff")
    checked = models("verify", "--json")
    assert checked.returncode == 1
    assert {one["name"]: one["state"] for one in json.loads(checked.stdout)}[ADDRESS] == "altered"
    assert models("pull", ADDRESS).returncode == 0
    assert file.read_bytes() == content
    assert models("verify").returncode == 0
    assert hub.downloads == [PATH, PATH]


def test_another_file_under_the_same_name_is_refused(models: Models, hub: ModelHub, content: bytes) -> None:
    models("pull", ADDRESS)
    hub.files[PATH] = content + b"more"
    told = models.refused("pull", ADDRESS)
    assert hashlib.sha256(content).hexdigest() in told
    assert hashlib.sha256(content + b"more").hexdigest() in told
    assert "registry.json" in told


def test_a_download_that_breaks_off_is_taken_up_again(models: Models, hub: ModelHub, content: bytes) -> None:
    hub.cut_at = 100_000
    done = models("pull", ADDRESS)
    if done.returncode == 2:
        assert "could not be fetched" in done.stderr
        done = models("pull", ADDRESS)
    assert done.returncode == 0, done.stderr
    assert (models.data / "models" / "hub" / "owner--tiny-GGUF" / "tiny.gguf").read_bytes() == content


def test_each_failure_of_the_hub_is_one_sentence(models: Models, hub: ModelHub) -> None:
    assert "no repository 'owner/none'" in models.refused("pull", "owner/none:x.gguf")
    assert "has no file 'none.gguf'" in models.refused("pull", "owner/tiny-GGUF:none.gguf")
    assert "is no GGUF file" in models.refused("pull", "owner/other:notes.gguf")
    assert "OFFLINE=false" in models.refused("pull", ADDRESS, UNDERSTUDY_NETWORK__OFFLINE="true")
    assert "could not be fetched" in models.refused("pull", ADDRESS, HF_ENDPOINT="http://127.0.0.1:9")
    assert "no model 'nonsense'" in models.refused("pull", "nonsense")
    assert not (models.data / "models" / "registry.json").exists()


def test_a_full_or_closed_folder_is_told(models: Models, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be", "utf-8")
    assert str(tmp_path / "data") in models.refused("pull", ADDRESS)


def test_help_names_the_three_commands(models: Models) -> None:
    done = models("--help")
    assert done.returncode == 0
    assert all(f" {name} " in done.stdout for name in ("list", "pull", "verify"))
