"""The default models, made ready once a run as `make` does it, and lent to every test that asks them: no fake.

They are made without a network where the system can do so, and may dial nothing outside the machine.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from tests.fakes.offline import Offline, without_network


def lend(shared: Path, data: Path) -> Path:
    """Put the default models where a data directory has them, as links. Returns the data directory.

    shared: a folder that all processes of a run see; the first one makes the models there
    """
    with FileLock(shared / "default-models.lock"):
        made, ready = shared / "default-models", shared / "default-models.ready"
        if not ready.exists():
            _prepare(made)
            ready.touch()
    shutil.copytree(made / "data" / "models", data / "models", copy_function=_link)
    return data


def _prepare(folder: Path) -> None:
    offline = Offline(folder)
    done = offline.run(["-m", "rag.build", "prepare"], prefix=without_network())
    assert done.returncode == 0, done.stdout + done.stderr
    assert offline.dialled == []


def _link(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:  # on another disk
        shutil.copy2(source, target)
