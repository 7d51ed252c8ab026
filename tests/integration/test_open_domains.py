"""Domains that are open for questions: what an asker holds, and who waits while a generation is being opened."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from rag.catalog import Catalog, Generation
from rag.errors import UnknownDomain
from rag.open_domains import OpenDomains
from rag.protocols import Index
from tests.fakes.domains import DIMENSIONS, ingest, open_edge
from tests.fakes.embedder import HashedWords


def written(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.md").write_text(f"# {name}\n\nThe {name} is here.")
    return folder


class Slow:
    """Opens a shard, and waits in the middle of it when told to."""

    def __init__(self) -> None:
        self.wait = False
        self.opening, self.go_on = Event(), Event()

    def __call__(self, generation: Generation) -> Index:
        if self.wait:
            self.opening.set()
            assert self.go_on.wait(20)
        return open_edge(generation)


def test_while_a_generation_is_being_opened_nobody_else_waits(tmp_path: Path) -> None:
    data, embedder, slow = tmp_path / "data", HashedWords(dimensions=DIMENSIONS), Slow()
    ingest(data, written(tmp_path / "gates", "gate"), embedder, "gates")
    ingest(data, written(tmp_path / "pumps", "pump"), embedder, "pumps")
    domains = OpenDomains(Catalog(data), embedder, slow)
    old = domains.get("pumps")
    domains.get("gates")
    ingest(data, written(tmp_path / "pumps", "valve"), embedder, "pumps")
    slow.wait = True
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(domains.get, "pumps")
        assert slow.opening.wait(20)
        assert domains.get("pumps") is old, "the generation before it answers meanwhile"
        assert domains.get("gates").documents.counts() == (1, 1)
        slow.go_on.set()
        new = first.result(20)
    assert new.documents.counts() == (2, 2)
    assert domains.get("pumps") is new
    domains.close()


def test_a_domain_that_was_deleted_meanwhile_answers_nothing(tmp_path: Path) -> None:
    data, embedder, slow = tmp_path / "data", HashedWords(dimensions=DIMENSIONS), Slow()
    ingest(data, written(tmp_path / "pumps", "pump"), embedder, "pumps")
    domains = OpenDomains(Catalog(data), embedder, slow)
    domains.get("pumps")
    ingest(data, written(tmp_path / "pumps", "valve"), embedder, "pumps")
    slow.wait = True
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(domains.get, "pumps")
        assert slow.opening.wait(20)
        shutil.rmtree(data / "domains" / "pumps")
        with pytest.raises(UnknownDomain):
            domains.get("pumps")
        slow.go_on.set()
        with pytest.raises(UnknownDomain):
            first.result(20)
    with pytest.raises(UnknownDomain):
        domains.get("pumps")
    domains.close()
