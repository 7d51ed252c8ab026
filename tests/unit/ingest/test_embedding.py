"""Documents come out of the embedder one after the other as they are whole, each with the vectors of its own texts."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from ingest.chunkers import chunks_of
from ingest.embedding import LEAST_CHUNKS, SLICE_CHUNKS, Embedded, Group, Ready, embed, embedded_text
from ingest.lending import Lender
from ingest.target import Target
from rag.types import Document
from tests.fakes.domains import DIMENSIONS, opened
from tests.fakes.embedder import PART, HashedWords


def ready(name: str, text: str) -> Ready:
    document = Document(id=name, title="", text=text, file_sha256="0" * 64, source=f"{name}.md")
    return Ready(document, "", chunks_of(document))


def some_documents(count: int) -> list[Ready]:
    """Of one to three chunks each, of many lengths, every tenth with the words of the one before."""
    draw = random.Random(0)
    texts: list[str] = []
    for number in range(count):
        parts = [
            f"## Part {part}\n\n" + " ".join(draw.choices(["pump", "valve", "hose", "seal"], k=draw.randint(3, 60)))
            for part in range(draw.randint(1, 3))
        ]
        texts.append(texts[-1] if number % 10 == 9 else "\n\n".join(parts))
    return [ready(f"d{number}", text) for number, text in enumerate(texts)]


def prepared(documents: list[Ready], target: Target, embedder: HashedWords) -> Group:
    return Group(documents, "plant", embedder, Lender(target.store, target.index))


def pieces(group: list[Ready], folder: Path, embedder: HashedWords, *, gentle: bool = False) -> list[Embedded]:
    with opened(folder) as target:
        target.change()
        given = embed(prepared(group, target, embedder), embedder, gentle=gentle)
        return list(given)


def test_whole_documents_are_given_out_while_others_of_the_group_wait(tmp_path: Path) -> None:
    embedder = HashedWords(dimensions=DIMENSIONS)
    group = [ready(f"d{number}", "word " * (1 + number % 90) + str(number)) for number in range(700)]
    with opened(tmp_path) as target:
        target.change()
        given = embed(prepared(group, target, embedder), embedder)
        seen = [(len(embedder.embedded), len(done.documents)) for done in given]
    assert (SLICE_CHUNKS, LEAST_CHUNKS, PART) == (256, 16, 8)
    assert seen == [(256, 256), (480, 224), (592, 112), (648, 56), (680, 32), (696, 16), (700, 4)]


@pytest.mark.parametrize("gentle", [False, True])
def test_every_document_is_given_out_once_with_the_vectors_of_its_own_texts(tmp_path: Path, gentle: bool) -> None:
    group, embedder = some_documents(300), HashedWords(dimensions=DIMENSIONS)
    given = pieces(group, tmp_path, embedder, gentle=gentle)
    assert len(given) > 1
    assert sorted(item.document.id for done in given for item in done.documents) == sorted(
        item.document.id for item in group
    )
    for done in given:
        chunks = [chunk for document in done.chunks() for chunk in document]
        wanted = HashedWords(dimensions=DIMENSIONS).embed([chunk.search_text for chunk in chunks])
        assert np.array_equal(np.stack([chunk.vector for chunk in chunks]), wanted)
        assert [chunk.document_id for chunk in chunks] == [
            item.document.id for item in done.documents for _ in item.chunks
        ]
    assert len(embedder.embedded) == len(set(embedder.embedded)) == sum(done.computed for done in given)
    assert sum(len(done.vectors) for done in given) > len(embedder.embedded)  # some texts stand there twice


def test_the_order_is_the_same_whatever_the_calls_are(tmp_path: Path) -> None:
    group = some_documents(200)
    orders = [
        [
            item.document.id
            for done in pieces(group, tmp_path / name, HashedWords(dimensions=DIMENSIONS), gentle=gentle)
            for item in done.documents
        ]
        for name, gentle in (("alone", False), ("gentle", True))
    ]
    assert orders[0] == orders[1]


def test_what_is_told_adds_up_to_the_group(tmp_path: Path) -> None:
    group, told, embedder = some_documents(120), [], HashedWords(dimensions=DIMENSIONS)
    with opened(tmp_path) as target:
        target.change()
        list(embed(prepared(group, target, embedder), embedder, tell=lambda *n: told.append(n)))
    chunks, documents, characters = (sum(column) for column in zip(*told, strict=True))
    texts = [embedded_text(item.document, chunk) for item in group for chunk in item.chunks]
    assert (chunks, documents, characters) == (len(set(texts)), len(group), sum(map(len, texts)))
