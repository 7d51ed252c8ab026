"""The default model as it ships: its adapter is found, is what its card says, reads, and can be left out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import Target
from rag.adapters.lora_files import SHIPPED, card_of
from rag.build import build_pipeline, open_catalog, open_embedder, open_index
from rag.catalog import Generation
from rag.pipeline import Pipeline
from rag.protocols import Index
from rag.settings import AnswerSettings, DataSettings, ModelSettings, Settings
from rag.types import Question

pytestmark = pytest.mark.slow

ADAPTER = SHIPPED / "smollm2-135m-instruct.gguf"
LARGEST = 12_000_000
"""Bytes that a shipped adapter may have."""
DOCUMENT = (
    "# Night ferry to Vesterholm\n\nThe night ferry leaves pier 7 at 22:40 from May to September. Tickets are sold by "
    "Marit Solheim in the harbour office. Bicycles travel free of charge, dogs pay 35 crowns. In winter the route is "
    "served by a bus.\n"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Path:
    folder = tmp_path_factory.mktemp("ferry")
    (folder / "source").mkdir()
    (folder / "source" / "ferry.md").write_text(DOCUMENT)
    settings = Settings(data=DataSettings(directory=lend(folder / "data")))
    embedder = open_embedder(settings)

    def made(generation: Generation, create: bool) -> Index:
        return open_index(settings, generation, create=create)

    target = Target(
        "ferry",
        catalog=open_catalog(settings),
        embedder=embedder,
        open_index=made,
        backend="edge",
        create=True,
    )
    apply(open_corpus(folder / "source"), target)
    target.close()
    embedder.close()
    return folder / "data"


def open_with(data: Path, adapter: str) -> Pipeline:
    model = ModelSettings(adapter=adapter, weights_format="as-shipped")
    return build_pipeline(
        Settings(data=DataSettings(directory=data), model=model, answer=AnswerSettings(min_confidence=0.0))
    )


@pytest.fixture(scope="module")
def tuned(data: Path) -> Iterator[Pipeline]:
    pipeline = open_with(data, "auto")
    yield pipeline
    pipeline.close()


def test_the_file_is_small_and_what_its_card_says() -> None:
    card = card_of(ADAPTER)
    assert card is not None
    assert ADAPTER.stat().st_size <= LARGEST
    assert hashlib.sha256(ADAPTER.read_bytes()).hexdigest() == card.sha256
    told = json.loads(ADAPTER.with_suffix(".json").read_text("utf-8"))
    assert {source["name"] for source in told["sources"]} == {
        "nq_evouna", "questions made from nq_evouna", "mirage_pubmed",
    }  # fmt: skip
    assert told["recipe"]["tasks"] == ["pubmedqa"], "no other part of that suite may be learned from"
    assert not set(card.trained) & set(card.checked)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Who sells the tickets for the night ferry?", "Marit Solheim"),
        ("When does the night ferry leave?", "22:40"),
        ("How much do dogs pay on the ferry?", "35 crowns"),
    ],
)
def test_it_answers_with_the_sentence_and_marks_the_words(tuned: Pipeline, question: str, words: str) -> None:
    assert tuned.model.adapter("ferry")
    answer = tuned.answer(Question(text=question, domain="ferry"))
    assert answer.basis == "span"
    assert words in answer.text
    (citation,) = answer.citations
    assert citation.focus is not None
    marked = stored_text(tuned, citation.document_id)[slice(*citation.focus)]
    assert marked
    assert marked in answer.text
    assert answer.confidence is not None
    assert answer.warning == ""


def test_what_the_document_does_not_say_gets_less_confidence(tuned: Pipeline) -> None:
    told = tuned.answer(Question(text="Who sells the tickets for the night ferry?", domain="ferry"))
    untold = tuned.answer(Question(text="Who is the captain of the night ferry?", domain="ferry"))
    assert told.confidence is not None
    assert untold.confidence is not None
    assert untold.confidence < told.confidence


def test_without_the_adapter_the_model_writes_and_is_checked(data: Path, tuned: Pipeline, tmp_path: Path) -> None:
    with_adapter = tuned.model.card
    assert tuned.model.adapter("ferry")
    shutil.copytree(data, tmp_path / "data")  # an embedded index has one owner
    plain = open_with(tmp_path / "data", "none")
    answer = plain.answer(Question(text="Who sells the tickets for the night ferry?", domain="ferry"))
    card, adapter = plain.model.card, plain.model.adapter("ferry")
    plain.close()
    assert adapter == ""
    assert card.fingerprint != with_adapter.fingerprint
    assert answer.basis in ("model", "quote")
    assert "Marit Solheim" in answer.text


def stored_text(pipeline: Pipeline, document_id: str) -> str:
    document = pipeline.document("ferry", document_id)
    assert document is not None
    return document.text
