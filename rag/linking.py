"""Links stored documents that say the same in nearly the same words (rag.likeness), as they are written.

What is asked of the database grows with the documents that are alike, not with those that are written: beside a fast
embedder each statement for every document is felt. Knows the tables `sketches`, `alike` and `documents` alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from rag.likeness import alike, words_of

MOST_COMPARED = 8
"""Stored documents that a new one is compared with, word by word: those that share most of its sketch."""


def link(db: sqlite3.Connection, texts: Mapping[str, tuple[str, Sequence[int]]], *, old: Collection[str]) -> None:
    """Link documents, (text, its sketch) by id, with the stored ones and with each other.

    old: those of them that were stored before, whatever they were linked with then.
    """
    for table, column in (("sketches", "document_id"), ("alike", "document_id"), ("alike", "other_id")):
        # both names come from the line above, never from a caller
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(name,) for name in old])  # noqa: S608
    shared = _shared(db, [band for _, bands in texts.values() for band in bands])
    waiting: list[tuple[int, str]] = []
    for name, (text, bands) in texts.items():
        if met := [band for band in bands if band in shared]:
            _insert(db, waiting)
            _compare(db, name, text, met)
        waiting += [(band, name) for band in bands]
    _insert(db, waiting)


def _shared(db: sqlite3.Connection, bands: Sequence[int]) -> set[int]:
    """The bands that a stored document has too, or two of those that are written."""
    counts = Counter(bands)
    query = "SELECT DISTINCT band FROM sketches WHERE band IN (SELECT value FROM json_each(?))"
    stored = {row[0] for row in db.execute(query, (json.dumps(list(counts)),))}
    return stored | {band for band, count in counts.items() if count > 1}


def _compare(db: sqlite3.Connection, name: str, text: str, bands: Sequence[int]) -> None:
    """Link a document with those of the stored ones that it is alike."""
    shared: Counter[str] = Counter()
    for band in bands:
        few = "SELECT document_id FROM sketches WHERE band = ? ORDER BY document_id LIMIT ?"
        shared.update(row[0] for row in db.execute(few, (band, 2 * MOST_COMPARED)))
    said = words_of(text) if shared else None
    for other, _ in shared.most_common(MOST_COMPARED):
        (stored,) = db.execute("SELECT text FROM documents WHERE id = ?", (other,)).fetchone()
        if said and alike(said, words_of(stored)):
            db.executemany("INSERT INTO alike VALUES (?, ?)", [(name, other), (other, name)])


def _insert(db: sqlite3.Connection, rows: list[tuple[int, str]]) -> None:
    """Write the rows and empty their list."""
    db.executemany("INSERT OR IGNORE INTO sketches VALUES (?, ?)", rows)
    rows.clear()
