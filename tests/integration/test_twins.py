"""Documents of equal content: renamed ones are told, whichever of them it was, and no text is embedded twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ingest.corpus import open_corpus
from ingest.plan import plan
from ingest.run import apply
from ingest.target import Target
from ingest.verifying import verify
from rag.catalog import Catalog
from tests.fakes import pdf_files
from tests.fakes.command_line import run, settle
from tests.fakes.domains import DIMENSIONS, open_edge
from tests.fakes.embedder import HashedWords

TEXT = "# Valve\n\nThe valve opens at 3 bar."


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for name in ("a.md", "b.md"):
        (tmp_path / "docs" / name).write_text(TEXT, "utf-8")
    return tmp_path / "docs"


@contextmanager
def opened(source: Path, embedder: HashedWords | None = None) -> Iterator[Target]:
    target = Target(
        "plant",
        catalog=Catalog(source.parent / "data"),
        embedder=embedder or HashedWords(dimensions=DIMENSIONS),
        open_index=open_edge,
        backend="edge",
        create=True,
    )
    with closing(target):
        yield target


def test_two_new_documents_of_the_same_words_are_embedded_once(source: Path) -> None:
    embedder = HashedWords(dimensions=DIMENSIONS)
    with opened(source, embedder) as target:
        told = plan(open_corpus(source), target)
        sampled = len(embedder.embedded)
        summary = apply(open_corpus(source), target)
        assert verify(target) == []
        first, second = (target.store.chunks(name)[0].id for name in ("a.md", "b.md"))
        vectors = target.index.vectors([first, second])
    assert embedder.embedded[sampled:] == ["Valve\nThe valve opens at 3 bar."]
    assert (summary.chunks, summary.reused) == (told.chunks, told.reused) == (1, 1)
    assert vectors[first].tolist() == vectors[second].tolist()


@pytest.mark.parametrize("name", ["a.md", "b.md"])
def test_whichever_of_two_equal_documents_is_renamed_has_moved(source: Path, name: str) -> None:
    with opened(source) as target:
        apply(open_corpus(source), target)
    (source / name).rename(source / "c.md")
    with opened(source) as target:
        told = plan(open_corpus(source), target, prune=True)
        summary = apply(open_corpus(source), target, prune=True)
    assert (told.moved, told.new, told.gone) == ([(name, "c.md")], [], [])
    assert (summary.moved, summary.new, summary.removed) == (1, 0, 0)


def test_both_of_two_equal_documents_may_move_at_once(source: Path) -> None:
    with opened(source) as target:
        apply(open_corpus(source), target)
    (source / "a.md").rename(source / "c.md")
    (source / "b.md").rename(source / "d.md")
    with opened(source) as target:
        told = plan(open_corpus(source), target, prune=True)
    assert (told.moved, told.new, told.gone) == ([("a.md", "c.md"), ("b.md", "d.md")], [], [])


def test_a_plan_names_what_was_renamed_also_where_the_old_one_is_kept(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(source) as target:
        apply(open_corpus(source), target)
    (source / "b.md").rename(source / "c.md")
    settle(source.parent / "data", monkeypatch)
    assert run("plan", str(source), "--domain", "plant", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["renamed"], said["moved"], said["new"], said["gone"]) == ([["b.md", "c.md"]], [], ["c.md"], ["b.md"])
    assert run("plan", str(source), "--domain", "plant") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "renamed, the old one kept without --prune: b.md -> c.md"
    assert lines[1].startswith("plant: 1 new, 0 changed, 0 moved, 1 unchanged, 0 removed, 0 unreadable; ")


def test_a_document_that_lacks_pages_is_told_by_every_plan_and_run(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ingest.ocr.available", lambda: False)
    monkeypatch.setenv("PATH", "")  # the process that reads finds no OCR either
    pdf_files.scanned(source / "some.pdf", text_page="Real words.")
    settle(source.parent / "data", monkeypatch)
    partly = {"source": "some.pdf", "pages": "2, 3"}
    for command in ("plan", "apply", "plan", "apply"):
        code = run(command, str(source), "--domain", "plant", "--json")
        assert (code, json.loads(capsys.readouterr().out)["partly"]) == (0, [partly])
    assert run("apply", str(source), "--domain", "plant") == 0
    out, err = capsys.readouterr()
    assert out.startswith("plant: 0 new, 0 changed, 3 unchanged, 0 removed, 0 unreadable, 1 partly read; ")
    assert "partly read: some.pdf: its pages 2, 3 are scanned or damaged; OCR reads them" in err
