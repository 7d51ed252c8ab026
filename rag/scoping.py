"""Which documents a question names by their metadata: "3M in FY2018" asks of two fields, and of few filings. Pure.

Names are short metadata values with a capital or a digit that several documents share; a question names one when it
says all its words in order. Years narrow only what a name has found: a year alone is in too many questions. A name
that is not there, or years that leave nothing, scope nothing. Knows no index: what is found is a filter like any other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from rag.types import Filter, MetadataValue

MAX_DOCUMENTS = 200_000
"""Of a domain that is scoped; a larger one would take seconds to read through."""
MAX_NAME = 40
MAX_SCOPE = 5_000
"""Documents that one filter may list."""

_WORD = re.compile(r"[^\W_]+(?:&[^\W_]+)*")
_YEAR = re.compile(r"(?<!\d)(?:FY ?|fiscal (?:year )?)?((?:19|20)\d\d)(?!\d)|\bFY ?['’]?(\d\d)\b", re.IGNORECASE)


class Scopes:
    """The names and years in the metadata of one domain."""

    def __init__(self, metadata: Mapping[str, Mapping[str, MetadataValue]]) -> None:
        """metadata: document id -> its fields."""
        values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._years: dict[str, set[int]] = {}
        for document, fields in metadata.items():
            years = {v for v in fields.values() if isinstance(v, int) and not isinstance(v, bool) and 1900 <= v < 2100}
            if years:
                self._years[document] = years
            for field, value in fields.items():
                if isinstance(value, str) and _is_name(value):
                    values[field][" ".join(_words(value))].add(document)
        half = len(metadata) / 2
        self._names = {
            field: {name: frozenset(found) for name, found in named.items() if 1 < len(found) <= min(half, MAX_SCOPE)}
            for field, named in values.items()
            if len(named) >= 3
        }
        self._longest = max((len(name.split()) for names in self._names.values() for name in names), default=0)

    def filter(self, question: str) -> Filter:
        """The documents that a question names, narrowed by the years it names; everything where it names none."""
        found: frozenset[str] | None = None
        said = _words(question)
        for names in self._names.values():
            of_field: frozenset[str] = frozenset()
            for size in range(1, self._longest + 1):
                for start in range(len(said) - size + 1):
                    of_field |= names.get(" ".join(said[start : start + size]), frozenset())
            if of_field and (found is None or found & of_field):
                found = of_field if found is None else found & of_field
        if found is None:
            return Filter()
        asked = {int(year) if year else 2000 + int(short) for year, short in _YEAR.findall(question)}
        dated = frozenset(document for document in found if self._years.get(document, set()) & asked)
        return Filter(documents=tuple(sorted(dated or found)))


def _is_name(value: str) -> bool:
    return len(value) <= MAX_NAME and value != value.lower() and bool(_words(value))


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s") for word in _WORD.findall(re.sub(r"['’]s\b", "", text.casefold()))]
