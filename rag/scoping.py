"""Which documents a question names, by their metadata or by the number in their title. Pure; knows no index.

"3M in FY2018" asks of two metadata fields, and of few filings. Names are short metadata values with a capital or a
digit that several documents share; a question names one when it says all its words in order. Years narrow only what a
name has found: a year alone is in too many questions. A name that is not there, or years that leave nothing, scope
nothing. "What closes V-17?" asks of the document whose title begins or ends with that number, "Gas shut-off valve
V-17"; it is looked at first, and not alone: what others say of V-17 stands elsewhere. Which of several revisions
answers is told by `rag.revisions`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from rag.revisions import FIELDS, REVISION, Revisions
from rag.types import Filter, MetadataValue

MAX_DOCUMENTS = 200_000
"""Of a domain that is scoped; a larger one would take seconds to read through."""
MAX_NAME = 40
MAX_SCOPE = 5_000
"""Documents that one filter may list."""
MAX_NUMBERED = 4
"""Documents of one number: what more of them bear is a word, not a document's number."""

_PLAIN = re.compile(r"[^\W_]+")
_WORD = re.compile(r"[^\W_]+(?:&[^\W_]+)*")
_YEAR = re.compile(r"(?<!\d)(?:FY ?|fiscal (?:year )?)?((?:19|20)\d\d)(?!\d)|\bFY ?['’]?(\d\d)\b", re.IGNORECASE)


_NUMBER = re.compile(r"(?=[\w.\-/]*\d)(?=[\w.\-/]*[^\W\d_])\w[\w.\-/]*\w")
"""Letters and digits: V-17, T1185, CVE-2021-44228."""
_PROPERTIES = frozenset(
    {"author", "created", "modified", "date", "from", "to", "cc", "language", "pages", "attachments"}
)
"""What files say of themselves: a question that says an author's name does not ask of what that one wrote."""


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
        self._titles = titles
        self._revisions = Revisions(metadata, titles)
        self._numbers = {number: found for number, found in numbers.items() if len(found) <= MAX_NUMBERED}
        values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._years: dict[str, set[int]] = {}
        for document, fields in metadata.items():
            fields = {name: value for name, value in fields.items() if name not in _PROPERTIES | FIELDS}
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
        dated = frozenset(document for document in found if self._years.get(document, set()) & _asked(question))
        return Filter(documents=tuple(sorted(dated or found)))

    def titled(self, names: Collection[str]) -> tuple[str, ...]:
        """The documents whose titles or paths hold some names in small letters, by id; none where there are none."""
        sets = [self._bearing.get(word, frozenset()) for name in names for word in name.split()]
        found = frozenset.intersection(*sets) if sets else frozenset()
        return tuple(sorted(d for d in found if all(f" {name} " in self._heads[d] for name in names)))

    @cached_property
    def _heads(self) -> dict[str, str]:
        """Document id -> the words of its title and path, with a space before and after each."""
        said = {document: _PLAIN.findall(f"{title} . {document}".casefold()) for document, title in self._titles}
        return {document: f" {' '.join(found)} " for document, found in said.items()}

    @cached_property
    def _bearing(self) -> dict[str, frozenset[str]]:
        """Word of a title or path -> the documents."""
        found: dict[str, set[str]] = defaultdict(set)
        for document, head in self._heads.items():
            for word in head.split():
                found[word].add(document)
        return {word: frozenset(documents) for word, documents in found.items() if len(documents) <= MAX_SCOPE}

    def superseded(self, question: str, at: datetime | None = None) -> frozenset[str]:
        """The documents that others replace or that are not in force, by id; none where it says a revision."""
        return frozenset() if REVISION.search(question) else self._revisions.superseded(_asked(question), at)

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


def _asked(question: str) -> set[int]:
    return {int(year) if year else 2000 + int(short) for year, short in _YEAR.findall(question)}


def _letters(number: str) -> str:
    return re.sub(r"\d+", "#", number)


def _ends(title: str) -> set[str]:
    """The numbers that a title begins and ends with."""
    words = [word.strip("()[]{}:,.;").casefold() for word in title.split()]
    return {word for word in (*words[:1], *words[-1:]) if _NUMBER.fullmatch(word)}


def _is_name(value: str) -> bool:
    return len(value) <= MAX_NAME and value != value.lower() and bool(_words(value))


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s") for word in _WORD.findall(re.sub(r"['’]s\b", "", text.casefold()))]
