"""Metadata values as the types that a domain declares filterable, so that a filter on them matches. Pure."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import isfinite

from rag.errors import UnreadableDocument
from rag.types import FieldType, MetadataValue

UNREADABLE_PAGES = "unreadable_pages"
"""The field with the numbers of a document's pages that gave no text."""

VALIDITY = ("valid_from", "valid_until")
"""Fields that are read as dates whether declared or not: a part of a date is its first day, or its last."""

_PART_OF_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?")
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def typed(metadata: Mapping[str, MetadataValue], fields: Mapping[str, FieldType]) -> dict[str, MetadataValue]:
    """The metadata with every declared field in its type; an empty one is left out.

    Date-times become RFC 3339 in UTC; one without a zone is taken to be UTC. Raises UnreadableDocument naming the
    field and its value.
    """
    out = {name: _storable(value) for name, value in metadata.items()}
    for name in VALIDITY:
        if name in out and name not in fields:
            with suppress(ValueError):  # no date: it stays what it is, and says nothing of validity
                out[name] = _moment(str(out[name]).strip(), last=name == "valid_until")
    for name, kind in fields.items():
        value = metadata.get(name)
        if value is None:
            continue
        if isinstance(value, str) and not value.strip():
            del out[name]
            continue
        try:
            out[name] = as_declared(name, value, kind)
        except ValueError:
            raise UnreadableDocument(
                f"its metadata field {name!r} is {str(value)[:80]!r}, declared filterable as {kind.value}: correct the "
                "value, or the type under [filterable] in corpus.toml"
            ) from None
    return out


def _storable(value: MetadataValue) -> MetadataValue:
    """The value itself, or as text where no payload holds it: beyond 64 bits, infinite, or no number."""
    if isinstance(value, bool | str):
        return value
    fits = -(2**63) <= value < 2**63 if isinstance(value, int) else isfinite(value)
    return value if fits else str(value)


def says(name: str, value: MetadataValue, written: str, kind: FieldType | None) -> bool:
    """Whether a stored value is what somebody wrote; kind: as the field is declared, where it is.

    Where it is not, numbers are compared as such, and yes, true and 1 with a truth value. Raises ValueError where what
    was written is nothing of that type.
    """
    if kind is None and name in VALIDITY and isinstance(value, str):
        kind = FieldType.DATETIME
    if kind is not None:
        wanted = as_declared(name, written, kind)
        with suppress(ValueError):  # one that was stored before it was declared so
            return as_declared(name, value, kind) == wanted
    elif isinstance(value, bool):
        return _BOOLS.get(written.strip().casefold()) is value
    elif not isinstance(value, str):
        with suppress(ValueError):
            return float(written) == value
    return str(value) == written


def as_declared(name: str, value: MetadataValue, kind: FieldType) -> MetadataValue:
    """The value of a field in its type. Raises ValueError."""
    last = name == "valid_until"
    text = str(value).strip()
    if kind is FieldType.KEYWORD:
        return text
    if kind is FieldType.BOOL:
        if text.casefold() not in _BOOLS:
            raise ValueError(text)
        return _BOOLS[text.casefold()]
    if kind is FieldType.DATETIME:
        return _moment(text, last=last)
    number = float(text)
    if kind is FieldType.FLOAT:
        if not isfinite(number):
            raise ValueError(text)
        return number
    return int(text) if text.lstrip("+-").isdigit() else _whole(number)


def _moment(text: str, *, last: bool) -> str:
    """RFC 3339 in UTC of a date-time, a day, a month (2023-05) or a year; `last`: of the last second of it."""
    if part := _PART_OF_DATE.fullmatch(text):
        year, month = int(part[1]), int(part[2] or (12 if last else 1))
        day = int(part[3] or (monthrange(year, month)[1] if last and 1 <= month <= 12 else 1))
        clock = (23, 59, 59) if last else (0, 0, 0)
        return datetime(year, month, day, *clock, tzinfo=UTC).isoformat()
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError(number)
    return int(number)
