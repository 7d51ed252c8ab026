"""Who changes a domain when: one worker, domains in turns, a bounded number waiting. Knows no HTTP and no file.

The jobs of one domain are done in the order in which they came. What a job does is given; it blocks, so it runs in the
worker's thread. A job that was under way when its process ended is begun again at the next start, from its files.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from api.jobs import ENDED, Job, JobState, JobStore, Record
from rag.errors import BackendError, Cancelled, IndexLocked, ModelBusy, RagError, UnknownJob

ATTEMPTS = 20
"""A job whose process ended so often while it ran is not begun again: it may be what ended it."""

LOCK_SECONDS = 0.5
"""Between two tries for a domain that the command line is changing."""

STOP_SECONDS = 10.0
"""Longest wait for a job to be interrupted: a file that is being read is not."""

OPEN_TO_ALL = 0.75
"""Share of the places that any domain may fill; the rest is for domains of which no job waits."""

FIRST_GUESS_SECONDS = 10.0
"""Length of a job until one was measured, for Retry-After."""

log = logging.getLogger("understudy.api")

Tell = Callable[[Job], None]
"""Called with the job as it is now; raises when the job must stop."""

Run = Callable[[Record, Tell], Job]
"""Does a job: the job as it ended. Raises what `tell` raises, and the pipeline's errors."""


class ServerStopping(BackendError):
    """The server stops; the job goes on at its next start."""

    code = "server_stopping"


class JobQueue:
    """One worker thread. Thread-safe."""

    def __init__(self, store: JobStore, run: Run, *, max_waiting: int, job_seconds: float, keep: int) -> None:
        """Nothing runs until `start`."""
        self._store, self._run = store, run
        self._max_waiting, self._job_seconds, self._keep = max_waiting, job_seconds, keep
        self._records: dict[str, Record] = {}
        self._cancelled: set[str] = set()
        self._waiting: list[str] = []
        self._turn = 0
        self._turns: dict[str, int] = {}
        """when each domain's last turn was, as long as jobs wait"""
        self._stopping = False
        self._seconds = FIRST_GUESS_SECONDS
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)

    def start(self) -> None:
        """Take up what an earlier process acknowledged, and begin to work."""
        for record in self._store.load(keep=self._keep):
            self._records[record.job.id] = record
            if record.job.state not in ENDED:
                self._note(record, record.job.model_copy(update={"state": JobState.QUEUED}))
                self._waiting.append(record.job.id)
        self._thread.start()

    def close(self) -> None:
        """Interrupt the job that runs; it and all that wait go on at the next start, as after a crash."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def check_room(self, domain: str) -> None:
        """Raise ModelBusy when no more jobs of this domain may wait."""
        with self._changed:
            waiting = len(self._waiting)
            own = any(self._records[name].job.domain == domain for name in self._waiting)
        if waiting >= self._max_waiting * (OPEN_TO_ALL if own else 1):
            why = "this domain has its share of them" if own else "which is all that may"
            raise ModelBusy(
                f"{waiting} ingestion jobs wait already, {why}: try again later",
                retry_after=self._seconds,
            )

    def submit(self, record: Record) -> Job:
        """Put an acknowledged job at the end of the queue."""
        with self._changed:
            self._records[record.job.id] = record
            self._waiting.append(record.job.id)
            self._changed.notify()
        return record.job

    def get(self, job_id: str) -> Job:
        """A job as it is now. Raises UnknownJob."""
        with self._changed:
            return self._known(job_id).job

    def all(self) -> list[Job]:
        """Every job that is not forgotten, newest first."""
        with self._changed:
            return [record.job for record in reversed(self._records.values())]

    def cancel(self, job_id: str) -> Job:
        """A waiting job ends at once, a running one within a call of the embedder; an ended one stays as it is."""
        with self._changed:
            record = self._known(job_id)
            if job_id in self._waiting:
                self._waiting.remove(job_id)
                self._note(record, record.job.model_copy(update={"state": JobState.CANCELLED, "error": "cancelled"}))
            elif record.job.state is JobState.RUNNING:
                self._cancelled.add(job_id)
            record = self._records[job_id]
        if record.job.state is JobState.CANCELLED:
            self._store.save(record)
        return record.job

    # --- the worker ---

    def _serve(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._turns.clear()
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                record = self._records[self._next()]
                record = self._note(record, record.job.model_copy(update={"state": JobState.RUNNING}))
            try:
                self._work(record)
            except RagError as error:  # the disk is full: the job is begun again at the next start
                log.warning("a job could not be kept", extra={"fields": {"job": record.job.id, "reason": str(error)}})

    def _next(self) -> str:
        """The oldest job of the domain whose turn is longest ago; of domains without one, the oldest."""
        name = min(self._waiting, key=lambda name: self._turns.get(self._records[name].job.domain, 0))
        self._waiting.remove(name)
        self._turn += 1
        self._turns[self._records[name].job.domain] = self._turn
        return name

    def _work(self, record: Record) -> None:
        record = record.model_copy(update={"attempts": record.attempts + 1})
        begun = time.monotonic()
        ended: Job | None
        if record.attempts > ATTEMPTS:
            ended = _ended(
                record.job, JobState.FAILED, f"the server ended {ATTEMPTS} times while it worked on this job"
            )
        else:
            self._store.save(record)
            ended = self._outcome(record, begun)
        if ended is None:
            self._store.save(record.model_copy(update={"attempts": record.attempts - 1}))
            return
        record = record.model_copy(update={"job": ended})
        self._store.save(record)
        with self._changed:
            self._note(record, ended)
            self._cancelled.discard(ended.id)
            self._seconds += 0.3 * (time.monotonic() - begun - self._seconds)
            self._forget()

    def _outcome(self, record: Record, begun: float) -> Job | None:
        """The job as it ended; None for one that is to go on at the next start."""
        name = record.job.id

        def tell(job: Job) -> None:
            with self._changed:
                if name in self._cancelled:
                    raise Cancelled("cancelled")
                if self._stopping:
                    raise ServerStopping("the server stops")
                self._note(record, job.model_copy(update={"seconds": round(time.monotonic() - begun, 3)}))
            if time.monotonic() - begun > self._job_seconds:
                raise Cancelled(
                    f"it took longer than {self._job_seconds:.0f} s (UNDERSTUDY_UPLOADS__JOB_SECONDS): nothing was "
                    "changed; send less at once"
                )

        try:
            while True:
                try:
                    tell(record.job)
                    ended = self._run(record, tell)
                    break
                except IndexLocked:
                    time.sleep(LOCK_SECONDS)
        except ServerStopping:
            return None
        except Cancelled as error:
            state = JobState.CANCELLED if name in self._cancelled else JobState.FAILED
            return _ended(self.get(name), state, str(error))
        except RagError as error:
            if self._stopping:  # what it needs is closed already
                return None
            return _ended(self.get(name), JobState.FAILED, str(error))
        except Exception:
            log.exception("a job failed", extra={"fields": {"job": name}})
            return _ended(self.get(name), JobState.FAILED, "something went wrong here; the server's log says what")
        seconds = round(time.monotonic() - begun, 3)
        return ended.model_copy(update={"state": JobState.DONE, "seconds": seconds})

    def _note(self, record: Record, job: Job) -> Record:
        self._records[job.id] = record.model_copy(update={"job": job})
        return self._records[job.id]

    def _forget(self) -> None:
        ended = [record.job for record in self._records.values() if record.job.state in ENDED]
        for job in ended[: max(0, len(ended) - self._keep)]:
            del self._records[job.id]
            self._store.forget(job)

    def _known(self, job_id: str) -> Record:
        record = self._records.get(job_id)
        if record is None:
            raise UnknownJob
        return record


def _ended(job: Job, state: JobState, error: str) -> Job:
    return job.model_copy(update={"state": state, "error": error})
