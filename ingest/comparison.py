"""A corpus against what is stored: which documents are new, changed, moved, gone or as they were. Writes nothing.

A document that was stored under another id with the same content lends its vectors; where that id is gone from the
corpus and is to be pruned, the document is said to have moved. Knows no index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.chunkers import chunker_for, chunks_of
from ingest.corpus import Found, Unreadable
from ingest.embedding import Ready
from ingest.metadata import typed
from ingest.recipes import alike, recipe_of
from rag.documents import DocumentSummary
from rag.errors import UnreadableDocument
from rag.types import FieldType


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the documents that are not in both: none is in two of the lists."""

    new: list[str]
    moved: list[tuple[str, str]]
    """(old id, new id); only where what is gone is pruned."""
    gone: list[str]


class Comparison:
    """Takes the documents of a corpus one after the other, and keeps count."""

    def __init__(
        self,
        stored: Iterable[DocumentSummary],
        fields: Mapping[str, FieldType],
        *,
        live: Iterable[str] | None = None,
    ) -> None:
        """`fields`: the filterable fields of the domain, whose types the metadata must have.

        live: ids that readers see, where an interrupted run has stored others beside them.
        """
        self._stored = {item.id: item for item in stored}
        self._live = set(self._stored if live is None else live)
        self._by_content: dict[str, str] = {}
        for item in self._stored.values():
            self._by_content.setdefault(item.file_sha256, item.id)
        self._fields = fields
        self._declared = ",".join(f"{name}:{kind}" for name, kind in sorted(fields.items()))
        self._seen: dict[str, str] = {}
        self._lent: dict[str, str] = {}
        self.new: list[str] = []
        self.changed: list[str] = []
        self.unchanged = 0
        self.unreadable: list[Unreadable] = []

    def take(self, found: Found | Unreadable) -> Ready | None:
        """Read and split a document if it is new or changed; count it either way."""
        if isinstance(found, Unreadable):
            self.unreadable.append(found)
            return None
        if found.id in self._seen:
            reason = f"its id {found.id[:80]!r} is taken by {self._seen[found.id]}; ids must be unique within a domain"
            self.unreadable.append(Unreadable(found.source, reason))
            return None
        self._seen[found.id] = found.source
        chunker = chunker_for(found.source, found.chunker)
        recipe = recipe_of(found.recipe, chunker, self._declared)
        stored = self._stored.get(found.id)
        if stored and (stored.file_sha256, stored.recipe, stored.source) == (found.file_sha256, recipe, found.source):
            self.unchanged += 1
            return None
        try:
            document = found.read()
            document = document.model_copy(update={"metadata": typed(document.metadata, self._fields)})
        except UnreadableDocument as error:
            self.unreadable.append(Unreadable(found.source, str(error)))
            return None
        (self.changed if stored else self.new).append(found.id)
        twin = found.id if stored else self._by_content.get(found.file_sha256, "")
        if twin and not stored:
            self._lent[found.id] = twin
        lends = twin and alike(self._stored[twin].recipe, chunker)
        return Ready(document, recipe, chunks_of(document, chunker), twin if lends else "")

    def outcome(self, *, prune: bool) -> Outcome:
        """What is new, moved and gone; of an empty corpus nothing is: its path is wrong, more likely."""
        gone = self._gone()
        moved = self._moved(set(gone)) if prune else []
        old, new = {pair[0] for pair in moved}, {pair[1] for pair in moved}
        if prune and not self._seen:
            gone = []
        return Outcome(
            new=[name for name in self.new if name not in new],
            moved=moved,
            gone=[name for name in gone if name not in old],
        )

    def strangers(self) -> list[str]:
        """Stored documents that are neither live nor in the corpus: an interrupted run wrote them."""
        return sorted(set(self._stored) - self._live - set(self._seen))

    def _gone(self) -> list[str]:
        """Live documents whose file or row is gone; one that is there but unreadable now stays as it was."""
        broken = {item.source for item in self.unreadable}
        return sorted(
            name
            for name, item in self._stored.items()
            if name in self._live
            and name not in self._seen
            and item.source not in broken
            and item.source.split("#", 1)[0] not in broken
        )

    def _moved(self, gone: set[str]) -> list[tuple[str, str]]:
        """Documents whose content is the same, and whose old id is gone; each old id once."""
        found: dict[str, str] = {}
        for new, old in sorted(self._lent.items()):
            if old in gone:
                found.setdefault(old, new)
        return sorted(found.items())
