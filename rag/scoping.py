"""Which documents a question names, by their metadata or by the number in their title. Pure; knows no index.

"3M in FY2018" asks of two metadata fields, and of few filings. Names are short metadata values with a capital or a
digit that several documents share; a question names one when it says all its words in order. Years narrow only what a
name has found: a year alone is in too many questions. A name that is not there, or years that leave nothing, scope
nothing. "What closes V-17?" asks of the document whose title begins or ends with that number, "Gas shut-off valve
V-17"; it is looked at first, and not alone: what others say of V-17 stands elsewhere. Of titles that differ by their
revision alone the newest answers, unless the question says another one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from rag.types import Filter, MetadataValue

MAX_DOCUMENTS = 200_000
"""Of a domain that is scoped; a larger one would take seconds to read through."""
MAX_NAME = 40
MAX_SCOPE = 5_000
"""Documents that one filter may list."""
MAX_NUMBERED = 4
"""Documents of one number: what more of them bear is a word, not a document's number."""

_WORD = re.compile(r"[^\W_]+(?:&[^\W_]+)*")
_YEAR = re.compile(r"(?<!\d)(?:FY ?|fiscal (?:year )?)?((?:19|20)\d\d)(?!\d)|\bFY ?['’]?(\d\d)\b", re.IGNORECASE)


_NUMBER = re.compile(r"(?=[\w.\-/]*\d)(?=[\w.\-/]*[^\W\d_])\w[\w.\-/]*\w")
"""Letters and digits: V-17, T1185, CVE-2021-44228."""
_REVISION = re.compile(
    r"[(\[,–—-]?\s*\b(?:revision|rev|version|edition|issue)\b\.?\s*(\d+(?:\.\d+)*)\s*[)\]]?", re.IGNORECASE
)
"""What a title says of its revision: "(revision 3)", "Rev. 2.1", "- version 4"."""


class Scopes:
    """The names, years and numbers of the documents of one domain."""

    def __init__(
        self, metadata: Mapping[str, Mapping[str, MetadataValue]], titles: Sequence[tuple[str, str]] = ()
    ) -> None:
        """metadata: document id -> its fields; titles: (document id, its title)."""
        numbers: dict[str, set[str]] = defaultdict(set)
        for document, title in titles:
            for number in _ends(title):
                numbers[number].add(document)
        self._superseded = _superseded(titles)
        self._numbers = {number: found for number, found in numbers.items() if len(found) <= MAX_NUMBERED}
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

    def superseded(self, question: str) -> frozenset[str]:
        """The documents that a newer revision replaces, by id; none where the question says a revision."""
        return frozenset() if _REVISION.search(question) else self._superseded

    def numbered(self, question: str) -> tuple[str, ...]:
        """The documents whose own number the question says, by id."""
        said = (match.casefold().rstrip(".") for match in _NUMBER.findall(question))
        return tuple(sorted({document for number in said for document in self._numbers.get(number, ())}))


def of_another(question: str, title: str, text: str) -> bool:
    """Whether a passage is of another number than the question's: "P-214" where "P-216" is asked and never said.

    title: with the passage's headings; text: of the passage
    """
    asked = {number.casefold() for number in _NUMBER.findall(question)}
    titled = {number.casefold() for number in _NUMBER.findall(title)}
    said = f"{title}\n{text}".casefold()
    return any(
        number not in said and any(other != number and _letters(other) == _letters(number) for other in titled)
        for number in asked
    )


def _letters(number: str) -> str:
    return re.sub(r"\d+", "#", number)


def _superseded(titles: Sequence[tuple[str, str]]) -> frozenset[str]:
    revisions: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for document, title in titles:
        if found := _REVISION.search(title):
            rest = " ".join(_words(title[: found.start()] + " " + title[found.end() :]))
            revisions[rest][document] = tuple(map(int, found[1].split(".")))
    return frozenset(
        document
        for rest, of_title in revisions.items()
        if rest
        for document, revision in of_title.items()
        if revision < max(of_title.values())
    )


def _ends(title: str) -> set[str]:
    """The numbers that a title begins and ends with."""
    words = [word.strip("()[]{}:,.;").casefold() for word in title.split()]
    return {word for word in (*words[:1], *words[-1:]) if _NUMBER.fullmatch(word)}


def _is_name(value: str) -> bool:
    return len(value) <= MAX_NAME and value != value.lower() and bool(_words(value))


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s") for word in _WORD.findall(re.sub(r"['’]s\b", "", text.casefold()))]
