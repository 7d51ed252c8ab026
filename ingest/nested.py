"""Objects and lists within a row of JSON, written out as names and values in order: `address.city`, `phones`. Pure.

A field of an object is named `object.field`, one of the second object of a list `list 2 field`; plain values of one
list stand together. What is too deep or too much is refused, never left out: the names above a value are repeated with
each, so that a small row can say much.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.cleaning import clean
from rag.errors import UnreadableDocument
from rag.types import MetadataValue

MAX_DEPTH = 16
MAX_VALUES = 20_000
"""Of one field; more of them are data that nobody reads as a text."""
MAX_CHARACTERS = 4 * 1024 * 1024
"""Of one field written out, names included."""
LONG = 80
"""Characters of a value that is a sentence rather than a word: a list with one has a line for each."""


def plain(value: Any) -> bool:
    """Whether a value is text, a number, true or false."""
    return isinstance(value, str | int | float | bool)


def plain_list(value: Any) -> bool:
    """Whether a value is a list of plain values, at least one."""
    return isinstance(value, list) and bool(value) and all(map(plain, value))


def nested(value: Any) -> bool:
    """Whether a value has parts that are objects or lists themselves."""
    return isinstance(value, dict | list) and bool(value) and not plain_list(value)


def joined(values: list[MetadataValue]) -> str:
    """Plain values of one list as one text: with commas, or a line each where one is long."""
    texts = [text for value in values if (text := clean(str(value)).strip())]
    return ("\n" if any(len(text) > LONG for text in texts) else ", ").join(texts)


def written_out(name: str, value: Any) -> list[tuple[str, str]]:
    """A field as names and texts, none of them blank; nothing for null. Raises UnreadableDocument: it is too much."""
    found: list[tuple[str, str]] = []
    size = 0
    for count, (full, text) in enumerate(_values(name, ".", value, 0)):
        size += len(full) + len(text)
        if count and (count >= MAX_VALUES or size > MAX_CHARACTERS):
            raise UnreadableDocument(
                f"its field {name[:80]!r} has more than {MAX_VALUES:,} values, or {MAX_CHARACTERS:,} characters with "
                "their names: give what belongs in a text as rows"
            )
        if text:
            found.append((full, text))
    return found


def _values(name: str, joint: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Every value with its name; also those that say nothing, so that they are counted."""
    if depth > MAX_DEPTH:
        raise UnreadableDocument(f"one of its fields is nested more than {MAX_DEPTH} deep")
    if plain_list(value):
        yield name, joined(value)
    elif value and isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(f"{name}{joint}{key}", ".", inner, depth + 1)
    elif value and isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from _values(f"{name} {number}", " ", inner, depth + 1)
    else:
        yield name, clean(str(value)).strip() if plain(value) else ""
