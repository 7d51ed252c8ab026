"""A domain's generations after they were live: listed, made live again, removed after their time. Knows no document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from rag.catalog import Catalog, Generation, Manifest
from rag.documents import DocumentStore
from rag.errors import BackendError, CorpusError
from rag.types import Value


class Stored(Value):
    """A generation that is on disk."""

    generation: str
    live: bool
    created: datetime
    documents: int
    chunks: int
    bytes: int
    """On this disk; on a server the vectors are elsewhere."""


def stored(catalog: Catalog, domain: str) -> list[Stored]:
    """Every complete generation, oldest first. Raises UnknownDomain."""
    live = catalog.live(domain).manifest.generation
    found = []
    for generation in catalog.finished(domain):
        store = DocumentStore(generation.documents_path, writable=False)
        documents, chunks = store.counts()
        store.close()
        name = generation.manifest.generation
        found.append(
            Stored(
                generation=name,
                live=name == live,
                created=generation.manifest.created,
                documents=documents,
                chunks=chunks,
                bytes=_size(generation),
            )
        )
    return found


def previous(catalog: Catalog, domain: str, wanted: str = "") -> Generation:
    """The generation to go back to: the wanted one, else the one that the live one was made of.

    That is not the newest before it where that one was gone back from. Raises UnknownDomain, and CorpusError where
    there is none, or it is kept no longer: another is gone back to by its name alone.
    """
    manifest = catalog.live(domain).manifest
    live = manifest.generation
    names = {generation.manifest.generation: generation for generation in catalog.finished(domain)}
    if not wanted:
        wanted = _before(manifest, list(names))
    if wanted == live or wanted not in names:
        others = ", ".join(name for name in names if name != live) or "none"
        raise CorpusError(
            f"domain {domain!r} has no {f'generation {wanted!r}' if wanted else 'earlier generation'} to go back to; "
            f"kept beside the live one ({live}): {others}"
        )
    return names[wanted]


def tidy(
    catalog: Catalog, domain: str, *, days: int, keep: int, drop_index: Callable[[Generation], None], now: datetime
) -> list[str]:
    """Remove superseded generations beyond the newest `keep`, and those superseded for `days`; names of the removed.

    Those that the live one was made of count as newer than those that were gone back from since. The one that
    `previous` names stays whatever its age, and so do those after the live one, which was gone back to, and those on
    another backend, which `migrate --remove-source` removes. days: 0 sets no limit.
    """
    manifest = catalog.live(domain).manifest
    live, backend = manifest.generation, manifest.backend
    known = catalog.finished(domain)
    older = [item for item in known if item.manifest.generation < live and item.manifest.backend == backend]
    line = _line(manifest, {item.manifest.generation: item.manifest for item in older})
    removed = []
    before = _before(manifest, [item.manifest.generation for item in older])
    of_line = [item for item in reversed(older) if item.manifest.generation in line]
    others = [item for item in reversed(older) if item.manifest.generation not in line]
    for place, generation in enumerate([*of_line, *others]):
        superseded = known[known.index(generation) + 1].manifest.created
        aged = days > 0 and now - superseded > timedelta(days=days)
        if generation.manifest.generation == before or (place < keep and not aged):
            continue
        with suppress(BackendError):  # its collection is on a server that does not answer: removed another time
            drop_index(generation)
            catalog.remove(domain, generation.manifest.generation)
            removed.append(generation.manifest.generation)
    return removed


def remove_elsewhere(catalog: Catalog, domain: str, *, drop_index: Callable[[Generation], None]) -> list[str]:
    """Remove the generations on another backend than the live one's, as a migration leaves them; their names.

    Raises UnknownDomain, and IndexUnavailable where they are on a server that is not named or does not answer.
    """
    backend = catalog.live(domain).manifest.backend
    removed = []
    for generation in catalog.finished(domain):
        if generation.manifest.backend != backend:
            drop_index(generation)
            catalog.remove(domain, generation.manifest.generation)
            removed.append(generation.manifest.generation)
    return removed


def _before(live: Manifest, names: Sequence[str]) -> str:
    """Of finished generations, by age, the one that the live one was made of, or none.

    Of which one it was made an older version did not say: then it is the newest before it.
    """
    if live.base:
        return live.base if live.base in names else ""
    return next((name for name in reversed(names) if name < live.generation), "")


def _line(live: Manifest, older: Mapping[str, Manifest]) -> set[str]:
    """Of older generations those that the live one was made of, one by one."""
    found: set[str] = set()
    at: Manifest | None = live
    while at is not None and (name := _before(at, list(older))) and name not in found:
        found.add(name)
        at = older.get(name)
    return found


def _size(generation: Generation) -> int:
    """Bytes that its files take, holes left out."""
    return sum(path.stat().st_blocks * 512 for path in generation.folder.rglob("*"))


def utc_now() -> datetime:
    """The time by which generations age."""
    return datetime.now(UTC)
