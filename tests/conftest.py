"""What every test stands on: no model hub is dialled, and the caller's own settings do not reach the tests.

Set before any library is imported, since they read these variables once. Knows no fixture of a single test.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

for name in [name for name in os.environ if name.startswith("UNDERSTUDY_")]:
    del os.environ[name]

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# tokenizers warns when a process that has used its threads forks, as the engine's tests do
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# after the environment is set
from hypothesis import HealthCheck, settings  # noqa: E402

from tests.fakes import default_models  # noqa: E402  # the same

# A machine that is busy with something else is slow, not wrong: no property has a time limit.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that none is left at the end for one process, the other idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def lend(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Puts the default models, made ready once a run, into a data directory, which it returns."""
    base = tmp_path_factory.getbasetemp()  # of this worker, where there are several
    return partial(default_models.lend, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
