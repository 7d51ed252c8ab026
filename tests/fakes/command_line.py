"""The command line of ingestion in this process, over a data directory, with the hashed embedder."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.fakes.domains import DIMENSIONS
from tests.fakes.embedder import HashedWords


def settle(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings name this directory, and the embedder be the hashed one."""
    monkeypatch.setattr("rag.build.open_embedder", lambda _: HashedWords(dimensions=DIMENSIONS))
    monkeypatch.setenv("UNDERSTUDY_DATA__DIRECTORY", str(data))


def run(*arguments: str) -> int:
    """Run a command; its exit status."""
    with warnings.catch_warnings():
        # what typer imports from click is deprecated in the newest click
        warnings.simplefilter("ignore", DeprecationWarning)
        from ingest.cli import app

        return int(app(list(arguments), standalone_mode=False) or 0)
