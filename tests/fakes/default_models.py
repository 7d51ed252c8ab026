"""The default models, made ready once as `make` does it, and lent to every test that asks them: no fake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]


def lend(data: Path) -> Path:
    """Put the default models where a data directory has them, as links. Returns the data directory."""
    shutil.copytree(_made(), data / "models", copy_function=_link)
    return data


def _link(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:  # on another disk
        shutil.copy2(source, target)


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="understudy-models-")  # goes with the process


@cache
def _made() -> Path:
    data = Path(_folder().name)
    environment = {**os.environ, "UNDERSTUDY_DATA__DIRECTORY": str(data)}
    done = subprocess.run(
        [sys.executable, "-m", "rag.build", "prepare"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return data / "models"
