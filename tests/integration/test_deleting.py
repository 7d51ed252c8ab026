"""A whole domain is deleted: counted when nobody else may change it any more, and also where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.catalog import Catalog
from rag.errors import CorpusError
from rag.writer_lock import WriterLock
from tests.fakes.command_line import run, settle
from tests.fakes.domains import DIMENSIONS, ingest
from tests.fakes.embedder import HashedWords


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs").mkdir()
    add(tmp_path / "data", "a.md")
    settle(tmp_path / "data", monkeypatch)
    return tmp_path / "data"


def add(data: Path, name: str) -> None:
    (data.parent / "docs" / name).write_text(f"# {name}\n\nThe words of {name}.", "utf-8")
    ingest(data, data.parent / "docs", HashedWords(dimensions=DIMENSIONS))


def test_the_counts_are_of_what_was_there_when_nobody_else_could_change_it(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def after_another_run(directory: Path, domain: str) -> WriterLock:
        add(data, "late.md")
        return WriterLock(directory, domain)

    monkeypatch.setattr("rag.build.WriterLock", after_another_run)
    assert run("delete", "--domain", "plant", "--all", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["documents"], said["chunks"]) == (2, 2)
    assert Catalog(data).domains() == []
    assert not (data / "domains" / "plant").exists()


@pytest.mark.parametrize("damaged", ["manifest.json", "documents.sqlite"])
def test_a_damaged_domain_is_deleted_as_its_errors_say(
    data: Path, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [generation] = Catalog(data).finished("plant")
    (generation.folder / damaged).write_bytes(b"damaged")
    assert run("delete", "--domain", "plant", "--all") == 0
    assert capsys.readouterr().out.startswith("plant: 0 documents, 0 chunks removed")
    assert not (data / "domains" / "plant").exists()


def test_what_cannot_be_removed_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("shutil.rmtree", refused)
    with pytest.raises(CorpusError, match=r"cannot remove all of .*Operation not permitted"):
        Catalog(data).delete("plant")
