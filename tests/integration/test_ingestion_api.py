"""Documents over HTTP on a real server and the real embedded index: taken in while it answers, through kills too."""

from __future__ import annotations

import io
import random
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.jobs import ENDED, Job
from ingest.target import Target
from ingest.verifying import verify
from rag.catalog import Catalog
from rag.writer_lock import WriterLock
from tests.fakes.domains import DIMENSIONS, open_edge
from tests.fakes.embedder import HashedWords
from tests.fakes.ingest_server import SlowWords, pipeline_over, settings_for
from tests.fakes.server import served
from tests.integration.test_api_server import connect, ready, until

DOCUMENTS = "/v1/domains/plant/documents"


@contextmanager
def serving(data: Path, *, pace: float = 0.0, **uploads: float) -> Iterator[tuple[httpx.Client, SlowWords]]:
    embedder = SlowWords(pace)
    with served(lambda _: pipeline_over(data, embedder), settings_for(data, **uploads)) as url:
        assert until(lambda: ready(url))
        with httpx.Client(base_url=url, timeout=30) as client:
            yield client, embedder


def upload(client: httpx.Client, texts: dict[str, str | bytes], domain: str = "plant") -> httpx.Response:
    files = [("files", (name, text if isinstance(text, bytes) else text.encode())) for name, text in texts.items()]
    return client.post(f"/v1/domains/{domain}/documents", files=files)


def ended(client: httpx.Client, response: httpx.Response, seconds: float = 60) -> Job:
    assert response.status_code == 202, response.text
    deadline = time.monotonic() + seconds
    while True:
        job = Job.model_validate_json(client.get(response.headers["location"]).content)
        if job.state in ENDED:
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.01)


def found(client: httpx.Client, question: str, limit: int = 20) -> list[dict[str, Any]]:
    body = {"question": question, "domain": "plant", "limit": limit}
    response = client.post("/v1/passages", json=body)
    assert response.status_code == 200, response.text
    passages: list[dict[str, Any]] = response.json()
    return passages


def documents(data: Path) -> list[str]:
    """Ids of what is stored, once index and documents were compared."""
    target = Target(
        "plant",
        catalog=Catalog(data),
        embedder=HashedWords(dimensions=DIMENSIONS),
        open_index=open_edge,
        backend="edge",
        create=False,
    )
    try:
        assert verify(target) == []
        return [item.id for item in target.summaries()]
    finally:
        target.close()


PUMPS: dict[str, str | bytes] = {
    f"halls/pump-{n}.md": f"# Pump {n}\n\nPump {n} runs at {n}00 rpm." for n in range(1, 4)
}


def test_an_upload_makes_the_domain_and_is_asked_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _):
        response = upload(client, {**PUMPS, "empty.md": "", "rows.jsonl": '{"id": "r1", "text": "Row one."}\n{"id": 3'})
        job = ended(client, response)
        assert response.headers["location"] == f"/v1/jobs/{job.id}"
        assert (job.state, job.new, job.chunks, job.documents, job.total) == ("done", 4, 4, 6, 6)
        assert [item.source for item in job.unreadable] == ["empty.md", "rows.jsonl#2"]
        assert found(client, "How fast does pump 2 run?", 1)[0]["document_id"] == "halls/pump-2.md"
        assert [info["name"] for info in client.get("/v1/domains").json()] == ["plant"]
        again = ended(client, upload(client, PUMPS))
        assert (again.unchanged, again.new, again.chunks) == (3, 0, 0)
        assert [item["id"] for item in client.get("/v1/jobs").json()] == [again.id, job.id]
    assert documents(tmp_path) == [*sorted(PUMPS), "r1"]


def test_documents_and_domains_are_removed_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _):
        ended(client, upload(client, PUMPS))
        for path in ("nowhere.md", "halls/pump-9.md"):
            response = client.delete(f"{DOCUMENTS}/{path}")
            assert (response.status_code, response.json()["code"]) == (404, "unknown_document")
        job = ended(client, client.delete(f"{DOCUMENTS}/halls/pump-1.md"))
        assert (job.kind, job.removed, job.chunks) == ("delete", 1, 1)
        assert {item["document_id"] for item in found(client, "pump rpm")} == {"halls/pump-2.md", "halls/pump-3.md"}
        ended(client, client.delete("/v1/domains/plant"))
        body = {"question": "pump", "domain": "plant"}
        assert client.post("/v1/passages", json=body).json()["code"] == "unknown_domain"
        for path in ("/v1/domains/plant", f"{DOCUMENTS}/a.md"):
            assert client.delete(path).json()["code"] == "unknown_domain"
        assert client.get("/v1/jobs/nowhere").json()["code"] == "unknown_job"
        ended(client, upload(client, {"new.md": "# New\n\nPump 7 is new."}))
        assert [item["document_id"] for item in found(client, "pump")] == ["new.md"]


def test_documents_are_removed_by_their_metadata_and_the_count_is_of_what_is_gone(tmp_path: Path) -> None:
    def page(line: str, year: int, draft: str) -> str:
        return f"---\nline: {line}\nyear: {year}\ndraft: {draft}\n---\n# Pump {line}\n\nLine {line} in {year}."

    kept = {"a-2025.md": page("a", 2025, "false"), "b.md": page("b", 2024, "true"), "bare.md": "# Bare\n\nNothing."}
    gone = {"a-2024.md": page("a", 2024, "true"), "again.md": page("a", 2024, "true")}
    with serving(tmp_path) as (client, _):
        ended(client, upload(client, {**kept, **gone}))
        asked = {"where": ["line=a", "year=2024", "draft=true"]}
        job = ended(client, client.delete(DOCUMENTS, params=asked))
        assert (job.kind, job.removed, job.documents, job.chunks) == ("delete", 2, 2, 2)
        again = ended(client, client.delete(DOCUMENTS, params=asked))
        assert (again.state, again.removed, again.chunks) == ("done", 0, 0)
        nowhere = client.delete("/v1/domains/nowhere/documents", params=asked)
        assert (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown_domain")
    assert documents(tmp_path) == sorted(kept)


def test_eight_askers_see_one_generation_each_while_documents_come(tmp_path: Path) -> None:
    def version(number: int) -> dict[str, str | bytes]:
        return {f"d{n}.md": f"# Valve {n}\n\nValve {n} is at version v{number}." for n in range(20)}

    with serving(tmp_path, pace=0.0005) as (client, _):
        ended(client, upload(client, version(0)))
        wrong: list[str] = []
        seen: set[frozenset[str]] = set()
        done = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=client.base_url, timeout=30) as own:
                while not done.is_set():
                    body = {"question": "valve version", "domain": "plant", "limit": 20}
                    response = own.post("/v1/passages", json=body)
                    if response.status_code != 200:
                        wrong.append(response.text)
                        return
                    versions = {item["text"].split()[-1] for item in response.json()}
                    if len(versions) != 1 or len(response.json()) != 20:
                        wrong.append(f"{len(response.json())} of {versions}")
                    seen.add(frozenset(versions))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(1, 4):
            assert ended(client, upload(client, version(number))).changed == 20
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(seen) > 1
    assert documents(tmp_path) == sorted(version(0))


def test_embedding_for_a_job_leaves_the_embedder_to_questions(tmp_path: Path) -> None:
    """At 5 ms a text, a call of 256 would keep a question waiting for 1.3 s."""
    with serving(tmp_path, pace=0.005) as (client, embedder):
        ended(client, upload(client, {f"d{n}.md": f"# D{n}\n\nText {n}." for n in range(300)}))
        assert sum(embedder.calls) == 300
        assert max(embedder.calls) <= 10


def test_a_cancelled_upload_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, pace=0.002) as (client, _):
        ended(client, upload(client, PUMPS))
        response = upload(client, {f"d{n}.md": f"# D{n}\n\nText {n}." for n in range(400)})
        location = response.headers["location"]
        assert until(lambda: client.get(location).json()["chunks"] > 0)
        waiting = upload(client, {"late.md": "# Late\n\nNever in."})
        assert client.delete(waiting.headers["location"]).json()["state"] == "cancelled"
        client.delete(location)
        job = ended(client, response)
        assert (job.state, 0 < job.chunks < 400, job.total) == ("cancelled", True, 400)
    assert documents(tmp_path) == sorted(PUMPS)
    assert [path.name for path in (tmp_path / "domains" / "plant").iterdir() if path.is_dir()] == ["g000001"]
    assert list(tmp_path.glob("jobs/*/files")) == []


def test_what_is_too_much_or_no_upload_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, max_file_bytes=1000, max_bytes=1500, max_files=3) as (client, _):
        cases: list[tuple[dict[str, str | bytes], int, str]] = [
            ({"a.md": "x" * 1001}, 413, "upload_too_large"),
            ({"a.md": "x" * 900, "b.md": "x" * 900}, 413, "upload_too_large"),
            ({f"{n}.md": "x" for n in range(4)}, 413, "upload_too_large"),
            ({"a.md": "x" * 100_000}, 413, "upload_too_large"),
            ({"a.exe": "MZ"}, 400, "invalid_upload"),
            ({"../a.md": "x"}, 400, "invalid_upload"),
            ({"/etc/passwd.md": "x"}, 400, "invalid_upload"),
            ({"a/.ssh/b.md": "x"}, 400, "invalid_upload"),
        ]
        for texts, status, code in cases:
            response = upload(client, texts)
            assert (response.status_code, response.json()["code"]) == (status, code), response.text
        assert client.post(DOCUMENTS, json={"files": []}).status_code == 415
        assert client.post(DOCUMENTS, content=b"x").status_code == 415
        bare = client.post(DOCUMENTS, content=b"x", headers={"content-type": "multipart/form-data"})
        assert (bare.status_code, bare.json()["code"]) == (400, "invalid_upload")
        named = upload(client, {"a.md": "x"}, domain="..")
        assert named.status_code in (400, 404, 405)
        assert upload(client, {"a.md": "x"}, domain="Not A Domain").json()["code"] == "invalid_question"
        assert list((tmp_path / "jobs").glob("*")) == []
        assert client.get("/v1/jobs").json() == []
    assert not (tmp_path / "domains").exists()


def test_beyond_the_jobs_that_may_wait_is_told_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, pace=0.01, max_waiting=1) as (client, _):
        first = upload(client, {f"d{n}.md": f"# D{n}\n\nText {n}." for n in range(400)})
        assert until(lambda: client.get(first.headers["location"]).json()["state"] == "running")
        second = upload(client, PUMPS)
        third = upload(client, PUMPS)
        assert (second.status_code, third.status_code, third.json()["code"]) == (202, 503, "model_busy")
        assert int(third.headers["retry-after"]) >= 1
        for response in (second, first):
            client.delete(response.headers["location"])


def test_an_upload_that_stops_or_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    head = (
        f"POST {DOCUMENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        'Content-Length: 100000\r\n\r\n--b\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\nhalf'
    ).encode()
    with serving(tmp_path, idle_seconds=0.3) as (client, _):
        url = str(client.base_url).rstrip("/")
        slow = connect(url)
        slow.sendall(head)
        answer = slow.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408"), answer
        slow.close()
        gone = connect(url)
        gone.sendall(head)
        assert until(lambda: list(tmp_path.glob("jobs/*/files/a.md")) != [])
        gone.close()
        assert until(lambda: list((tmp_path / "jobs").iterdir()) == [])
        assert ended(client, upload(client, PUMPS)).new == 3


def test_a_bomb_and_a_broken_file_are_listed_and_the_rest_comes_in(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w", force_zip64=True) as entry,
    ):
        for _ in range(400):
            entry.write(b"\0" * (1 << 20))
    with serving(tmp_path) as (client, _):
        texts = {**PUMPS, "bomb.docx": bomb.getvalue(), "broken.pdf": b"%PDF-1.7 nothing", "wrong.docx": b"no zip"}
        job = ended(client, upload(client, texts))
    assert (job.state, job.new) == ("done", 3)
    assert [item.source for item in job.unreadable] == ["bomb.docx", "broken.pdf", "wrong.docx"]
    assert all(item.reason for item in job.unreadable)


def test_a_job_waits_for_the_command_line_to_finish(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _):
        lock = WriterLock(tmp_path, "plant")
        response = upload(client, PUMPS)
        time.sleep(0.3)
        assert client.get(response.headers["location"]).json()["state"] in ("queued", "running")
        lock.release()
        assert ended(client, response).new == 3


def start(data: Path, pace: float) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.ingest_server", str(data), str(pace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    match = re.search(r"http://\S+", child.stdout.readline())
    assert match is not None
    return child, match.group()


@pytest.mark.slow
def test_a_server_killed_at_any_moment_finishes_what_it_acknowledged_once(tmp_path: Path) -> None:
    """Each round adds documents and changes all old ones, is killed at a random moment, and starts again."""
    chance = random.Random(7)
    acknowledged: dict[str, int] = {}
    locations: list[str] = []
    for turn in range(8):
        child, url = start(tmp_path, 0.002)
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                texts: dict[str, str | bytes] = {
                    f"d{n}.md": f"# Unit {n}\n\nUnit {n} is at turn {turn}." for n in range(40 + 10 * turn)
                }
                response = upload(client, texts)
                if response.status_code == 202:
                    locations.append(response.headers["location"])
                    acknowledged = dict.fromkeys(texts, turn)
                time.sleep(chance.uniform(0.0, 0.6))
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
    child, url = start(tmp_path, 0.0)
    with httpx.Client(base_url=url, timeout=30) as client:
        assert until(lambda: all(client.get(at).json()["state"] == "done" for at in locations), 60)
        response = client.post("/v1/passages", json={"question": "unit turn", "domain": "plant", "limit": 50})
        assert {item["text"].split()[-1] for item in response.json()} == {f"{turn}."}
    child.terminate()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()
    assert documents(tmp_path) == sorted(acknowledged)
    assert list(tmp_path.glob("jobs/*/files")) == []
    assert list(tmp_path.glob("domains/plant/*/unfinished.json")) == []
