"""A folder chooses its chunker: in its recipe, so that another choice is a change, and kept when it is built anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.chunkers import CHUNKERS, chunks_of
from ingest.corpus import open_corpus
from ingest.rebuilding import rebuild
from ingest.run import Summary, apply
from ingest.verifying import verify
from rag.catalog import Catalog
from rag.errors import IncompatibleIndex, InvalidCorpus
from tests.fakes.domains import opened

TEXT = "# Round\n\n" + " ".join(f"Sentence {n} tells of valve V-{n}." for n in range(40))
ROWS = "".join(f"| V-{n} | {n * 3} | in hall {n % 4}, behind the northern door |\n" for n in range(60))


def corpus(folder: Path, declared: str) -> Path:
    (folder / "documents" / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "documents" / "round.md").write_text(TEXT, "utf-8")
    (folder / "documents" / "logs" / "night.md").write_text(TEXT, "utf-8")
    (folder / "corpus.toml").write_text(declared, "utf-8")
    return folder


def bring(data: Path, source: Path) -> Summary:
    with opened(data) as target:
        summary = apply(open_corpus(source), target)
        assert verify(target) == []
        return summary


def stored(data: Path, name: str) -> str:
    """The chunker that gives the chunks that are stored of a document."""
    with opened(data) as target:
        document, spans = target.store.get(name), [(chunk.start, chunk.end) for chunk in target.store.chunks(name)]
        assert document is not None
        [fitting] = [
            name
            for name, chunker in CHUNKERS.items()
            if name not in ("rows", "code") and [(c.start, c.end) for c in chunks_of(document, chunker)] == spans
        ]
        return fitting


def test_a_folder_chooses_and_another_choice_is_a_change(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "corpus"
    assert bring(data, corpus(source, "")).new == 2
    assert stored(data, "round.md") == "sections"
    changed = bring(data, corpus(source, 'chunker = "window"'))
    assert (changed.changed, changed.unchanged) == (2, 0)
    assert stored(data, "round.md") == "window"
    part = 'chunker = "window"\n[[paths]]\npattern = "logs/**"\nchunker = "tokens"'
    assert (bring(data, corpus(source, part)).changed, stored(data, "logs/night.md")) == (1, "tokens")
    again = bring(data, source)
    assert (again.changed, again.unchanged, again.chunks) == (0, 2, 0)


def test_what_is_built_anew_keeps_the_choice(tmp_path: Path) -> None:
    data, source = tmp_path / "data", corpus(tmp_path / "corpus", 'chunker = "window"')
    bring(data, source)
    with opened(data, afresh=True) as target:
        assert rebuild(target).changed == 2
    assert stored(data, "round.md") == "window"
    assert bring(data, source).unchanged == 2


def test_a_domain_split_by_another_version_is_refused_until_it_is_built_anew(tmp_path: Path) -> None:
    data, source = tmp_path / "data", corpus(tmp_path / "corpus", "")
    bring(data, source)
    catalog = Catalog(data)
    live = catalog.live("plant")
    catalog.update(live, live.manifest.model_copy(update={"chunker_fingerprint": "sections-1/120/170/840/240"}))
    with pytest.raises(IncompatibleIndex, match="rebuild --domain plant"), opened(data):
        pass


def test_an_unknown_chunker_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidCorpus, match=r"chunker.*'sections', 'tokens', 'window', 'rows' or 'code'"):
        open_corpus(corpus(tmp_path, 'chunker = "pages"'))


def test_a_row_far_down_a_table_is_found_by_its_columns_name(tmp_path: Path) -> None:
    source = tmp_path / "valves"
    source.mkdir()
    (source / "valves.md").write_text(f"# Valves\n\n| Valve | Pressure in bar | Place |\n| --- | --- | --- |\n{ROWS}")
    data = tmp_path / "data"
    bring(data, source)
    with opened(data) as target:
        names = [chunk.id for chunk in target.store.chunks("valves.md")]
        written = target.index.chunks(names)
    assert len(names) > 5
    assert all("Pressure in bar" in chunk.search_text for chunk in written.values())
