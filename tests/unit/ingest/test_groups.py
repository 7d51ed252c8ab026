"""The groups that documents are embedded in: the first small, each later one twice as large, to a bound."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.embedding import Ready
from ingest.writing import FIRST_CHUNKS, GROUP_CHUNKS, grouped
from rag.types import Chunk, Document


def documents(count: int, chunks: int) -> Iterator[Ready]:
    for number in range(count):
        text = "word " * chunks
        parts = [Chunk(start=5 * i, end=5 * i + 4, text="word") for i in range(chunks)]
        yield Ready(Document(id=str(number), title="", text=text, file_sha256="0" * 64, source="a.txt"), "", parts)


def test_the_embedder_soon_has_something_to_do_and_later_much_of_like_length() -> None:
    sizes = [sum(len(ready.chunks) for ready in group) for group in grouped(documents(7000, 1))]
    assert sizes[:5] == [FIRST_CHUNKS << turn for turn in range(5)]
    assert sizes[5:] == [GROUP_CHUNKS, GROUP_CHUNKS, 7000 - sum(sizes[:7])]


def test_a_group_waits_for_no_document_that_has_not_been_read() -> None:
    source = documents(7000, 1)
    next(grouped(source))
    assert sum(1 for _ in source) == 7000 - FIRST_CHUNKS


def test_documents_stay_whole_and_in_order() -> None:
    groups = list(grouped(documents(40, 100)))
    assert [len(group) for group in groups] == [1, 2, 3, 6, 11, 17]
    assert [ready.document.id for group in groups for ready in group] == [str(number) for number in range(40)]
