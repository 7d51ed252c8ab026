"""What is wrong with a stored domain: its index, stored texts and offsets compared."""

from __future__ import annotations

from ingest.target import Target
from rag.errors import IndexLocked
from rag.types import Filter


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
    if (held := target.index.count()) != chunks:
        problems.append(f"the index holds {held} chunks, the {documents} stored documents have {chunks}")
    for summary in target.store.summaries():
        document = target.store.get(summary.id)
        if document is None or document.text_sha256 != summary.text_sha256:
            problems.append(f"{summary.id}: its stored text does not match its hash")
            continue
        stored = target.store.chunks(summary.id)
        if any(not 0 <= chunk.start < chunk.end <= len(document.text) for chunk in stored):
            problems.append(f"{summary.id}: a chunk lies outside its text")
        if (held := target.index.count(Filter(documents=(summary.id,)))) != len(stored):
            problems.append(f"{summary.id}: the index holds {held} of its {len(stored)} chunks")
    return problems
