"""Ingestion jobs as they are told and as they are kept: on disk before they are acknowledged, until they are forgotten.

    <data>/jobs/<id>/record.json    the job, and what it is asked to do
    <data>/jobs/<id>/files/         uploaded files, until the job has ended

A folder is made under another name and renamed when all of it is on disk, so that a crash leaves whole jobs only.
Knows no queue and no pipeline.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, ValidationError

from rag.catalog import storage_error, write_atomically
from rag.errors import CorpusError
from rag.types import Value

UNACKNOWLEDGED = ".new"
"""Suffix of a folder that is still being filled."""


class JobState(StrEnum):
    """Where a job is; the last three are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Unread(Value):
    """A file or row that gave no document, or not all of one."""

    source: str
    reason: str


class Job(Value):
    """A change of a domain that is waiting, under way or ended. Readers see the change whole once it is `done`."""

    id: str
    domain: str
    kind: Literal["upload", "delete", "delete_domain"]
    state: JobState
    created: datetime
    documents: NonNegativeInt = Field(0, description="looked at so far: unchanged, unreadable or embedded")
    total: NonNegativeInt = Field(0, description="about how many there are")
    chunks: NonNegativeInt = Field(0, description="embedded, or removed, so far")
    seconds: float = Field(0, ge=0, description="that it has worked")
    new: NonNegativeInt = 0
    changed: NonNegativeInt = 0
    unchanged: NonNegativeInt = 0
    removed: NonNegativeInt = 0
    unreadable: tuple[Unread, ...] = ()
    partly: tuple[Unread, ...] = Field((), description="documents of which some pages gave no text")
    error: str = Field("", description="why it failed, or was cancelled")


class Record(Value):
    """A job and what it is asked to do."""

    job: Job
    documents: tuple[str, ...] = ()
    """For kind `delete`: the ids; none: those that `where` describes when the job runs."""
    where: dict[str, str] = Field(default_factory=dict)
    """For kind `delete`: metadata fields and the values that they must all have."""
    attempts: NonNegativeInt = 0
    """How often it was begun."""


class JobFolder:
    """A job that is being made; nobody knows of it until `JobStore.acknowledge`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"


class JobStore:
    """The jobs under one data directory."""

    def __init__(self, data_directory: Path) -> None:
        self._root = data_directory / "jobs"

    def begin(self) -> JobFolder:
        """A folder to fill. Raises StorageFull, CorpusError."""
        name = f"{time.time_ns():016x}{secrets.token_hex(8)}"
        folder = self._root / (name + UNACKNOWLEDGED)
        try:
            (folder / "files").mkdir(parents=True)
        except OSError as error:
            raise storage_error(error, folder) from error
        return JobFolder(folder)

    def abandon(self, begun: JobFolder) -> None:
        """Remove a folder that became no job."""
        shutil.rmtree(begun.folder, ignore_errors=True)

    def acknowledge(
        self,
        begun: JobFolder,
        domain: str,
        kind: Literal["upload", "delete", "delete_domain"],
        documents: tuple[str, ...] = (),
        where: Mapping[str, str] | None = None,
    ) -> Record:
        """The job of a filled folder; it survives a crash from now on. Raises StorageFull, CorpusError."""
        name = begun.folder.name.removesuffix(UNACKNOWLEDGED)
        job = Job(id=name, domain=domain, kind=kind, state=JobState.QUEUED, created=datetime.now(UTC))
        record = Record(job=job, documents=documents, where=dict(where or {}))
        try:
            for path in begun.files.rglob("*"):
                _sync(path)
            _sync(begun.files)
            write_atomically(begun.folder / "record.json", record.model_dump_json())
            begun.folder.rename(self._root / name)
            _sync(self._root)
        except OSError as error:
            self.abandon(begun)
            raise storage_error(error, begun.folder) from error
        return record

    def files_of(self, job: Job) -> Path:
        """The folder of its uploaded files."""
        return self._root / job.id / "files"

    def save(self, record: Record) -> None:
        """Keep how far it is. Raises StorageFull, CorpusError."""
        folder = self._root / record.job.id
        try:
            write_atomically(folder / "record.json", record.model_dump_json())
            if record.job.state in ENDED:
                shutil.rmtree(folder / "files", ignore_errors=True)
        except OSError as error:
            raise storage_error(error, folder) from error

    def load(self, *, keep: int) -> list[Record]:
        """Every job, oldest first: all that have not ended, and the newest `keep` that have; the rest is removed."""
        if not self._root.is_dir():
            return []
        found: list[Record] = []
        for folder in sorted(self._root.iterdir()):
            try:
                if folder.name.endswith(UNACKNOWLEDGED):
                    raise CorpusError("never acknowledged")
                found.append(Record.model_validate_json((folder / "record.json").read_bytes()))
            except (CorpusError, OSError, ValidationError):
                shutil.rmtree(folder, ignore_errors=True)
        ended = [record for record in found if record.job.state in ENDED]
        for record in ended:  # a crash may have come between the end and this
            shutil.rmtree(self._root / record.job.id / "files", ignore_errors=True)
        for record in ended[: max(0, len(ended) - keep)]:
            self.forget(record.job)
            found.remove(record)
        return found

    def forget(self, job: Job) -> None:
        """Remove a job that has ended."""
        shutil.rmtree(self._root / job.id, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
