"""Whether a filter fits the fields that a domain declares filterable. Pure; knows no engine."""

from __future__ import annotations

from collections.abc import Mapping

from rag.errors import InvalidQuestion
from rag.types import FieldType, Filter, MetadataValue


def check(filter: Filter, fields: Mapping[str, FieldType]) -> None:
    """Raise InvalidQuestion for a condition on a field that is not filterable, or of another type."""
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
            raise InvalidQuestion(f"the condition on {condition.field!r} needs values of type {kind.value}")


def _fits(value: MetadataValue, kind: FieldType) -> bool:
    match kind:
        case FieldType.BOOL:
            return isinstance(value, bool)
        case FieldType.KEYWORD | FieldType.DATETIME:
            return isinstance(value, str)
        case FieldType.INTEGER | FieldType.FLOAT:
            return isinstance(value, int | float) and not isinstance(value, bool)
