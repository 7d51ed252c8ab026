"""Setting up: exact versions for everything, and one sentence for whatever is missing."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\d[\w.]*)(?: ; (?P<marker>.+))?")


def pins() -> list[re.Match[str]]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found = [(line, PIN.fullmatch(line)) for line in lines if not line.startswith("#")]
    assert [line for line, match in found if match is None] == [], "not of the form name==version"
    return [match for _, match in found if match is not None]


def wanted() -> dict[str, str]:
    """Every direct dependency and its version rule: {'torch': '==2.13.0'}."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = {}
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", requirement)
        assert match, requirement
        found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2].strip()
    return found


def test_every_direct_dependency_has_one_exact_version() -> None:
    assert wanted()["torch"] == "==2.13.0"
    assert sorted(set(wanted()) - {pin["name"] for pin in pins()}) == [], "renew constraints.txt as its head says"


def test_a_name_that_occurs_twice_is_told_apart_by_a_marker() -> None:
    names = [pin["name"] for pin in pins() if not pin["marker"]]
    assert len(names) == len(set(names))


def test_an_exact_version_in_the_metadata_is_the_pinned_one() -> None:
    versions = {pin["name"]: pin["version"] for pin in pins()}
    exact = {name: rule[2:] for name, rule in wanted().items() if rule.startswith("==")}
    assert exact
    assert {name: versions[name] for name in exact} == exact


def test_no_pin_is_a_build_for_one_kind_of_machine() -> None:
    assert [pin["name"] for pin in pins() if "+" in pin["version"]] == []


def run_setup(environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    venv = tmp_path / "venv"
    done = subprocess.run(
        ["/bin/sh", "scripts/setup.sh", "run"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "VENV": str(venv)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert not venv.exists()
    return done


def tools(tmp_path: Path, *programs: str, **scripts: str) -> str:
    """A folder for PATH with these programs of the system, and small scripts under invented names."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in programs:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    for name, body in scripts.items():
        path = folder / name.replace("_", ".")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return str(folder)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    (only,) = done.stderr.splitlines()
    assert only.startswith("setup: ")
    return only.removeprefix("setup: ")


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = sentence(run_setup({"PYTHON": "no-such-python"}, tmp_path))
    assert told == "PYTHON=no-such-python is no program: name a Python 3.11, 3.12 or 3.13."


def test_a_python_of_another_version_is_told_with_its_version(tmp_path: Path) -> None:
    folder = tools(tmp_path, old='test "$1" = -V && echo Python 3.9.2 || exit 1')
    told = sentence(run_setup({"PYTHON": f"{folder}/old"}, tmp_path))
    assert told.endswith("is Python 3.9.2, not a working Python 3.11, 3.12 or 3.13: name another.")


def test_shims_that_do_not_work_are_passed_over(tmp_path: Path) -> None:
    folder = tools(tmp_path, "sed", "head", "grep", python3_11="exit 127", python3="exit 127")
    told = sentence(run_setup({"PATH": folder}, tmp_path))
    assert told.startswith("no working Python 3.11, 3.12 or 3.13 was found: install one (Debian, Ubuntu: apt-get")


def test_a_python_without_venv_is_told_with_the_package_that_has_it(tmp_path: Path) -> None:
    # answers the version question, and fails the import of venv
    folder = tools(tmp_path, "sed", "head", "grep", python3_12='case "$2" in *venv*) exit 1;; esac')
    told = sentence(run_setup({"PATH": folder}, tmp_path))
    assert told == "python3.12 has no venv module: install it (Debian, Ubuntu: apt-get install python3.12-venv)."


def test_a_missing_compiler_is_told_before_anything_is_built(tmp_path: Path) -> None:
    # stands in for a Python whose environment can be made and where pip finds no wheel of llama.cpp
    fake = """
case "$*" in
  *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *llama*) exit 1 ;;
esac"""
    folder = tools(tmp_path, "sed", "head", "grep", "rm", "mkdir", "cp", python3_11=fake)
    done = subprocess.run(
        ["/bin/sh", "scripts/setup.sh", "run"],
        cwd=ROOT,
        env={"PATH": folder, "VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert sentence(done) == (
        "llama.cpp is built from source and no C++ compiler was found: install one "
        "(Debian, Ubuntu: apt-get install build-essential)."
    )


def test_all_of_the_tile_configuration_is_written_before_it_is_loaded(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None or platform.machine() != "x86_64":
        pytest.skip("no g++ for a processor that could have AMX")
    source = tmp_path / "tiles.cpp"
    source.write_text("""#include <immintrin.h>
        void load() { alignas(64) unsigned char tiles[64] = {1}; tiles[48] = 93; _tile_loadconfig(tiles); }""")
    command = [compiler, "-O3", "-mamx-tile", "-S", "-o", "-", "-include", "scripts/amx.h", str(source)]
    assembly = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "ldtilecfg" in assembly
    assert "$93" in assembly, "left out as never read: llama.cpp built so crashes on its first product"


@pytest.mark.parametrize("target", ["help", "demo", "test", "serve", "check", "bench"])
def test_make_knows_its_targets(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "bench: name the folder of the suites: make bench SUITES=DIR"),
        (["SUITES=/nowhere"], "bench: /nowhere is no folder: make bench SUITES=DIR"),
    ],
)
def test_bench_without_suites_is_told_before_anything_is_set_up(arguments: list[str], told: str) -> None:
    done = subprocess.run(["make", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == told
