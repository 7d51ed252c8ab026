"""Takes documents out of a domain, by id or by what their metadata say, and counts what went. Knows no corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.metadata import as_declared, says
from ingest.target import Target
from rag.errors import InvalidQuestion
from rag.types import FieldType

NO_CONDITION = "name what is to be removed: an id, or at least one where=FIELD=VALUE"


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did; the counts are those of the new generation against the old one."""

    domain: str
    documents: int
    chunks: int
    unknown: list[str]


def remove(target: Target, wanted: Iterable[str]) -> Removed:
    """Remove documents by id and make that live; ids that are not there are listed. Raises the store's errors."""
    target.begin()
    before = target.store.counts()
    wanted = list(dict.fromkeys(wanted))
    known = {item.id for item in target.summaries()}
    present = [name for name in wanted if name in known]
    target.delete(present)
    after = target.store.counts()
    target.promote()
    unknown = [name for name in wanted if name not in known]
    return Removed(target.manifest.domain, before[0] - after[0], before[1] - after[1], unknown)


def conditions(written: Iterable[str]) -> dict[str, str]:
    """FIELD=VALUE each, all of which must hold. Raises InvalidQuestion for none, a bad one and a field named twice."""
    found: dict[str, str] = {}
    for item in written:
        name, sign, value = item.partition("=")
        if not (name and sign):
            raise InvalidQuestion(f"{item!r} is not FIELD=VALUE")
        if name in found:
            raise InvalidQuestion(f"{name} is named twice, and no document has two values of one field")
        found[name] = value
    if not found:
        raise InvalidQuestion(NO_CONDITION)
    return found


def unknown_fields(target: Target, where: Mapping[str, str]) -> list[str]:
    """Those of the named fields that no document has, and the domain does not declare."""
    there = {name for item in target.summaries() for name in item.metadata} | target.manifest.fields.keys()
    return sorted(where.keys() - there)


def matching(target: Target, where: Mapping[str, str]) -> list[str]:
    """Ids of the documents whose metadata have all of these values, as the domain's fields are typed.

    Raises InvalidQuestion when no field is named, or a value of another type.
    """
    if not where:
        raise InvalidQuestion(NO_CONDITION)
    documents, fields = target.summaries(), target.manifest.fields
    found = []
    for name, value in where.items():
        try:
            if name in fields:
                as_declared(name, value, fields[name])  # whether any document has the field or not
            hits = {
                item.id
                for item in documents
                if name in item.metadata and says(name, item.metadata[name], value, fields.get(name))
            }
        except ValueError:
            kind = fields.get(name, FieldType.DATETIME).value
            raise InvalidQuestion(f"{name} is declared as {kind}, and {value!r} is none") from None
        found.append(hits)
    matched = set.intersection(*found)
    return [item.id for item in documents if item.id in matched]
