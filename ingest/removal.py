"""Takes documents out of a domain, by id or by what their metadata say, and counts what went. Knows no corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.target import Target
from rag.errors import InvalidQuestion
from rag.types import MetadataValue

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


def matching(target: Target, where: Mapping[str, str]) -> list[str]:
    """Ids of the documents whose metadata have all of these values. Raises InvalidQuestion when no field is named."""
    if not where:
        raise InvalidQuestion(NO_CONDITION)
    return [
        item.id
        for item in target.summaries()
        if all(name in item.metadata and _written(item.metadata[name]) == value for name, value in where.items())
    ]


def _written(value: MetadataValue) -> str:
    """A value as one writes it on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
