"""Texts that a reader would take for the same, and texts that differ where it matters."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rag.documents import DocumentStore
from rag.likeness import alike, words_of, words_sha256
from rag.types import Document

LONG = (
    "The pump is started from the control room after the cooling water has reached the pressure of 3.5 bar and the "
    "shift lead has signed the sheet. It runs until the tank is full and is then stopped by the same person."
)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (LONG.upper().replace(" ", "\n"), True),
        (LONG.replace("the same person", "that same person"), True),
        (LONG[: LONG.index(" It runs")], False),
        (LONG.replace("3.5", "4.5"), False),
        (LONG.replace("is then stopped", "is not stopped"), False),
        (LONG.replace("The pump", "The Norrvik pump"), False),
        (LONG.replace("the shift lead has signed the sheet", "nothing drips from the seal any more"), False),
    ],
)
def test_a_few_words_may_differ_but_none_that_matters(other: str, same: bool) -> None:
    assert alike(words_of(LONG), words_of(other)) is same


def test_twenty_passages_are_compared_within_milliseconds() -> None:
    texts = [" ".join(f"word{(i * j) % 97}" for j in range(130)) for i in range(1, 21)]
    begin = time.process_time()
    found = [words_of(text) for text in texts]
    assert not any(alike(a, b) for i, a in enumerate(found) for b in found[:i])
    assert time.process_time() - begin < 0.05


def test_documents_of_the_same_words_are_linked_to_the_first(tmp_path: Path) -> None:
    def document(name: str, text: str) -> tuple[Document, str, tuple[()]]:
        return Document(id=name, title=name, text=text, file_sha256=name, source=name), "recipe", ()

    store = DocumentStore(tmp_path / "documents.sqlite", writable=True)
    store.commit([document("a", "# Pump\n\nIt runs."), document("b", "Pump: it runs"), document("c", "It runs")])
    assert [(item.id, item.same_as) for item in store.summaries()] == [("a", ""), ("b", "a"), ("c", "")]
    store.delete(["a"])
    assert [(item.id, item.same_as) for item in store.summaries()] == [("b", ""), ("c", "")]
    store.close()
    assert words_sha256("…") == ""
