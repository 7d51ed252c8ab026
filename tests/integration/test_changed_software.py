"""What was read, or whose words were weighed, by other software than today's is noticed: read again, or refused."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import ocr, readers
from ingest.corpus import open_corpus
from ingest.opening import open_target
from ingest.readers import reader_for
from ingest.rebuilding import rebuild
from ingest.run import Summary, apply
from rag.build import open_catalog, open_index, words_fingerprint
from rag.errors import IncompatibleIndex
from rag.settings import DataSettings, Settings
from tests.fakes.domains import DIMENSIONS
from tests.fakes.embedder import HashedWords


@pytest.fixture(autouse=True)
def _versions() -> Iterator[None]:
    readers._version.cache_clear()
    yield
    readers._version.cache_clear()


def bring(settings: Settings, source: Path) -> Summary:
    target = open_target(settings, "plant", HashedWords(dimensions=DIMENSIONS), create=True)
    try:
        return apply(open_corpus(source), target)
    finally:
        target.close()


def newer(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99" if name == library else version(name))
    readers._version.cache_clear()


def test_another_version_of_a_library_has_its_formats_read_again_and_nothing_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=DataSettings(directory=tmp_path / "data"))
    source = tmp_path / "docs"
    source.mkdir()
    (source / "a.html").write_text("<html><body><h1>Pump</h1><p>It runs at 300 rpm.</p></body></html>", "utf-8")
    (source / "b.md").write_text("# Valve\n\nIt opens at 3 bar.", "utf-8")
    assert bring(settings, source).new == 2
    newer(monkeypatch, "lxml")
    again = bring(settings, source)
    assert (again.changed, again.unchanged, again.chunks, again.reused) == (1, 1, 0, 1)
    assert bring(settings, source).unchanged == 2


def test_pdfs_are_read_again_once_ocr_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprints(there: bool) -> tuple[str, str]:
        monkeypatch.setattr(ocr, "available", lambda: there)
        return reader_for(Path("a.pdf")).fingerprint, reader_for(Path("a.md")).fingerprint

    (pdf, markdown), (pdf_with, markdown_with) = fingerprints(False), fingerprints(True)
    assert pdf != pdf_with
    assert markdown == markdown_with


def test_the_cleaner_and_the_library_of_a_format_are_in_what_is_said_of_its_reader() -> None:
    parts = reader_for(Path("a.pdf")).fingerprint.split("+")
    assert parts[:3] == ["pdf-3", "clean-2", f"pypdfium2-{importlib.metadata.version('pypdfium2')}"]


def test_other_weights_of_words_are_refused_until_the_domain_is_built_anew(tmp_path: Path) -> None:
    settings = Settings(data=DataSettings(directory=tmp_path / "data"))
    source = tmp_path / "docs"
    source.mkdir()
    (source / "b.md").write_text("# Valve\n\nIt opens at 3 bar.", "utf-8")
    bring(settings, source)
    catalog = open_catalog(settings)
    live = catalog.live("plant")
    assert live.manifest.words_fingerprint == words_fingerprint()
    older = catalog.update(live, live.manifest.model_copy(update={"words_fingerprint": ""}))
    open_index(settings, older, create=False).close()
    other = catalog.update(live, live.manifest.model_copy(update={"words_fingerprint": "f" * 16}))
    with pytest.raises(IncompatibleIndex, match="ingest rebuild --domain plant"):
        open_index(settings, other, create=False)
    (source / "c.md").write_text("# Pump\n\nIt runs.", "utf-8")
    with pytest.raises(IncompatibleIndex, match="other weights of words"):
        bring(settings, source)
    target = open_target(settings, "plant", HashedWords(dimensions=DIMENSIONS), create=False, afresh=True)
    assert rebuild(target).changed == 1
    target.close()
    assert bring(settings, source).new == 1
