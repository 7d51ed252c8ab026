"""Jobs in order, a bounded number waiting, cancelled, and taken up again after their process ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.job_queue import ATTEMPTS, JobQueue, Run, Tell
from api.jobs import Job, JobState, JobStore, Record
from rag.errors import IndexLocked, ModelBusy, StorageFull, UnknownJob


@contextmanager
def running(data: Path, run: Run, **limits: float) -> Iterator[JobQueue]:
    queue = JobQueue(
        JobStore(data),
        run,
        max_waiting=int(limits.get("max_waiting", 3)),
        job_seconds=limits.get("job_seconds", 60),
        keep=int(limits.get("keep", 100)),
    )
    queue.start()
    try:
        yield queue
    finally:
        queue.close()


def acknowledged(data: Path, domain: str = "plant", text: str = "") -> Record:
    store = JobStore(data)
    begun = store.begin()
    (begun.files / "a.md").write_text(text or domain, "utf-8")
    return store.acknowledge(begun, domain, "upload")


def ended(queue: JobQueue, job: Job, seconds: float = 5) -> Job:
    deadline = time.monotonic() + seconds
    while (found := queue.get(job.id)).state in (JobState.QUEUED, JobState.RUNNING):
        assert time.monotonic() < deadline, found
        time.sleep(0.005)
    return found


def at_once(record: Record, tell: Tell) -> Job:
    tell(record.job)
    return record.job.model_copy(update={"new": 1})


def until_told_to_stop(record: Record, tell: Tell) -> Job:
    while True:
        tell(record.job.model_copy(update={"chunks": 7}))
        time.sleep(0.005)


def test_jobs_are_done_in_order_and_their_files_go(tmp_path: Path) -> None:
    done: list[str] = []

    def run(record: Record, tell: Tell) -> Job:
        done.append(record.job.domain)
        return at_once(record, tell)

    with running(tmp_path, run) as queue:
        jobs = [queue.submit(acknowledged(tmp_path, name)) for name in ("a", "b", "c")]
        found = [ended(queue, job) for job in jobs]
        assert [(job.state, job.new) for job in found] == [(JobState.DONE, 1)] * 3
        assert [job.domain for job in queue.all()] == ["c", "b", "a"]
    assert done == ["a", "b", "c"]
    assert list(tmp_path.glob("jobs/*/files")) == []


def test_domains_take_turns_and_each_ones_jobs_keep_their_order(tmp_path: Path) -> None:
    texts: list[str] = []
    begin = threading.Event()

    def run(record: Record, tell: Tell) -> Job:
        begin.wait(5)
        texts.append((JobStore(tmp_path).files_of(record.job) / "a.md").read_text("utf-8"))
        return at_once(record, tell)

    with running(tmp_path, run) as queue:
        jobs = [queue.submit(acknowledged(tmp_path, "noisy", f"noisy {number}")) for number in range(4)]
        while queue.get(jobs[0].id).state is not JobState.RUNNING:
            time.sleep(0.005)
        jobs += [queue.submit(acknowledged(tmp_path, name, name)) for name in ("b", "c")]
        begin.set()
        assert [ended(queue, job).state for job in jobs] == [JobState.DONE] * 6
    assert texts == ["noisy 0", "b", "c", "noisy 1", "noisy 2", "noisy 3"]


def test_one_domain_leaves_places_to_the_others(tmp_path: Path) -> None:
    with running(tmp_path, until_told_to_stop, max_waiting=4) as queue:
        first = queue.submit(acknowledged(tmp_path, "noisy"))
        while queue.get(first.id).state is not JobState.RUNNING:
            time.sleep(0.005)
        for _ in range(3):
            queue.check_room("noisy")
            queue.submit(acknowledged(tmp_path, "noisy"))
        with pytest.raises(ModelBusy, match="3 ingestion jobs wait already, this domain has its share"):
            queue.check_room("noisy")
        queue.check_room("other")
        queue.submit(acknowledged(tmp_path, "other"))
        with pytest.raises(ModelBusy, match="4 ingestion jobs wait already, which is all that may"):
            queue.check_room("third")


def test_a_full_queue_refuses_with_the_wait(tmp_path: Path) -> None:
    with running(tmp_path, until_told_to_stop, max_waiting=1) as queue:
        queue.check_room("plant")
        first = queue.submit(acknowledged(tmp_path))
        while queue.get(first.id).state is not JobState.RUNNING:
            time.sleep(0.005)
        queue.submit(acknowledged(tmp_path))
        with pytest.raises(ModelBusy) as caught:
            queue.check_room("plant")
        assert caught.value.retry_after > 0


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_soon(tmp_path: Path) -> None:
    with running(tmp_path, until_told_to_stop) as queue:
        first, second = (queue.submit(acknowledged(tmp_path)) for _ in range(2))
        assert queue.cancel(second.id).state is JobState.CANCELLED
        while queue.get(first.id).chunks != 7:
            time.sleep(0.005)
        queue.cancel(first.id)
        found = ended(queue, first)
        assert (found.state, found.error, found.chunks) == (JobState.CANCELLED, "cancelled", 7)
        assert queue.cancel(first.id) == found
    assert [record.job.state for record in JobStore(tmp_path).load(keep=9)] == [JobState.CANCELLED] * 2


def test_a_job_under_way_goes_on_at_the_next_start(tmp_path: Path) -> None:
    with running(tmp_path, until_told_to_stop) as queue:
        jobs = [queue.submit(acknowledged(tmp_path, name)) for name in ("a", "b")]
        while queue.get(jobs[0].id).state is not JobState.RUNNING:
            time.sleep(0.005)
    texts: list[str] = []

    def run(record: Record, tell: Tell) -> Job:
        texts.append((JobStore(tmp_path).files_of(record.job) / "a.md").read_text("utf-8"))
        return at_once(record, tell)

    with running(tmp_path, run) as queue:
        assert [ended(queue, job).state for job in jobs] == [JobState.DONE] * 2
    assert texts == ["a", "b"]
    with running(tmp_path, run) as queue:
        assert ended(queue, jobs[0]).state is JobState.DONE
    assert texts == ["a", "b"]


def test_what_was_never_acknowledged_is_removed_at_the_next_start(tmp_path: Path) -> None:
    begun = JobStore(tmp_path).begin()
    (begun.files / "a.md").write_text("half", "utf-8")
    with running(tmp_path, at_once) as queue:
        assert queue.all() == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_job_that_seems_to_end_its_process_is_given_up(tmp_path: Path) -> None:
    store, record = JobStore(tmp_path), acknowledged(tmp_path)
    job = record.job.model_copy(update={"state": JobState.RUNNING})
    store.save(record.model_copy(update={"job": job, "attempts": ATTEMPTS}))
    with running(tmp_path, at_once) as queue:
        found = ended(queue, job)
    assert (found.state, f"ended {ATTEMPTS} times" in found.error) == (JobState.FAILED, True)


def test_a_failure_is_told_and_the_next_job_runs(tmp_path: Path) -> None:
    def run(record: Record, tell: Tell) -> Job:
        if record.job.domain == "full":
            raise StorageFull("no space left: free some")
        if record.job.domain == "broken":
            raise ZeroDivisionError("secret internals")
        return at_once(record, tell)

    with running(tmp_path, run) as queue:
        jobs = [queue.submit(acknowledged(tmp_path, name)) for name in ("full", "broken", "fine")]
        full, broken, fine = (ended(queue, job) for job in jobs)
    assert (full.state, full.error) == (JobState.FAILED, "no space left: free some")
    assert (broken.state, "secret" in broken.error) == (JobState.FAILED, False)
    assert fine.state is JobState.DONE


def test_a_job_waits_for_a_domain_that_is_changed_elsewhere(tmp_path: Path) -> None:
    free = threading.Event()

    def run(record: Record, tell: Tell) -> Job:
        if not free.is_set():
            free.set()
            raise IndexLocked("another process changes it")
        return at_once(record, tell)

    with running(tmp_path, run) as queue:
        assert ended(queue, queue.submit(acknowledged(tmp_path))).state is JobState.DONE


def test_a_job_that_takes_too_long_fails_by_its_setting(tmp_path: Path) -> None:
    with running(tmp_path, until_told_to_stop, job_seconds=0.05) as queue:
        found = ended(queue, queue.submit(acknowledged(tmp_path)))
    assert (found.state, "UNDERSTUDY_UPLOADS__JOB_SECONDS" in found.error) == (JobState.FAILED, True)


def test_the_oldest_ended_jobs_are_forgotten(tmp_path: Path) -> None:
    with running(tmp_path, at_once, keep=2) as queue:
        jobs = [queue.submit(acknowledged(tmp_path)) for _ in range(4)]
        ended(queue, jobs[-1])
        assert [job.id for job in queue.all()] == [jobs[3].id, jobs[2].id]
        with pytest.raises(UnknownJob):
            queue.get(jobs[0].id)
    assert len(list((tmp_path / "jobs").iterdir())) == 2
