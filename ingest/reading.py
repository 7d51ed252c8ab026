"""Where the files of a corpus are read: here, or wherever else something reads them. Knows no process and no corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ingest import rows
from ingest.readers import Extracted, Reader


class Reading(Protocol):
    """Reads files one after the other; see ingest.reading_process for one that keeps limits."""

    def read(self, reader: Reader, path: Path) -> Extracted:
        """The text of a file. Raises UnreadableDocument with a plain reason."""
        ...

    def rows(self, path: Path, name: str, mapping: rows.Mapping | None) -> Iterator[rows.Row | rows.BadRow]:
        """The rows of a file, as `ingest.rows.read` gives them. Raises UnreadableDocument."""
        ...


class ReadingHere:
    """Reads in this process, without limits: for files that are trusted."""

    def read(self, reader: Reader, path: Path) -> Extracted:
        """The text of a file."""
        return reader.read(path)

    def rows(self, path: Path, name: str, mapping: rows.Mapping | None) -> Iterator[rows.Row | rows.BadRow]:
        """The rows of a file."""
        return rows.read(path, name, mapping)
