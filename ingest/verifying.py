"""What is wrong with a stored domain: its index, stored texts and offsets compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ingest.target import Target
from rag.documents import DocumentSummary, StoredChunk
from rag.errors import IndexLocked
from rag.types import Filter

ASKED_CHUNKS = 512
"""Chunks that the index is asked for at once."""

Stored = tuple[DocumentSummary, list[StoredChunk]]


def verify(target: Target) -> list[str]:
    """What is wrong with a stored domain, one sentence each; nothing when all is well.

    Where another process answers from it, a copy of it is looked at.
    """
    try:
        target.index.count()
    except IndexLocked:
        target.change()
        try:
            return _differences(target)
        finally:
            target.drop()
    return _differences(target)


def _differences(target: Target) -> list[str]:
    problems = [f"{name}: a change of it was interrupted; run apply again" for name in target.store.pending()]
    documents, chunks = target.store.counts()
    held = target.index.count()
    if held != chunks:
        problems.append(f"the index holds {held} chunks, the {documents} stored documents have {chunks}")
    for group in _groups(target):
        # where the index holds more than it should, each document is asked for by itself: whose are they?
        there = _held(target, group) if held == chunks else {item.id: _counted(target, item.id) for item, _ in group}
        for item, stored in group:
            document = target.store.get(item.id)
            if document is None or document.text_sha256 != item.text_sha256:
                problems.append(f"{item.id}: its stored text does not match its hash")
                continue
            if any(not 0 <= chunk.start < chunk.end <= len(document.text) for chunk in stored):
                problems.append(f"{item.id}: a chunk lies outside its text")
            if there[item.id] != len(stored):
                problems.append(f"{item.id}: the index holds {there[item.id]} of its {len(stored)} chunks")
    return problems


def _groups(target: Target) -> Iterator[list[Stored]]:
    """Documents with their chunks, some hundred chunks at a time."""
    group: list[Stored] = []
    count = 0
    for item in target.store.summaries():
        group.append((item, target.store.chunks(item.id)))
        count += item.chunks
        if count >= ASKED_CHUNKS:
            yield group
            group, count = [], 0
    yield group


def _held(target: Target, group: Sequence[Stored]) -> dict[str, int]:
    """How many of each document's own chunks the index holds."""
    names = [chunk.id for _, stored in group for chunk in stored]
    held: set[str] = set()
    for first in range(0, len(names), ASKED_CHUNKS):
        held |= target.index.vectors(names[first : first + ASKED_CHUNKS]).keys()
    return {item.id: sum(chunk.id in held for chunk in stored) for item, stored in group}


def _counted(target: Target, document_id: str) -> int:
    return target.index.count(Filter(documents=(document_id,)))
