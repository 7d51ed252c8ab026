"""The nouns: identities that must never move, and offsets that count code points."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rag.types import (
    Chunk,
    Document,
    DoneEvent,
    Event,
    Question,
    TokenEvent,
    point_id,
    sha256_text,
)

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
"""sha256 of 'hello', as printed by `printf hello | sha256sum`."""


def test_the_identity_of_a_point_never_moves() -> None:
    # golden: a change here orphans every stored index
    assert point_id("plant", "handbook/a.md", 0, 5, HELLO) == "0b469cbd-7ffd-5cba-bca5-7292b61a6d23"


@pytest.mark.parametrize(
    "other",
    [
        ("plan", "handbook/a.md", 0, 5, HELLO),
        ("plant", "handbook/b.md", 0, 5, HELLO),
        ("plant", "handbook/a.md", 1, 5, HELLO),
        ("plant", "handbook/a.md", 0, 6, HELLO),
        ("plant", "handbook/a.md", 0, 5, HELLO[::-1]),
    ],
)
def test_each_part_of_the_identity_counts(other: tuple[str, str, int, int, str]) -> None:
    assert point_id(*other) != point_id("plant", "handbook/a.md", 0, 5, HELLO)


def test_digits_do_not_run_from_one_offset_into_the_next() -> None:
    assert point_id("d", "x", 1, 23, HELLO) != point_id("d", "x", 12, 3, HELLO)


def test_the_text_hash_is_that_of_its_utf8_bytes() -> None:
    assert sha256_text("hello") == HELLO
    assert sha256_text("é") == hashlib.sha256(b"\xc3\xa9").hexdigest()


@given(st.text(alphabet=st.characters(codec=None)))
def test_every_string_has_a_hash_lone_surrogates_included(text: str) -> None:
    assert len(sha256_text(text)) == 64


def test_a_document_hashes_the_text_it_stores() -> None:
    document = Document(id="a.md", title="A", text="hello", file_sha256="0" * 64, source="a.md")
    assert document.text_sha256 == HELLO


def test_offsets_count_code_points_not_bytes() -> None:
    text = "\u00fcber \U0001f9ea Lauge"
    chunk = Chunk(start=7, end=12, text="Lauge")
    assert text[chunk.start : chunk.end] == chunk.text
    assert len(text[: chunk.start].encode()) == 11


@pytest.mark.parametrize("fields", [{"start": -1, "end": 1, "text": "a"}, {"start": 0, "end": 1, "text": ""}])
def test_a_chunk_before_the_text_or_without_text_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Chunk.model_validate(fields)


def test_a_value_does_not_change_and_takes_no_unknown_field() -> None:
    question = Question(text="How?", domain="plant")
    with pytest.raises(ValidationError, match="frozen"):
        question.text = "Why?"  # type: ignore[misc]  # the assignment that must fail
    with pytest.raises(ValidationError, match="Extra inputs"):
        Question.model_validate({"text": "How?", "domain": "plant", "colour": "red"})


def test_an_error_does_not_repeat_what_was_asked() -> None:
    with pytest.raises(ValidationError) as refused:
        Question.model_validate({"text": "my secret"})
    assert "domain" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_an_event_is_read_back_as_its_own_type() -> None:
    events: TypeAdapter[Event] = TypeAdapter(Event)
    token = events.validate_json(TokenEvent(text="The").model_dump_json())
    assert token == TokenEvent(text="The")
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        events.validate_python({"type": "tokens", "text": "The"})
    assert DoneEvent.model_fields["type"].default == "done"
