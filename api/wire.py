"""Values to bytes: JSON bodies and server-sent events. Knows no route."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic_core import PydanticSerializationError

from rag.types import Value

HEARTBEAT = b": still working\n\n"
"""A comment, which readers of server-sent events skip; it keeps proxies from closing a quiet stream."""

LINE_ENDS = "\x85\u2028\u2029"
"""Characters of a text that end a line for many readers, and that JSON does not escape by itself."""


def to_json(value: Value) -> bytes:
    """`value` as JSON. Half a surrogate pair in a stored text, which UTF-8 cannot say, comes as a `\\ud8xx` escape."""
    try:
        return value.model_dump_json().encode()
    except PydanticSerializationError:
        return json.dumps(value.model_dump()).encode()


def to_line(value: Value) -> bytes:
    """`value` as JSON on one line, whatever its reader takes for the end of one: many part lines as Python does."""
    line = to_json(value)
    for character in LINE_ENDS:
        line = line.replace(character.encode(), b"\\u%04x" % ord(character))
    return line


def list_to_json(values: Sequence[Value]) -> bytes:
    """A JSON array of `values`."""
    return b"[" + b",".join(to_json(value) for value in values) + b"]"


def to_event(name: str, number: int, value: Value) -> bytes:
    """One server-sent event, its data on one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode("ascii"), to_line(value))
