"""The chunkers that are compared keep to the text: spans of it, and nothing of it left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.chunkers import CHUNKERS, by_tokens, by_window
from rag.types import Document

MARKED = st.text(alphabet=st.sampled_from("ab.!? \n#|-漢。"), max_size=400)


def document(text: str) -> Document:
    return Document(id="a", title="A", text=text, file_sha256="", source="a")


@settings(max_examples=100, deadline=None)
@given(text=MARKED)
@pytest.mark.parametrize("name", sorted(CHUNKERS))
def test_every_chunk_is_a_span_of_the_text(name: str, text: str) -> None:
    for chunk in CHUNKERS[name](document(text)):
        assert text[chunk.start : chunk.end] == chunk.text


def test_tokens_pack_paragraphs_over_headings_up_to_the_size() -> None:
    text = "\n\n".join(f"# Head {i}\n\n{' '.join(['word'] * 50)}." for i in range(4))
    assert [len(chunk.text.split()) for chunk in by_tokens(document(text))] == [109, 103]


def test_windows_overlap_and_reach_the_end() -> None:
    text = " ".join(f"Sentence {i} ends." for i in range(12))
    found = [chunk.text for chunk in by_window(document(text))]
    assert [(chunk.split()[1], chunk.split()[-2]) for chunk in found] == [
        ("0", "4"),
        ("3", "7"),
        ("6", "10"),
        ("9", "11"),
    ]
