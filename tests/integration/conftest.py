"""A Qdrant server's stand-in, for the tests whose domains are on one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.qdrant_server import QdrantProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantProcess]:
    running = QdrantProcess(tmp_path / "qdrant")
    yield running
    running.close()
