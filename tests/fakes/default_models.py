"""The default models, made ready once a run as `make` does it, and lent to every test that asks them: no fake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]


def lend(shared: Path, data: Path) -> Path:
    """Put the default models where a data directory has them, as links. Returns the data directory.

    shared: a folder that all processes of a run see; the first one makes the models there
    """
    with FileLock(shared / "default-models.lock"):
        made, ready = shared / "default-models", shared / "default-models.ready"
        if not ready.exists():
            _prepare(made)
            ready.touch()
    shutil.copytree(made / "models", data / "models", copy_function=_link)
    return data


def _prepare(data: Path) -> None:
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


def _link(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:  # on another disk
        shutil.copy2(source, target)
