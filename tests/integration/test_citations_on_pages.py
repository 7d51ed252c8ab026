"""A citation of a PDF says where on its pages the words stand, also after a rebuild; what is in force is cited."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from ingest.backup import Backup, write
from ingest.copying import fill, opened
from ingest.rebuilding import rebuild
from ingest.target import Target
from rag.catalog import Catalog
from rag.documents import DocumentStore
from rag.types import Condition, Filter, Question
from tests.fakes import pdf_files
from tests.fakes.domains import DIMENSIONS, ingest, open_edge, open_pipeline
from tests.fakes.embedder import HashedWords


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    """A data directory with a PDF whose second page holds the fact."""
    source = tmp_path / "docs"
    source.mkdir()
    canvas = pdf_files.document(source / "pump.pdf")
    pdf_files.lines(canvas, "The pump stands in the yard. Nobody paints it.", 50, 700, 495)
    canvas.showPage()
    pdf_files.lines(canvas, "Its relief valve opens at 6.5 bar.", 50, 500, 495)
    canvas.showPage()
    canvas.save()
    ingest(tmp_path / "data", source, HashedWords(dimensions=DIMENSIONS))
    return tmp_path / "data"


def test_a_citation_says_page_and_box(domain: Path) -> None:
    with closing(open_pipeline(domain, lambda _: "It opens at 6.5 bar.")) as pipeline:
        answer = pipeline.answer(Question(text="At what pressure does the relief valve open?", domain="plant"))
    [citation] = answer.citations
    [box] = citation.boxes
    assert citation.quote == "Its relief valve opens at 6.5 bar."
    assert box.page == 2
    assert box.left == pytest.approx(50, abs=1)
    assert box.top < 842 - 500 < box.bottom


def test_places_outlive_a_rebuild_and_go_with_their_document(domain: Path) -> None:
    catalog = Catalog(domain)
    live = catalog.live("plant")
    target = Target(
        "plant",
        catalog=catalog,
        embedder=HashedWords(dimensions=64, name="other"),
        open_index=open_edge,
        backend="edge",
        create=False,
        afresh=True,
    )
    with closing(target):
        rebuild(target)
    old, new = (
        DocumentStore(generation.documents_path, writable=False) for generation in (live, catalog.live("plant"))
    )
    assert new.layout("pump.pdf") == old.layout("pump.pdf") != ()
    old.close()
    new.close()
    store = DocumentStore(catalog.live("plant").documents_path, writable=True)
    store.delete(["pump.pdf"])
    assert store.layout("pump.pdf") == ()
    store.close()


def test_places_are_in_a_backup_and_come_back(domain: Path, tmp_path: Path) -> None:
    file = tmp_path / "plant.tar"
    with opened(Catalog(domain).live("plant"), open_edge) as source:
        write(source, file)
    elsewhere = Catalog(tmp_path / "elsewhere")
    with closing(Backup(file)) as backup:
        target = Target(
            "plant", catalog=elsewhere, embedder=None, open_index=open_edge, backend="edge", create=True,
            fields=None, like=backup.manifest,
        )  # fmt: skip
        with closing(target):
            fill(target, backup, purpose=f"restore/{backup.digest}")
    old, new = (
        DocumentStore(catalog.live("plant").documents_path, writable=False) for catalog in (Catalog(domain), elsewhere)
    )
    assert new.layout("pump.pdf") == old.layout("pump.pdf") != ()
    old.close()
    new.close()


def test_what_is_in_force_answers_unless_a_year_or_a_filter_asks_for_what_was(tmp_path: Path) -> None:
    for year, price in (("2021", 80), ("2023", 95), ("2999", 200)):
        path = tmp_path / "corpus" / "documents" / year / "travel.md"
        path.parent.mkdir(parents=True)
        path.write_text(f"# Travel policy\n\nA night in a hotel may cost {price} euros.\n", "utf-8")
    (tmp_path / "corpus" / "corpus.toml").write_text('[[paths]]\npattern = "{valid_from}/*"\n', "utf-8")
    ingest(tmp_path / "data", tmp_path / "corpus", HashedWords(dimensions=DIMENSIONS))

    def found(text: str, filter: Filter = Filter()) -> set[str]:  # noqa: B008  # frozen
        passages = pipeline.passages(Question(text=text, domain="plant", filter=filter))
        return {passage.document_id.split("/")[0] for passage in passages}

    with closing(open_pipeline(tmp_path / "data")) as pipeline:
        assert found("What may a night in a hotel cost?") == {"2023"}
        assert found("What could a night in a hotel cost in 2022?") == {"2021"}
        future = Filter(conditions=(Condition(field="valid_from", gte="2900-01-01T00:00:00Z"),))
        assert found("What may a night in a hotel cost?", future) == {"2999"}
