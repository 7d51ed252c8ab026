"""The chunkers, and which of them splits a document: by its format, or as its folder's corpus.toml says.

Knows no corpus and no index. A new one is a function from a document to spans of its text, with a fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingest import splitting, splitting_code, splitting_rows, splitting_tokens, splitting_window
from ingest.chunk_sizes import CUT
from ingest.languages import LANGUAGES
from rag.outline import above, path
from rag.types import Chunk, Document

ChunkerName = Literal["sections", "tokens", "window", "rows", "code"]


@dataclass(frozen=True, slots=True)
class Chunker:
    """A way to split a document; `fingerprint`, which begins with its name, changes with the chunks it would give."""

    name: ChunkerName
    fingerprint: str
    split: Callable[[Document], Iterator[Chunk]]


CHUNKERS: dict[str, Chunker] = {
    each.name: each
    for each in (
        Chunker("sections", splitting.FINGERPRINT, lambda d: splitting.split(d.text, title=d.title)),
        Chunker("tokens", splitting_tokens.FINGERPRINT, lambda d: splitting_tokens.split_tokens(d.text)),
        Chunker("window", splitting_window.FINGERPRINT, lambda d: splitting_window.split_window(d.text)),
        Chunker("rows", splitting_rows.FINGERPRINT, lambda d: splitting_rows.split_rows(d.text, title=d.title)),
        Chunker("code", splitting_code.FINGERPRINT, lambda d: splitting_code.split_code(d.text)),
    )
}

FINGERPRINT = ",".join(each.fingerprint for each in CHUNKERS.values())
"""Of a generation, whose documents may be split by any of them; each document's recipe says by which."""

_SHEETS = (".csv", ".tsv", ".xlsx", ".xlsm", ".xltx", ".xltm", ".xls", ".xlsb", ".ods")
BY_SUFFIX = {**dict.fromkeys(LANGUAGES, CHUNKERS["code"]), **dict.fromkeys(_SHEETS, CHUNKERS["rows"])}
"""Everything else is split by sections."""

_ROW = re.compile(r"#\d+$")


def chunker_for(source: str, chosen: str = "") -> Chunker:
    """The chosen chunker, else the one of the source's format."""
    if chosen:
        return CHUNKERS[chosen]
    return BY_SUFFIX.get(Path(file_of(source)).suffix.lower(), CHUNKERS["sections"])


def file_of(source: str) -> str:
    """The file that a source is, or is a row of."""
    return _ROW.sub("", source)


def chunks_of(document: Document, chunker: Chunker | None = None) -> list[Chunk]:
    """The chunks of a document; one of bare headings is one chunk, so that no stored document is invisible."""
    text = document.text
    chunks = list((chunker or chunker_for(document.source)).split(document))
    if chunks:
        return under_terms(text, chunks)
    start = len(text) - len(text.lstrip())
    text = text.strip()[:CUT]
    return [Chunk(start=start, end=start + len(text), text=text)]


def under_terms(text: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks of a text with the terms that they stand under: its words and indents tell them, no store keeps them."""
    named = zip(chunks, above(text, [chunk.start for chunk in chunks]), strict=True)
    return [chunk.model_copy(update={"under": path(under)}) if under else chunk for chunk, under in named]
