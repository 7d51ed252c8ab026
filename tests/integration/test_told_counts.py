"""What plan and apply tell is what becomes of a domain: after an interruption, and where something cannot be read."""

from __future__ import annotations

import errno
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest import chunkers, writing
from ingest.corpus import Corpus, open_corpus
from ingest.plan import Plan, plan
from ingest.rebuilding import rebuild
from ingest.run import Summary, apply
from ingest.target import Target
from ingest.verifying import verify
from rag.catalog import Catalog
from rag.errors import IndexUnavailable, InvalidCorpus
from tests.fakes.domains import DIMENSIONS, open_edge, opened
from tests.fakes.embedder import HashedWords

LETTERS = {f"{letter}.md": f"# {letter}\n\n{letter} runs at {ord(letter)} rpm." for letter in "abcdefgh"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder, LETTERS)
    with opened(tmp_path / "data") as target:
        apply(open_corpus(folder), target)
    return folder


def write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def planned(source: Path, *, prune: bool = True) -> Plan:
    with opened(source.parent / "data") as target:
        return plan(open_corpus(source), target, prune=prune)


def applied(source: Path, *, prune: bool = True) -> Summary:
    with opened(source.parent / "data") as target:
        summary = apply(open_corpus(source), target, prune=prune)
        assert verify(target) == []
    return summary


def counts(told: Plan | Summary) -> tuple[int, ...]:
    """(new, changed, moved, unchanged, gone)."""
    if isinstance(told, Plan):
        return (len(told.new), len(told.changed), len(told.moved), told.unchanged, len(told.gone))
    return (told.new, told.changed, told.moved, told.unchanged, told.removed)


def held(source: Path) -> list[str]:
    with opened(source.parent / "data") as target:
        return [item.id for item in target.summaries()]


@pytest.mark.parametrize("place", ["write", "promote"])
def test_a_run_that_goes_on_tells_all_that_becomes_live_by_it(
    source: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    write(source, {"a.md": "# a\n\nChanged.", "new.md": "# New\n\nNew."})
    (source / "b.md").rename(source / "moved.md")
    (source / "c.md").unlink()
    told = counts(planned(source))
    assert told == (1, 1, 1, 5, 1)
    whole = getattr(Target, place)

    def dies(self: Target, *arguments: Any) -> Any:
        if place == "write":
            whole(self, *arguments)
        raise IndexUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(writing, "GROUP_CHUNKS", 1)
        patched.setattr(Target, place, dies)
        with opened(source.parent / "data") as target, pytest.raises(IndexUnavailable):
            apply(open_corpus(source), target, prune=True)
    assert counts(planned(source)) == told
    assert counts(applied(source)) == told
    assert counts(applied(source)) == (0, 0, 0, 8, 0)


def test_what_an_interrupted_run_changed_and_its_source_took_back_is_as_it_was(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, {"a.md": "# a\n\nChanged."})
    with monkeypatch.context() as patched, opened(source.parent / "data") as target:
        patched.setattr(Target, "promote", lambda _: (_ for _ in ()).throw(IndexUnavailable("gone")))
        with pytest.raises(IndexUnavailable):
            apply(open_corpus(source), target, prune=True)
    write(source, LETTERS)
    assert counts(applied(source)) == (0, 0, 0, 8, 0)
    with opened(source.parent / "data") as target:
        document = target.store.get("a.md")
    assert document is not None
    assert document.text.strip().endswith("a runs at 97 rpm.")


def test_a_rebuild_that_goes_on_tells_of_every_document(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunkers, "FINGERPRINT", chunkers.FINGERPRINT + "+")
    monkeypatch.setattr(writing, "GROUP_CHUNKS", 1)
    whole = Target.write
    done: list[int] = []

    def dies(self: Target, *arguments: Any) -> int:
        if len(done) == 3:
            raise IndexUnavailable("gone")
        done.append(1)
        return whole(self, *arguments)

    with monkeypatch.context() as patched, opened(source.parent / "data", afresh=True) as target:
        patched.setattr(Target, "write", dies)
        with pytest.raises(IndexUnavailable):
            rebuild(target)
    with opened(source.parent / "data", afresh=True) as target:
        summary = rebuild(target)
    assert (summary.changed, summary.unchanged) == (8, 0)


def test_plan_counts_the_same_texts_as_apply_where_documents_exchange_them(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "GROUP_CHUNKS", 2)
    texts = list(LETTERS.values())
    write(source, dict(zip(LETTERS, texts[3:] + texts[:3], strict=True)))
    told = planned(source)
    done = applied(source)
    assert (told.chunks, told.reused) == (done.chunks, done.reused)
    assert done.reused > 0


def test_nothing_of_a_folder_that_cannot_be_read_is_taken_for_gone(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, {"deep/er/x.md": "# X\n\nDeep.", "deep/y.md": "# Y\n\nDeep."})
    applied(source)
    (source / "a.md").unlink()
    scan = os.scandir

    def refused(path: Any = ".") -> Any:
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    told = planned(source)
    assert [(item.source, item.reason) for item in told.unreadable] == [
        ("deep", "the folder cannot be read: Permission denied")
    ]
    assert told.gone == ["a.md"]
    summary = applied(source)
    assert (summary.removed, len(summary.unreadable)) == (1, 1)
    assert {"deep/er/x.md", "deep/y.md"} < set(held(source))


def test_a_file_that_cannot_be_looked_at_is_listed(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Path.is_file

    def refused(self: Path) -> bool:
        if self.name == "b.md":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return looked(self)

    monkeypatch.setattr(Path, "is_file", refused)
    told = planned(source)
    assert [(item.source, item.reason) for item in told.unreadable] == [
        ("b.md", "the file cannot be read: Permission denied")
    ]
    assert told.gone == []


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    folder = tmp_path / "rows"
    rows(folder, *({"id": name, "text": f"{name} runs."} for name in "abc"))
    with opened(tmp_path / "data") as target:
        apply(open_corpus(folder), target)
    return folder


def rows(folder: Path, *lines: dict[str, str] | str) -> None:
    written = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    write(folder, {"x.jsonl": "\n".join(written) + "\n"})


def test_an_unreadable_row_keeps_its_document_wherever_it_stands_now(lines: Path) -> None:
    rows(lines, {"id": "z", "text": "New."}, {"id": "a", "text": "a runs."}, {"id": "b", "text": ""})
    told = planned(lines)
    assert (told.new, told.gone) == (["z"], ["c"])
    assert [item.source for item in told.unreadable] == ["x.jsonl#3"]
    applied(lines)
    assert held(lines) == ["a", "b", "z"]


def test_where_not_even_a_rows_id_can_be_read_no_row_of_its_file_is_taken_for_gone(lines: Path) -> None:
    rows(lines, {"id": "a", "text": "a runs."}, '{"id": "b", "te')
    assert planned(lines).gone == []
    applied(lines)
    assert held(lines) == ["a", "b", "c"]


def test_a_row_whose_id_is_taken_keeps_no_other_row(lines: Path) -> None:
    rows(lines, {"id": "a", "text": "a runs."}, {"id": "a", "text": "Twice."})
    assert planned(lines).gone == ["b", "c"]


def test_of_a_folder_without_files_its_path_is_wrong_whatever_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "corpus.toml").write_text("[corpus]\ntitle = 'Empty'\n", "utf-8")
    for folder in (tmp_path, tmp_path / "documents"):
        with pytest.raises(InvalidCorpus, match="holds no file: give a folder of documents"):
            open_corpus(folder)


def test_a_title_and_language_that_are_declared_anew_are_taken_over_and_change_no_document(tmp_path: Path) -> None:
    def bring(title: str = "", language: str = "") -> tuple[str, str, str, int]:
        target = Target(
            "plant", catalog=Catalog(tmp_path / "data"), embedder=HashedWords(dimensions=DIMENSIONS),
            open_index=open_edge, backend="edge", create=True, title=title, language=language,
        )  # fmt: skip
        with closing(target):
            summary = apply(open_corpus(tmp_path / "docs"), target)
        manifest = Catalog(tmp_path / "data").live("plant").manifest
        return manifest.title, manifest.language, manifest.generation, summary.unchanged

    write(tmp_path / "docs", LETTERS)
    assert bring() == ("", "", "g000001", 0)
    assert bring("Plant", "en") == ("Plant", "en", "g000001", 8)
    assert bring("The plant") == ("The plant", "en", "g000001", 8)
    assert bring() == ("The plant", "en", "g000001", 8)
    write(tmp_path / "docs", {"a.md": "# a\n\nChanged."})
    assert bring("Second edition", "en") == ("Second edition", "en", "g000002", 7)


def test_documents_of_another_source_that_are_typed_otherwise_are_told(source: Path) -> None:
    other = source.parent / "other"
    write(
        other, {"corpus.toml": '[filterable]\nyear = "integer"\n', "documents/z.md": "---\nyear: 2020\n---\n# Z\n\nZ."}
    )
    corpus = open_corpus(other)

    def bring(act: Any, of: Corpus) -> int:
        target = Target(
            "plant", catalog=Catalog(source.parent / "data"), embedder=HashedWords(dimensions=DIMENSIONS),
            open_index=open_edge, backend="edge", create=True, fields=corpus.declaration.filterable,
        )  # fmt: skip
        with closing(target):
            return int(act(of, target).otherwise)

    assert (bring(plan, corpus), bring(apply, corpus)) == (8, 8)
    assert (bring(plan, open_corpus(source)), bring(apply, open_corpus(source))) == (0, 0)
    assert bring(apply, corpus) == 0
