"""What the service does to its domains: jobs kept on disk, worked off one by one through `ingest`. Knows no HTTP.

Questions go first: the pipeline's embedder is asked in short calls, and the store is changed beside the live one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Literal

from api.job_queue import JobQueue, Tell
from api.jobs import Job, JobFolder, JobStore, Record, Unread
from api.uploads import HEAD_BYTES
from ingest.deleting import delete_domain
from rag.catalog import check_domain_name
from rag.errors import ModelBusy, UploadTooLarge
from rag.protocols import Embedder
from rag.settings import Settings

if TYPE_CHECKING:
    from ingest.corpus import Partly, Unreadable
    from ingest.progress import Progress

TOLD = 1000
"""Unreadable files and rows that a job names: a table may have a million bad rows."""


class Receiving:
    """An upload under way: a folder to fill."""

    def __init__(self, begun: JobFolder, submit: Callable[[], Job]) -> None:
        self.folder = begun.files
        self.job: Job | None = None
        self._submit = submit

    async def submit(self) -> Job:
        """The job of what the folder holds; it survives a crash from now on. Raises StorageFull, CorpusError."""
        self.job = await asyncio.to_thread(self._submit)
        return self.job


class Ingesting:
    """The jobs of one service."""

    def __init__(self, settings: Settings, embedder: Callable[[], Embedder]) -> None:
        """`embedder` is asked for once there are jobs."""
        self._settings, self._embedder = settings, embedder
        self._store = JobStore(settings.data.directory)
        self._receiving = 0
        uploads = settings.uploads
        self.queue = JobQueue(
            self._store,
            self._run,
            max_waiting=uploads.max_waiting,
            job_seconds=uploads.job_seconds,
            keep=uploads.keep_jobs,
        )

    def start(self) -> None:
        """Take up what an earlier process acknowledged, and begin to work."""
        self.queue.start()

    def close(self) -> None:
        """Interrupt what is under way; it goes on at the next start."""
        self.queue.close()

    @asynccontextmanager
    async def receiving(self, domain: str, length: int) -> AsyncIterator[Receiving]:
        """A place for the files of an upload, removed again unless it is submitted; see Service.receiving."""
        limits = self._settings.uploads
        if length > limits.max_bytes + limits.max_files * HEAD_BYTES:
            raise UploadTooLarge(f"{length:,} bytes are more than the {limits.max_bytes:,} that are taken at once")
        if self._receiving >= limits.max_receiving:
            raise ModelBusy(f"{self._receiving} uploads are being received, which is all that may", retry_after=1)
        self._receiving += 1
        try:
            begun = await asyncio.to_thread(self._begin, domain)
            receiving = Receiving(begun, lambda: self._submit(domain, "upload", begun))
            try:
                yield receiving
            finally:
                if receiving.job is None:
                    await asyncio.to_thread(self._store.abandon, begun)
        finally:
            self._receiving -= 1

    def remove(self, domain: str, documents: tuple[str, ...] = (), where: Mapping[str, str] | None = None) -> Job:
        """The job that removes documents, by id or by their metadata. Raises ModelBusy, StorageFull, CorpusError."""
        return self._submit(domain, "delete", self._begin(domain), documents, where)

    def remove_domain(self, domain: str) -> Job:
        """The job that removes the whole domain. Raises ModelBusy, StorageFull, CorpusError."""
        return self._submit(domain, "delete_domain", self._begin(domain))

    def _begin(self, domain: str) -> JobFolder:
        check_domain_name(domain)
        self.queue.check_room(domain)
        return self._store.begin()

    def _submit(
        self,
        domain: str,
        kind: Literal["upload", "delete", "delete_domain"],
        begun: JobFolder,
        documents: tuple[str, ...] = (),
        where: Mapping[str, str] | None = None,
    ) -> Job:
        return self.queue.submit(self._store.acknowledge(begun, domain, kind, documents, where))

    # --- in the worker's thread ---

    def _run(self, record: Record, tell: Tell) -> Job:
        if record.job.kind == "upload":
            return self._ingest(record.job, tell)
        if record.job.kind == "delete":
            return self._remove(record)
        documents, chunks = delete_domain(self._settings, record.job.domain)
        told = {"documents": documents, "total": documents, "removed": documents, "chunks": chunks}
        return record.job.model_copy(update=told)

    def _ingest(self, job: Job, tell: Tell) -> Job:
        from ingest.corpus import folder_of_files
        from ingest.opening import open_target
        from ingest.reading_process import ReadingProcess
        from ingest.run import apply

        def progress(state: Progress) -> None:
            tell(job.model_copy(update={"documents": state.documents, "total": state.total, "chunks": state.chunks}))

        limits = self._settings.uploads
        with (
            closing(ReadingProcess(seconds=limits.file_seconds, megabytes=limits.file_megabytes)) as reading,
            closing(open_target(self._settings, job.domain, self._embedder(), create=True, gentle=True)) as target,
        ):
            done = apply(folder_of_files(self._store.files_of(job), reading), target, progress=progress)
        looked = done.new + done.changed + done.unchanged + len(done.unreadable)
        return job.model_copy(
            update={
                "documents": looked,
                "total": looked,
                "chunks": done.chunks,
                "new": done.new,
                "changed": done.changed,
                "unchanged": done.unchanged,
                "unreadable": _told(done.unreadable),
                "partly": _told(done.partly),
            }
        )

    def _remove(self, record: Record) -> Job:
        from ingest.opening import open_target
        from ingest.removal import matching, remove

        target = open_target(self._settings, record.job.domain, self._embedder(), create=False, gentle=True)
        with closing(target):
            wanted = record.documents or matching(target, record.where)
            done = remove(target, wanted)
        count = len(wanted)
        return record.job.model_copy(
            update={"documents": count, "total": count, "removed": done.documents, "chunks": done.chunks}
        )


def _told(unreadable: Sequence[Unreadable | Partly]) -> tuple[Unread, ...]:
    told = [Unread(source=item.source, reason=item.reason) for item in unreadable[:TOLD]]
    if len(unreadable) > TOLD:
        told.append(Unread(source="", reason=f"and {len(unreadable) - TOLD} more"))
    return tuple(told)
