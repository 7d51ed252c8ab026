"""A corpus against what is stored: which documents are new, changed, moved, gone or as they were. Writes nothing.

Where a new document's content is stored under another id, and that id is gone from the corpus, the document was
renamed, and is said to have moved where what is gone is to be pruned. Knows no index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest.chunkers import chunker_for, chunks_of
from ingest.corpus import Found, Partly, Unreadable
from ingest.embedding import Ready
from ingest.metadata import UNREADABLE_PAGES, typed
from ingest.recipes import recipe_of
from rag.documents import DocumentSummary
from rag.errors import UnreadableDocument
from rag.types import FieldType, MetadataValue


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the documents that are not in both: none is in two of the first three lists."""

    new: list[str]
    moved: list[tuple[str, str]]
    """(old id, new id); only where what is gone is pruned."""
    gone: list[str]
    renamed: list[tuple[str, str]]
    """(old id, new id) where nothing is pruned: both stay, the old one is in `gone` and the new one in `new`."""


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
        self._by_content: dict[str, list[str]] = defaultdict(list)
        for item in self._stored.values():
            self._by_content[item.file_sha256].append(item.id)
        self._fields = fields
        self._declared = ",".join(f"{name}:{kind}" for name, kind in sorted(fields.items()))
        self._seen: dict[str, str] = {}
        self._twins: dict[str, list[str]] = {}
        self.new: list[str] = []
        self.changed: list[str] = []
        self.unchanged = 0
        self.unreadable: list[Unreadable] = []
        self.partly: list[Partly] = []

    def take(self, found: Found | Unreadable) -> Ready | None:
        """Read and split a document if it is new or changed; count it either way."""
        if isinstance(found, Unreadable):
            self.unreadable.append(found)
            return None
        if found.id in self._seen:
            reason = f"its id {found.id[:80]!r} is taken by {self._seen[found.id]}; ids must be unique within a domain"
            if "#" in found.source:
                reason += ": `id = false` under [[rows]] in corpus.toml calls the rows of a file by their number"
            self.unreadable.append(Unreadable(found.source, reason))
            return None
        self._seen[found.id] = found.source
        chunker = chunker_for(found.source, found.chunker)
        recipe = recipe_of(found.recipe, chunker, self._declared)
        stored = self._stored.get(found.id)
        if stored and (stored.file_sha256, stored.recipe, stored.source) == (found.file_sha256, recipe, found.source):
            self.unchanged += 1
            self._note_pages(found.source, stored.metadata)
            return None
        try:
            document = found.read()
            document = document.model_copy(update={"metadata": typed(document.metadata, self._fields)})
        except UnreadableDocument as error:
            self.unreadable.append(Unreadable(found.source, str(error)))
            return None
        self._note_pages(found.source, document.metadata)
        (self.changed if stored else self.new).append(found.id)
        if not stored and (twins := self._by_content.get(found.file_sha256)):
            self._twins[found.id] = twins
        return Ready(document, recipe, chunks_of(document, chunker))

    def outcome(self, *, prune: bool) -> Outcome:
        """What is new, moved and gone; of an empty corpus nothing is: its path is wrong, more likely."""
        gone = self._gone()
        renamed = self._renamed(set(gone))
        moved = renamed if prune else []
        old, new = {pair[0] for pair in moved}, {pair[1] for pair in moved}
        if prune and not self._seen:
            gone = []
        return Outcome(
            new=[name for name in self.new if name not in new],
            moved=moved,
            gone=[name for name in gone if name not in old],
            renamed=[] if prune else renamed,
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

    def _renamed(self, gone: set[str]) -> list[tuple[str, str]]:
        """(old id, new id) of documents whose content is the same, and whose old id is gone; each id once."""
        found: dict[str, str] = {}
        for new, twins in sorted(self._twins.items()):
            if old := next((twin for twin in twins if twin in gone and twin not in found), ""):
                found[old] = new
        return sorted(found.items())

    def _note_pages(self, source: str, metadata: Mapping[str, MetadataValue]) -> None:
        if pages := metadata.get(UNREADABLE_PAGES):
            self.partly.append(Partly(source, str(pages)))
