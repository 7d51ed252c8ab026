"""Texts that a reader would take for the same, and texts that differ where it matters."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest

from rag.documents import DocumentStore
from rag.likeness import alike, lowered, sketch, words_of, words_sha256
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
    assert words_sha256(lowered("…")) == ""


def stored(name: str, text: str) -> tuple[Document, str, tuple[()]]:
    return Document(id=name, title=name, text=text, file_sha256=name, source=name), "recipe", ()


def links(store: DocumentStore) -> dict[str, str]:
    return {item.id: item.same_as for item in store.summaries()}


def test_documents_of_nearly_the_same_words_are_linked_and_others_are_not(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path / "documents.sqlite", writable=True)
    near = LONG.replace("the same person", "that same person")
    store.commit([stored("a", LONG), stored("b", near), stored("c", LONG.replace("3.5", "4.5"))])
    store.commit([stored("d", LONG.replace("is then stopped", "is not stopped")), stored("e", "漢字 ! …")])
    assert links(store) == {"a": "", "b": "a", "c": "", "d": "", "e": ""}
    store.commit([stored("B", near)])
    assert links(store) == {"B": "", "a": "B", "b": "B", "c": "", "d": "", "e": ""}
    store.commit([stored("B", "It says something else now, of another pump in another hall.")])
    assert (links(store)["a"], links(store)["b"]) == ("", "a")
    store.delete(["a"])
    assert links(store)["b"] == ""
    store.close()


def test_a_store_of_an_earlier_version_links_equal_words_alone(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    store = DocumentStore(path, writable=True)
    store.commit([stored("a", LONG), stored("b", LONG.upper())])
    store.finish()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE alike")
    store = DocumentStore(path, writable=False)
    assert links(store) == {"a": "", "b": "a"}
    store.close()


def test_nearly_every_text_that_is_alike_shares_a_band_and_few_others_do() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(2000)]
    missed = strange = 0
    for _ in range(200):
        text = draw.choices(words, k=200)
        other = list(text)
        for place in draw.sample(range(200), 8):
            other[place] = draw.choice(words)
        assert alike(words_of(" ".join(text)), words_of(" ".join(other)))
        missed += not set(sketch(lowered(" ".join(text)))) & set(sketch(lowered(" ".join(other))))
        strange += bool(set(sketch(lowered(" ".join(text)))) & set(sketch(draw.choices(words, k=200))))
    assert missed <= 4
    assert strange == 0


def test_thousands_of_documents_of_one_form_are_stored_without_comparing_each_with_each(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path / "documents.sqlite", writable=True)
    forms = [stored(f"{n:04}", f"{LONG} Hall {'north' if n % 2 else 'south'}.") for n in range(1000)]
    begin = time.process_time()
    store.commit(forms)
    assert time.process_time() - begin < 10
    assert set(links(store).values()) == {"", "0000"}
    store.close()
