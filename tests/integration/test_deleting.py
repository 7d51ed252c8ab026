"""A whole domain is deleted: counted when nobody else may change it any more, and also where it is damaged."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from ingest.deleting import delete_domain
from rag.catalog import Catalog
from rag.documents import DocumentStore
from rag.errors import CorpusError, IndexUnavailable, UnknownDomain
from rag.settings import load
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

    monkeypatch.setattr("ingest.deleting.WriterLock", after_another_run)
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


def test_a_domain_whose_deletion_cannot_begin_says_that_nothing_went(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        with pytest.raises(CorpusError, match="nothing of 'plant' was removed"):
            Catalog(data).delete("plant")
    assert Catalog(data).domains() == ["plant"]


def test_no_collection_goes_before_the_domain_is_off_the_list_and_a_second_call_ends_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        assert Catalog(data).domains() == []
        raise IndexUnavailable("the server does not answer")

    with monkeypatch.context() as patched:
        patched.setattr("ingest.deleting.drop_index", dies)
        with pytest.raises(IndexUnavailable):
            delete_domain(load(), "plant")
    assert (data / "domains" / "plant").exists()
    assert delete_domain(load(), "plant") == (0, 0)
    assert not (data / "domains" / "plant").exists()
    with pytest.raises(UnknownDomain):
        delete_domain(load(), "plant")


def test_what_an_interrupted_deletion_left_is_in_no_new_domain_of_that_name(data: Path) -> None:
    Catalog(data).unlist("plant")
    (data.parent / "docs" / "a.md").rename(data.parent / "docs" / "b.md")
    ingest(data, data.parent / "docs", HashedWords(dimensions=DIMENSIONS))
    [only] = Catalog(data).finished("plant")
    with closing(DocumentStore(only.documents_path, writable=False)) as store:
        assert [item.id for item in store.summaries()] == ["b.md"]


FIELDS = '[filterable]\nscore = "float"\nbinding = "bool"\nreviewed = "datetime"\nlevel = "integer"\n'
SAID = "score: 4\nbinding: yes\nreviewed: 2023-06-01\nlevel: 3\nvalid_from: 2023-05\nweight: 1.0"


@pytest.mark.parametrize(
    "where",
    ["score=4", "score=4.0", "binding=yes", "binding=True", "reviewed=2023-06-01", "level=03", "valid_from=2023-05",
     "weight=1", "weight=1.0"],
)  # fmt: skip
def test_documents_go_by_a_value_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    settle(tmp_path / "data", monkeypatch)
    corpus = tmp_path / "corpus"
    (corpus / "documents").mkdir(parents=True)
    (corpus / "corpus.toml").write_text(FIELDS, "utf-8")
    (corpus / "documents" / "t.md").write_text(f"---\n{SAID}\n---\n# T\n\nTyped.", "utf-8")
    (corpus / "documents" / "other.md").write_text("# Other\n\nWithout any.", "utf-8")
    assert run("apply", str(corpus), "--domain", "typed") == 0
    assert run("delete", "--domain", "typed", "--where", "level=4") == 0
    assert run("delete", "--domain", "typed", "--where", where) == 0
    assert "1 documents, 1 chunks removed" in capsys.readouterr().out
    assert run("delete", "--domain", "typed", "--where", "nosuch=1") == 1
    assert "0 documents, 0 chunks removed; not there: a field 'nosuch'" in capsys.readouterr().out
    assert run("delete", "--domain", "typed", "--where", "level=high") == 2
    assert "level is declared as integer, and 'high' is none" in capsys.readouterr().err
