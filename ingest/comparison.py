"""A corpus against what readers see: which documents are new, changed, moved, gone or as they were. Writes nothing.

What an interrupted run has stored meanwhile only spares writing it again. Where a new document's content is stored
under another id, and that id is gone from the corpus, the document was renamed, and is said to have moved where what is
gone is to be pruned. Knows no index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePosixPath

from ingest.chunkers import chunker_for, chunks_of, file_of
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
    otherwise: int
    """Documents that stay and are not in the corpus, whose metadata were typed for other filterable fields."""


class Comparison:
    """Takes the documents of a corpus one after the other, and keeps count."""

    def __init__(
        self,
        live: Iterable[DocumentSummary],
        fields: Mapping[str, FieldType],
        *,
        stored: Iterable[DocumentSummary] | None = None,
    ) -> None:
        """`fields`: the filterable fields of the domain, whose types the metadata must have.

        live: what readers see. stored: what is there to be written over, where that is something else.
        """
        self._live = {item.id: item for item in live}
        self._stored = self._live if stored is None else {item.id: item for item in stored}
        self._by_content: dict[str, list[str]] = defaultdict(list)
        for item in self._live.values():
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
            self.unreadable.append(Unreadable(found.source, reason, found.id))
            return None
        self._seen[found.id] = found.source
        chunker = chunker_for(found.source, found.chunker)
        recipe = recipe_of(found.recipe, chunker, self._declared)
        live, stored = self._live.get(found.id), self._stored.get(found.id)
        if stored and _is(stored, found, recipe):
            self._note_pages(found.source, stored.metadata)
            self._count(found, recipe, live)
            return None
        try:
            document = found.read()
            document = document.model_copy(update={"metadata": typed(document.metadata, self._fields)})
        except UnreadableDocument as error:
            self.unreadable.append(Unreadable(found.source, str(error), found.id))
            return None
        self._note_pages(found.source, document.metadata)
        self._count(found, recipe, live)
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
            otherwise=self._otherwise(set(gone) if prune else set()),
        )

    def strangers(self) -> list[str]:
        """Stored documents that are neither live nor in the corpus: an interrupted run wrote them."""
        return sorted(self._stored.keys() - self._live.keys() - self._seen.keys())

    def _otherwise(self, removed: AbstractSet[str]) -> int:
        stay = self._live.keys() - self._seen.keys() - removed
        return sum(not self._live[name].recipe.endswith(f"/{self._declared}") for name in stay)

    def _count(self, found: Found, recipe: str, live: DocumentSummary | None) -> None:
        if live and _is(live, found, recipe):
            self.unchanged += 1
        elif live:
            self.changed.append(found.id)
        else:
            self.new.append(found.id)
            if twins := self._by_content.get(found.file_sha256):
                self._twins[found.id] = twins

    def _gone(self) -> list[str]:
        """Live documents whose file or row is gone; one that may be there but cannot be read now stays as it was.

        So does all of a folder that cannot be read, and of a file with a row of which not even the id can be: rows are
        told by their ids, as their numbers change with every row above them.
        """
        named = {item.id for item in self.unreadable if item.id}
        broken = {file_of(item.source) for item in self.unreadable if not item.id}
        return sorted(
            name
            for name, item in self._live.items()
            if name not in self._seen and name not in named and broken.isdisjoint(_places(item.source))
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


def _is(stored: DocumentSummary, found: Found, recipe: str) -> bool:
    return (stored.file_sha256, stored.recipe, stored.source) == (found.file_sha256, recipe, found.source)


def _places(source: str) -> Iterator[str]:
    """A source's file, and every folder that it is in."""
    path = PurePosixPath(file_of(source))
    yield path.as_posix()
    for folder in path.parents:
        yield folder.as_posix()
