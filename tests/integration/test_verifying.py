"""A stored domain is compared with its index chunk by chunk, and many are asked for at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingest.copying import opened as opened_copy
from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.verifying import verify
from rag.adapters.edge_index import EdgeIndex
from rag.catalog import Catalog
from rag.types import point_id
from tests.fakes.domains import open_edge, opened


@pytest.fixture
def data(tmp_path: Path) -> Path:
    source = tmp_path / "docs"
    source.mkdir()
    for number in range(300):
        (source / f"pump-{number}.md").write_text(f"# Pump {number}\n\nIt runs at {number} rpm.\n", "utf-8")
    with opened(tmp_path / "data") as target:
        apply(open_corpus(source), target)
    return tmp_path / "data"


def test_a_chunk_in_the_place_of_another_is_told_although_their_number_is_right(data: Path) -> None:
    with opened(data) as target:
        [lost] = target.store.chunks("pump-7.md")
        [chunk] = target.index.chunks([lost.id]).values()
        stray = point_id("plant", "pump-7.md", 1, 2, "0" * 64)
        target.index.upsert([replace(chunk, id=stray)])
        target.index.delete_chunks([lost.id])
        assert verify(target) == ["pump-7.md: the index holds 0 of its 1 chunks"]


def test_documents_with_more_chunks_in_the_index_than_they_have_are_named(data: Path) -> None:
    with opened(data) as target:
        [own] = target.store.chunks("pump-7.md")
        [chunk] = target.index.chunks([own.id]).values()
        target.index.upsert([replace(chunk, id=point_id("plant", "pump-7.md", 1, 2, "0" * 64))])
        assert verify(target) == [
            "the index holds 301 chunks, the 300 stored documents have 300",
            "pump-7.md: the index holds 2 of its 1 chunks",
        ]


def test_three_hundred_documents_are_looked_at_in_a_few_questions(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def count(name: str) -> None:
        plain = getattr(EdgeIndex, name)

        def counted(self: EdgeIndex, *arguments: object) -> object:
            asked.append(name)
            return plain(self, *arguments)

        monkeypatch.setattr(EdgeIndex, name, counted)

    for name in ("count", "vectors", "chunks"):
        count(name)
    with opened(data) as target:
        assert verify(target) == []
    assert sorted(asked) == ["count", "count", "vectors"]
    asked.clear()
    with opened_copy(Catalog(data).live("plant"), open_edge) as source:
        assert len(list(source.read())) == 300
    assert asked == ["chunks"]
