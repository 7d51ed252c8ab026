"""The stored texts of one generation, in SQLite: what every citation's offsets refer to. Knows no vectors.

A document is *pending* from the moment its chunks begin to change in the index until both agree again; a
pending document found at start was interrupted, and whoever writes next does it again. Readers see committed
documents only. One writer, any number of readers (write-ahead log).
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import NonNegativeInt

from rag.catalog import storage_error
from rag.errors import CorpusError, StorageFull
from rag.likeness import lowered, sketch, words_sha256
from rag.linking import link
from rag.page_boxes import PlacedText
from rag.types import Document, MetadataValue, Value

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, text_sha256 TEXT NOT NULL,
    file_sha256 TEXT NOT NULL, source TEXT NOT NULL, metadata TEXT NOT NULL, recipe TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS documents_source ON documents (source);
CREATE TABLE IF NOT EXISTS chunks (
    id TEXT PRIMARY KEY, document_id TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    embedded BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE INDEX IF NOT EXISTS chunks_document ON chunks (document_id);
CREATE TABLE IF NOT EXISTS likeness (document_id TEXT PRIMARY KEY, words_sha256 TEXT NOT NULL) STRICT;
DROP INDEX IF EXISTS likeness_words;
CREATE INDEX IF NOT EXISTS likeness_first ON likeness (words_sha256, document_id);
CREATE TABLE IF NOT EXISTS sketches (
    band INTEGER NOT NULL, document_id TEXT NOT NULL, PRIMARY KEY (band, document_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sketches_document ON sketches (document_id);
CREATE TABLE IF NOT EXISTS alike (
    document_id TEXT NOT NULL, other_id TEXT NOT NULL, PRIMARY KEY (document_id, other_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alike_other ON alike (other_id);
CREATE TABLE IF NOT EXISTS layouts (
    document_id TEXT PRIMARY KEY, text_sha256 TEXT NOT NULL, places BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pending (document_id TEXT PRIMARY KEY, chunk_ids TEXT NOT NULL) STRICT;
"""

EMBEDDED_INDEX = """
CREATE INDEX IF NOT EXISTS chunks_embedded ON chunks (embedded) WHERE embedded != x'';
"""
"""Made once the column is there, which older files lack."""

TABLES = (
    ("documents", "id"),
    ("chunks", "document_id"),
    ("layouts", "document_id"),
    ("likeness", "document_id"),
    ("sketches", "document_id"),
    ("alike", "document_id"),
    ("alike", "other_id"),
    ("pending", "document_id"),
)
"""Of what is kept of a document, and the column with its id."""

AT_ONCE = 500
"""Values of one statement: SQLite takes 999 at the least."""

MOST_LENDERS = 8
"""Chunks made of one text that are looked at for one whose document may lend its vector."""


T = TypeVar("T")


class StoredChunk(Value):
    """A chunk as the document store knows it: identity and offsets."""

    id: str
    start: NonNegativeInt
    end: NonNegativeInt
    embedded: str = ""
    """Hex digest of the text that its vector was made of; empty where that is not known."""


class DocumentSummary(Value):
    """A stored document without its text."""

    id: str
    title: str
    characters: int
    chunks: int
    text_sha256: str
    file_sha256: str
    source: str
    recipe: str
    metadata: dict[str, str | int | float | bool]
    same_as: str = ""
    """The first document, by id, of those that say the same in the same or nearly the same words (rag.likeness); empty
    for that one, and where no other does."""


class DocumentStore:
    """Documents and chunk identities of one generation. Thread-safe."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        """Open the file; `writable` creates it. Raises CorpusError when it is no such store."""
        self._path = path
        self._lock = threading.Lock()
        try:
            if writable:
                self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(SCHEMA)
                if not _knows_embedded(self._db):
                    self._db.execute("ALTER TABLE chunks ADD COLUMN embedded BLOB NOT NULL DEFAULT x''")
                self._db.executescript(EMBEDDED_INDEX)
            else:
                uri = f"{path.resolve().as_uri()}?mode=ro"
                self._db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
                self._db.execute("SELECT count(*) FROM documents").fetchone()
            self._knows_embedded = _knows_embedded(self._db)
        except (sqlite3.Error, OSError) as error:
            if hasattr(self, "_db"):
                self._db.close()
            raise _failure(error, path) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._db.close()

    def copy_to(self, path: Path) -> None:
        """Copy everything into a new file, as of one moment. Raises StorageFull, CorpusError."""
        with self._lock:
            try:
                copy = sqlite3.connect(path)
                try:
                    self._db.backup(copy)
                finally:
                    copy.close()
            except sqlite3.Error as error:
                raise _failure(error, path) from error

    def finish(self) -> None:
        """Fold the write-ahead log into the file, which from now on is only read, and close it."""
        with self._lock:
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._db.execute("PRAGMA journal_mode=DELETE")
                self._db.close()
            except sqlite3.Error as error:
                raise _failure(error, self._path) from error

    # --- reading ---

    def get(self, document_id: str) -> Document | None:
        """A document with its whole text, but without its layout, or None."""
        row = self._one(
            "SELECT id, title, text, file_sha256, source, metadata FROM documents WHERE id = ?", (document_id,)
        )
        if row is None:
            return None
        return Document(
            id=row[0], title=row[1], text=row[2], file_sha256=row[3], source=row[4], metadata=json.loads(row[5])
        )

    def whole(self, document_id: str) -> Document | None:
        """A document with its text and its layout, to be written elsewhere, or None."""
        document = self.get(document_id)
        return document and document.model_copy(update={"layout": self.layout(document_id)})

    def layout(self, document_id: str) -> tuple[PlacedText, ...]:
        """Where a document's text stands on pages, in order; empty for one without pages."""
        if not self._has("layouts"):
            return ()
        row = self._one("SELECT places FROM layouts WHERE document_id = ?", (document_id,))
        return tuple(PlacedText(*item) for item in json.loads(zlib.decompress(row[0]))) if row else ()

    def summaries(self, *, after: str = "", limit: int = -1) -> list[DocumentSummary]:
        """Documents without their texts, by id: those whose id comes after `after`, at most `limit` unless negative."""
        same = "''"
        if self._has("likeness"):
            same = (
                "(SELECT (SELECT o.document_id FROM likeness o WHERE o.words_sha256 = l.words_sha256"
                " ORDER BY o.document_id LIMIT 1) FROM likeness l WHERE l.document_id = d.id)"
            )
        if self._has("alike"):
            near = "(SELECT min(other_id) FROM alike WHERE document_id = d.id)"
            same = f"min(ifnull({same}, d.id), ifnull({near}, d.id))"
        query = (
            # `same` is one of the texts above, never a caller's
            "SELECT d.id, d.title, length(d.text), count(c.id), d.text_sha256, d.file_sha256, d.source, d.recipe,"  # noqa: S608
            f" d.metadata, {same} FROM documents d LEFT JOIN chunks c ON c.document_id = d.id"
            " WHERE d.id > ? GROUP BY d.id ORDER BY d.id LIMIT ?"
        )
        rows = self._all(query, (after, limit))
        return [
            DocumentSummary(
                id=row[0],
                title=row[1],
                characters=row[2],
                chunks=row[3],
                text_sha256=row[4],
                file_sha256=row[5],
                source=row[6],
                recipe=row[7],
                metadata=json.loads(row[8]),
                same_as=row[9] if row[9] and row[9] != row[0] else "",
            )
            for row in rows
        ]

    def counts(self) -> tuple[int, int]:
        """(documents, chunks)."""
        row = self._one("SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks)")
        return (row[0], row[1]) if row else (0, 0)

    def chunks(self, document_id: str) -> list[StoredChunk]:
        """Chunk identities of a document, by offset."""
        embedded = "lower(hex(embedded))" if self._knows_embedded else "''"
        # `embedded` is one of the two texts above, never a caller's
        query = f'SELECT id, start, "end", {embedded} FROM chunks WHERE document_id = ? ORDER BY start, "end"'  # noqa: S608
        rows = self._all(query, (document_id,))
        return [StoredChunk(id=row[0], start=row[1], end=row[2], embedded=row[3]) for row in rows]

    def chunk_ids(self, document_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids of the chunks of documents; one that has none is left out."""
        found: dict[str, list[str]] = {}
        for some in _slices(document_ids):
            # as many question marks as values, nothing of a caller's
            query = f"SELECT document_id, id FROM chunks WHERE document_id IN ({_marks(some)})"  # noqa: S608
            for document_id, name in self._all(query, some):
                found.setdefault(document_id, []).append(name)
        return found

    def made_of(self, digests: Sequence[str], *, without: AbstractSet[str] = frozenset()) -> dict[str, str]:
        """A chunk, by its id, whose vector was made of the text with each of these digests, where there is one.

        None of the documents `without`, nor of one that is pending.
        """
        query = (
            "SELECT id, document_id FROM chunks c WHERE embedded = ? AND embedded != x'' AND NOT EXISTS"
            " (SELECT 1 FROM pending p WHERE p.document_id = c.document_id) ORDER BY c.rowid LIMIT ?"
        )
        found: dict[str, str] = {}
        for some in _slices(digests) if self._knows_embedded else ():
            # of a text that is new, as most are, no more is asked; question marks alone, as above
            asked = f"WITH asked (digest) AS (VALUES {', '.join(['(?)'] * len(some))})"
            held = "EXISTS (SELECT 1 FROM chunks WHERE embedded = digest AND embedded != x'')"
            known = f"{asked} SELECT digest FROM asked WHERE {held}"  # noqa: S608  # of the two lines above
            for (digest,) in self._all(known, [bytes.fromhex(digest) for digest in some]):
                rows = self._all(query, (digest, MOST_LENDERS))
                if lent := next((name for name, document in rows if document not in without), None):
                    found[digest.hex()] = lent
        return found

    def metadata(self) -> dict[str, dict[str, MetadataValue]]:
        """The metadata of every document that has some, by id."""
        rows = self._all("SELECT id, metadata FROM documents WHERE metadata != '{}'")
        return {row[0]: json.loads(row[1]) for row in rows}

    def titles(self) -> list[tuple[str, str]]:
        """(id, title) of every document, by id."""
        return [(row[0], row[1]) for row in self._all("SELECT id, title FROM documents ORDER BY id")]

    def version(self) -> int:
        """Changes when another connection has changed the file."""
        row = self._one("PRAGMA data_version")
        return int(row[0]) if row else 0

    def pending(self) -> dict[str, list[str]]:
        """Documents whose index change was interrupted, with every chunk id that may be half there."""
        return {row[0]: json.loads(row[1]) for row in self._all("SELECT document_id, chunk_ids FROM pending")}

    # --- writing ---

    def begin(self, changes: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Mark documents as pending, each with every chunk id, old or new, that is about to change."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO pending VALUES (?, ?)", [(d, json.dumps(list(ids))) for d, ids in changes]
            )

    def commit(self, documents: Sequence[tuple[Document, str, Sequence[StoredChunk]]]) -> None:
        """Store (document, recipe, chunks) whose chunks are now in the index, replacing older versions."""
        last = {document.id: (document, recipe, chunks) for document, recipe, chunks in documents}
        rows, layouts, likeness, written = [], [], [], []
        texts: dict[str, tuple[str, list[int]]] = {}
        for document, recipe, chunks in last.values():
            metadata = json.dumps(document.metadata, ensure_ascii=False, sort_keys=True)
            told = (document.file_sha256, document.source, metadata, recipe)
            rows.append((document.id, document.title, document.text, document.text_sha256, *told))
            if document.layout:
                places = zlib.compress(json.dumps(document.layout).encode())
                layouts.append((document.id, document.text_sha256, places))
            words = lowered(document.text)
            if said := words_sha256(words):
                likeness.append((document.id, said))
            texts[document.id] = (document.text, sketch(words))
            written += [(c.id, document.id, c.start, c.end, bytes.fromhex(c.embedded)) for c in chunks]
        with self._transaction() as db:
            old = _known(db, list(last))
            # a document that was got from here and is written again has no layout with it: the stored one stays
            query = "DELETE FROM layouts WHERE document_id = ? AND text_sha256 != ?"
            db.executemany(query, [(name, last[name][0].text_sha256) for name in old])
            db.executemany("DELETE FROM likeness WHERE document_id = ?", [(name,) for name in old])
            db.executemany("DELETE FROM chunks WHERE document_id = ?", [(name,) for name in old])
            db.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            db.executemany("INSERT OR REPLACE INTO layouts VALUES (?, ?, ?)", layouts)
            db.executemany("INSERT OR REPLACE INTO likeness VALUES (?, ?)", likeness)
            db.executemany("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?)", written)
            link(db, texts, old=old)
            db.executemany("DELETE FROM pending WHERE document_id = ?", [(name,) for name in last])

    def delete(self, document_ids: Sequence[str]) -> None:
        """Forget documents whose chunks are gone from the index."""
        with self._transaction() as db:
            for table, column in TABLES:
                # both names come from the line above, never from a caller
                db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(d,) for d in document_ids])  # noqa: S608

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise _failure(error, self._path) from error

    def _has(self, table: str) -> bool:
        """Whether the file has a table that older versions did not make."""
        return self._one("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)) is not None

    def _one(self, sql: str, arguments: Sequence[str] = ()) -> tuple[Any, ...] | None:
        rows = self._all(sql, arguments)
        return rows[0] if rows else None

    def _all(self, sql: str, arguments: Sequence[str | int | bytes] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, arguments).fetchall()
            except sqlite3.Error as error:
                raise _failure(error, self._path) from error


def _knows_embedded(db: sqlite3.Connection) -> bool:
    """Whether the file says of chunks what their vectors were made of, as older versions did not."""
    query = "SELECT 1 FROM pragma_table_info('chunks') WHERE name = 'embedded'"
    return db.execute(query).fetchone() is not None


def _known(db: sqlite3.Connection, names: Sequence[str]) -> list[str]:
    """Those of the documents that are stored."""
    found: list[str] = []
    for some in _slices(names):
        # as many question marks as values, nothing of a caller's
        found += [row[0] for row in db.execute(f"SELECT id FROM documents WHERE id IN ({_marks(some)})", some)]  # noqa: S608
    return found


def _slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, as many at a time as one statement takes."""
    for first in range(0, len(values), AT_ONCE):
        yield values[first : first + AT_ONCE]


def _marks(values: Sequence[object]) -> str:
    """A question mark for each."""
    return ", ".join("?" * len(values))


def _failure(error: sqlite3.Error | OSError, path: Path) -> CorpusError | StorageFull:
    if isinstance(error, OSError):
        return storage_error(error, path)
    if "full" in str(error):
        return StorageFull(f"no space left for {path}: free some, or set UNDERSTUDY_DATA__DIRECTORY to another disk")
    return CorpusError(f"cannot use {path}: {error}; if it is damaged, delete the domain and ingest again")
