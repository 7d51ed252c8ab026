"""What an answer costs once nobody waits for it, and what it rests on as long as it is kept for the next who asks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rag.catalog import Catalog
from rag.errors import Cancelled, UnknownDomain
from rag.pipeline import Pipeline
from rag.protocols import Vectors
from rag.types import Question
from tests.fakes.domains import LIMITS, ingest, open_edge, open_pipeline
from tests.fakes.embedder import HashedWords
from tests.fakes.language_model import FakeLanguageModel

PUMP = "# Pump P-214\n\nPump P-214 feeds the reactor. Its relief valve opens at 6.5 bar.\n"


def folder(tmp_path: Path) -> None:
    """A domain `plant` of one document."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pump.md").write_text(PUMP)
    ingest(tmp_path / "data", source, HashedWords(dimensions=256))


@pytest.mark.parametrize("leaves_at", [1, 2])
def test_a_caller_who_leaves_while_texts_are_embedded_costs_no_more_than_that_call(
    tmp_path: Path, leaves_at: int
) -> None:
    class Slow(HashedWords):
        """Tells how often it was asked, and takes its time."""

        calls = 0

        def embed(self, texts: Sequence[str]) -> Vectors:
            self.calls += 1
            time.sleep(0.05)
            return super().embed(texts)

    folder(tmp_path)
    embedder, model = Slow(dimensions=256), FakeLanguageModel()
    pipeline = Pipeline(
        catalog=Catalog(tmp_path / "data"), embedder=embedder, model=model, open_index=open_edge, limits=LIMITS
    )
    question = Question(text="At what pressure does the relief valve open?", domain="plant")
    try:
        with pytest.raises(Cancelled):
            pipeline.answer(question, cancelled=lambda: embedder.calls >= leaves_at)
        assert (embedder.calls, model.prompts) == (leaves_at, [])
        assert pipeline.answer(question).citations, "nobody left"
    finally:
        pipeline.close()


def test_what_an_answer_rests_on_changes_with_the_documents_and_the_calibration(tmp_path: Path) -> None:
    folder(tmp_path)
    pipeline = open_pipeline(tmp_path / "data")
    first = pipeline.state("plant")
    assert pipeline.state("plant") == first
    Catalog(tmp_path / "data").calibration_path("plant").write_text("{}")
    fitted = pipeline.state("plant")
    ingest(tmp_path / "data", tmp_path / "source", HashedWords(dimensions=256), domain="other")
    assert fitted == pipeline.state("plant") != first
    assert pipeline.state("other") != fitted
    with pytest.raises(UnknownDomain):
        pipeline.state("nowhere")
    pipeline.close()
