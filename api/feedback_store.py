"""What callers said of answers, one SQLite file a domain beside its documents: it goes when the domain goes.

The newest word on a request replaces an older one; beyond the bound the oldest go. On disk when `keep` returns.
Knows no HTTP.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from rag.errors import CorpusError, StorageFull
from rag.types import Value

SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
    request_id TEXT PRIMARY KEY, time TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS feedback_time ON feedback (time);
"""

WAIT_SECONDS = 30.0
"""Longest wait for another process that writes the same file: a write takes as long as the disk takes to sync."""

_TURNS = threading.Lock()
"""Writers of one process take turns in order; SQLite's own wait is a poll, in which one of many can lose every time."""

Rating = Literal["up", "down", "correct", "incorrect"]


class Feedback(Value):
    """What one caller said of one answer; nothing else of the question is stored."""

    request_id: str = Field(
        min_length=1, max_length=140, description="X-Request-ID of the answer, or the id of a chat completion"
    )
    domain: str = Field(description="the domain that was asked")
    rating: Rating = Field(description="whether the answer was right")
    question: str = Field("", max_length=4000, description="what was asked; needed for an evaluation")
    answer: str = Field("", max_length=4000, description="the answer that is rated; a right one is gold")
    right_answer: str = Field("", max_length=4000, description="what would have been right")
    comment: str = Field("", max_length=4000)

    @property
    def liked(self) -> bool:
        """Whether the answer was right."""
        return self.rating in ("up", "correct")

    def gold(self) -> tuple[str, ...]:
        """What an evaluation may take for right: what the caller says it is, or the answer that was rated so."""
        said = (self.right_answer, self.answer if self.liked else "")
        return tuple(dict.fromkeys(text.strip() for text in said if text.strip()))


class FeedbackStore:
    """The feedback on one domain. Each call opens the file anew: feedback comes seldom, and files may go."""

    def __init__(self, path: Path, *, most: int) -> None:
        """`path`: in the folder of a domain that is there; `most`: rows that are kept."""
        self._path = path
        self._most = most

    def keep(self, feedback: Feedback) -> None:
        """Store it, on disk when this returns. Raises StorageFull, CorpusError."""
        now = datetime.now(UTC).isoformat()
        with _TURNS, self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "INSERT INTO feedback VALUES (?, ?, ?) ON CONFLICT (request_id) DO UPDATE "
                "SET time = excluded.time, body = excluded.body",
                (feedback.request_id, now, feedback.model_dump_json()),
            )
            db.execute(
                "DELETE FROM feedback WHERE request_id IN "
                "(SELECT request_id FROM feedback ORDER BY time DESC, request_id LIMIT -1 OFFSET ?)",
                (self._most,),
            )
            db.execute("COMMIT")

    def all(self) -> list[Feedback]:
        """Everything that is kept, oldest first. Raises CorpusError."""
        if not self._path.is_file():
            return []
        with self._opened() as db:
            rows = db.execute("SELECT body FROM feedback ORDER BY time, request_id").fetchall()
        return [Feedback.model_validate_json(body) for (body,) in rows]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=WAIT_SECONDS, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous=FULL")
                db.executescript(SCHEMA)
                yield db
        except sqlite3.Error as error:
            if "full" in str(error):
                raise StorageFull("no space left for feedback: free some") from error
            # Told to callers: the domain's folder names the file, not where on this machine it is.
            where = f"{self._path.name} of domain {self._path.parent.name!r}"
            raise CorpusError(f"cannot use {where}: {error}; if it is damaged, move it away") from error
