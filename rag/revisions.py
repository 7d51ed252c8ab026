"""Which documents are replaced by others, or not in force: by revision, by validity, by what a successor says. Pure.

Documents are one family where their titles differ by their revision and dates alone, or their paths by their revision.
Of a family the newest revision answers; of those with a `valid_from` the newest that has begun. A document whose
`valid_until` is over answers nothing, nor does one whose `valid_from` is to come. A question that says a revision sees
every one; one that says years is answered by what was in force in any of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rag.types import MetadataValue

FIELDS = frozenset({"valid_from", "valid_until", "revision", "supersedes"})
"""Metadata that says of a document when it counts; a filter on one of them decides alone."""

REVISION = re.compile(
    r"[(\[,–—_-]?\s*(?<![^\W_])(?:(?:revision|rev|version|edition|issue)[\s._-]*(?P<number>\d+(?:\.\d+)*)"
    r"|(?:revision|rev)[\s._-]*(?-i:(?P<letter>[A-Z])))(?![^\W_])\s*[)\]]?",
    re.IGNORECASE,
)
"""What a title says of its revision: "(revision 3)", "Rev. 2.1", "- version 4", "rev-B"."""
_PATH_REVISION = re.compile(r"[-_. ](?:r|v)(?P<number>\d+(?:\.\d+)*)(?P<letter>)(?=\.\w+$|$)", re.IGNORECASE)
"""What a path may say besides: "bushing-change-r3.md"."""
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d(?:[-./]\d{1,2}){0,2}(?!\d)")
_WORD = re.compile(r"[^\W_]+(?:&[^\W_]+)*")

Order = tuple[int, ...]


class Revisions:
    """The documents of one domain, by what they say of their own time."""

    def __init__(self, metadata: Mapping[str, Mapping[str, MetadataValue]], titles: Sequence[tuple[str, str]]) -> None:
        """metadata: document id -> its fields; titles: (document id, its title)."""
        self._older = _older(metadata, titles)
        self._periods: dict[str, tuple[datetime | None, datetime | None]] = {}
        named: dict[str, str] = dict(titles)
        families: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self._supersedes: list[tuple[str, str]] = []
        for document, fields in metadata.items():
            begin, end = _moment(fields.get("valid_from")), _moment(fields.get("valid_until"))
            if begin or end:
                self._periods[document] = (begin, end)
            if begin and (family := _family(_DATE.sub(" ", named.get(document, "")))):
                families[family].append((begin, document))
            for replaced in str(fields.get("supersedes", "")).split(","):
                if replaced.strip():
                    self._supersedes.append((document, replaced.strip()))
        self._families = [sorted(family) for family in families.values() if len(family) > 1]

    def superseded(self, years: Iterable[int], at: datetime | None) -> frozenset[str]:
        """The documents that count no more, or not yet, by id.

        years: those that the question says. at: the present; None: validity is not judged.
        """
        asked = sorted(years)
        now = datetime(asked[-1], 12, 31, 23, 59, 59, tzinfo=UTC) if asked and at else at
        first = datetime(asked[0], 1, 1, tzinfo=UTC) if asked else now
        out = set(self._older)
        if now is not None and first is not None:
            for document, (begin, end) in self._periods.items():
                if (begin and begin > now) or (end and end < first):
                    out.add(document)
            for family in self._families:
                out.update([document for begin, document in family if begin <= first][:-1])
        out.update(old for new, old in self._supersedes if new != old and new not in out)
        return frozenset(out)


def _older(metadata: Mapping[str, Mapping[str, MetadataValue]], titles: Sequence[tuple[str, str]]) -> frozenset[str]:
    """The documents of whose family a newer revision is there."""
    families: dict[tuple[str, str, str], dict[str, Order]] = defaultdict(dict)
    for document, title in titles:
        for where, text, patterns in (("title", title, (REVISION,)), ("path", document, (REVISION, _PATH_REVISION))):
            found = next((match for pattern in patterns if (match := pattern.search(text))), None)
            if found is not None:
                rest = _family(text[: found.start()] + " " + text[found.end() :])
                kind = "letter" if found["letter"] else "number"
                families[where, kind, rest][document] = _order(found["number"] or found["letter"])
        told = metadata.get(document, {}).get("revision")
        if told is not None and not isinstance(told, bool) and (order := _order(str(told).strip())):
            kind = "number" if str(told).strip()[:1].isdigit() else "letter"
            rest = _family(REVISION.sub(" ", title))
            families["title", kind, rest].setdefault(document, order)
    return frozenset(
        document
        for (_, _, rest), family in families.items()
        if rest
        for document, order in family.items()
        if order < max(family.values())
    )


def _order(told: str) -> Order:
    if re.fullmatch(r"\d+(?:\.\d+)*", told):
        return tuple(int(part) for part in told.split("."))
    return (ord(told.upper()),) if len(told) == 1 and told.isalpha() else ()


def _moment(told: MetadataValue | None) -> datetime | None:
    if not isinstance(told, str):
        return None
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _family(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
