"""What a chunk stands under is in no store, so a copy has to find it again: or its words are lost to the search."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from ingest.backup import Backup, write
from ingest.copying import fill, opened
from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import OpenIndex
from rag.catalog import Catalog
from rag.types import Filter, RetrievalMode
from tests.fakes.domains import DIMENSIONS, open_edge
from tests.fakes.embedder import HashedWords
from tests.integration.test_copies import shared, target_of

FILLING = "The pump is looked at by two people, and what they see is written into the book of the shift. "
MANUAL = "# Keys\n\nquarantine=\n" + "".join(f"    {n}. {FILLING}\n" for n in range(1, 30))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "keys.md").write_text(MANUAL, "utf-8")
    return tmp_path / "data"


def found(data: Path, open_index: OpenIndex = open_edge) -> list[tuple[int, float | None]]:
    """The passages that say the term, or stand under it, with their scores by words."""
    index = open_index(Catalog(data).live("plant"), False)
    with closing(index):
        nowhere = np.zeros(DIMENSIONS, np.float32)
        passages = index.search(vector=nowhere, text="quarantine", limit=50, mode=RetrievalMode.BM25, filter=Filter())
    return sorted((passage.start, passage.bm25_score) for passage in passages)


@pytest.mark.parametrize("way", ["backup", "server"])
def test_a_copied_chunk_is_still_found_by_what_it_stands_under(data: Path, tmp_path: Path, way: str) -> None:
    embedder = HashedWords(dimensions=DIMENSIONS)
    with target_of(data, embedder) as target:
        apply(open_corpus(tmp_path / "docs"), target)
    before = found(data)
    assert len(before) > 2
    with opened(Catalog(data).live("plant"), open_edge) as source:
        texts = {chunk.search_text for _, chunks in source.read() for chunk in chunks}
        assert texts == set(embedder.embedded)
        if way == "backup":
            write(source, tmp_path / "plant.tar")
    if way == "backup":
        copy = tmp_path / "copy"
        with closing(Backup(tmp_path / "plant.tar")) as file, target_of(copy, like=file.manifest) as target:
            fill(target, file, purpose="restore")
        assert found(copy) == before
        return
    server = shared(QdrantClient(":memory:"))
    with opened(Catalog(data).live("plant"), open_edge) as source:
        like = source.manifest
        with target_of(data, open_index=server, backend="server", like=like) as target:
            fill(target, source, purpose="migrate")
    assert [start for start, _ in found(data, server)] == [start for start, _ in before]
