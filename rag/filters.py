"""Whether a filter fits the fields that a domain declares filterable. Pure; knows no engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from rag.errors import InvalidQuestion
from rag.types import FieldType, Filter, MetadataValue

MOST = 2**63
"""A number is smaller, on either side of zero, and therefore finite: what the index holds."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?(?:[Zz]|[+-]\d\d:?\d\d)?)?)?", re.ASCII)
"""What both engines take of ISO 8601, and take alike."""


def check(filter: Filter, fields: Mapping[str, FieldType]) -> None:
    """Raise InvalidQuestion for a condition on a field that is not filterable, or that no value of its type meets."""
    for condition in filter.conditions:
        kind = fields.get(condition.field)
        if kind is None:
            known = ", ".join(sorted(fields)) or "none is declared in the corpus.toml of this domain"
            raise InvalidQuestion(f"{condition.field!r} is no filterable field of this domain; filterable: {known}")
        ranged = condition.gte is not None or condition.lte is not None
        given = [condition.equals is not None, condition.any_of is not None, ranged]
        if sum(given) != 1:
            raise InvalidQuestion(f"the condition on {condition.field!r} needs one of equals, any_of, or gte/lte")
        values: list[MetadataValue | None] = [condition.equals, condition.gte, condition.lte, *(condition.any_of or ())]
        if ranged and kind in (FieldType.KEYWORD, FieldType.BOOL):
            raise InvalidQuestion(f"{condition.field!r} is a {kind.value} field and has no range")
        if any(value is not None and not _fits(value, kind) for value in values):
            like = " like 2023-05-01T00:00:00Z" if kind is FieldType.DATETIME else ""
            raise InvalidQuestion(f"the condition on {condition.field!r} needs values of type {kind.value}{like}")
        if kind is FieldType.DATETIME and not ranged:
            raise InvalidQuestion(f"{condition.field!r} is a datetime field: ask for it by gte and lte")
        if kind is FieldType.FLOAT and condition.any_of is not None:
            raise InvalidQuestion(f"{condition.field!r} is a float field: ask for it by equals, or by gte and lte")


def _fits(value: MetadataValue, kind: FieldType) -> bool:
    match kind:
        case FieldType.BOOL:
            return isinstance(value, bool)
        case FieldType.KEYWORD:
            return isinstance(value, str)
        case FieldType.DATETIME:
            return isinstance(value, str) and _is_moment(value)
        case FieldType.INTEGER | FieldType.FLOAT:
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _is_moment(value: str) -> bool:
    if not _MOMENT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        return False
    return True
