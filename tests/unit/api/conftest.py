"""Every test of the API runs in an empty folder: keys made in the checkout's own data count for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    monkeypatch.chdir(folder)
    return folder
