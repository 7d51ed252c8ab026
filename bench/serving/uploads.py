"""Documents uploaded to a service that is killed meanwhile: is all that it acknowledged there, once and whole?

Several callers send a few small files at a time, each under a name of its own, and wait until their job is told done.
What was acknowledged must be there after a restart; what was not may be there or not, but never in part, and sending it
again must not double it. Knows no process.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from bench.serving.client import headers
from bench.serving.results import Row

CALLERS, FILES = 3, 3
"""Who upload at once, one fewer than the service receives by default; and files of one upload."""

SETTLED_SECONDS = 120.0
"""Longest wait until every job has ended: a few small ones."""

CHUNKS = 1
"""What each document is cut into: it is one paragraph."""


@dataclass(slots=True)
class Upload:
    """Some files, name to text, and what was said of them."""

    files: dict[str, str]
    job: str = ""
    """the job that acknowledged them; empty: no answer came"""
    done: bool = False
    """that job was told done"""


class Uploads:
    """All uploads of a run into one domain, and what became of them."""

    def __init__(self, domain: str, key: str | None) -> None:
        """The domain should hold nothing; what other runs left there is not looked at."""
        self._path, self._key = f"/v1/domains/{domain}/documents", key
        self._domain = domain
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._uploads: list[Upload] = []
        self.told = self.open = self.unanswered = 0
        """told done before the service died; acknowledged only; sent to a service that died before it answered"""
        self._settled: set[str] = set()
        self.lost: set[str] = set()
        self.doubled: set[str] = set()
        self.half: set[str] = set()
        self.refused: list[str] = []
        """what was said of uploads that should have been taken"""

    @contextmanager
    def going_on(self, url: str) -> Iterator[None]:
        """Upload until the block ends, or the service does."""
        over = threading.Event()
        threads = [threading.Thread(target=self._bring_in, args=(url, over)) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def one(self, url: str) -> None:
        """A single upload, waited for: the domain is there after it."""
        with self._client(url) as client:
            self._until_done(client, [self._next()])

    def settle(self, url: str) -> None:
        """Wait until what a service took up from before has ended, look at all, send again what had no answer, look."""
        still_open = [upload for upload in self._uploads if upload.job and not upload.done]
        unanswered = [upload for upload in self._uploads if not upload.job]
        self.told += sum(upload.done and upload.job not in self._settled for upload in self._uploads)
        self.open += len(still_open)
        self.unanswered += len(unanswered)
        with self._client(url) as client:
            self._wait_for_jobs(client)
            for upload in still_open:
                self._ask_after(client, upload)
                if not upload.done:
                    self.lost.update(upload.files)
            self._look(client, [*still_open, *unanswered])
            self._until_done(client, unanswered)
            self._look(client, unanswered)
        self._settled = {upload.job for upload in self._uploads}

    def row(self) -> Row:
        """The counts; the last four must be 0."""
        acknowledged = [upload for upload in self._uploads if upload.job]
        return {
            "acknowledged": len(acknowledged),
            "documents": sum(len(upload.files) for upload in acknowledged),
            "done before a kill": self.told,
            "open at a kill": self.open,
            "unanswered, sent again": self.unanswered,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "half there": len(self.half),
            "refused": len(self.refused),
        }

    def _client(self, url: str) -> httpx.Client:
        return httpx.Client(base_url=url, timeout=60, trust_env=False, headers=headers(self._key))

    def _bring_in(self, url: str, over: threading.Event) -> None:
        with self._client(url) as client:
            while not over.is_set():
                upload = self._next()
                try:
                    while not self._send(client, upload) and not over.is_set():
                        time.sleep(0.2)
                    while upload.job and not upload.done and not over.is_set():
                        time.sleep(0.05)
                        self._ask_after(client, upload)
                except httpx.TransportError:  # the service is gone
                    return

    def _next(self) -> Upload:
        number = next(self._numbers)
        names = [f"{self._run}/{number:05}-{place}.md" for place in range(FILES)]
        upload = Upload({name: text_of(name) for name in names})
        self._uploads.append(upload)
        return upload

    def _send(self, client: httpx.Client, upload: Upload) -> bool:
        """Whether there was an answer; there is none where no more jobs may wait."""
        parts = [("files", (name, text.encode())) for name, text in upload.files.items()]
        response = client.post(self._path, files=parts)
        if response.status_code == 202:
            upload.job = response.json()["id"]
        elif response.status_code != 503:
            self.refused.append(f"{response.status_code} {response.text}")
        return response.status_code != 503

    def _ask_after(self, client: httpx.Client, upload: Upload) -> None:
        response = client.get(f"/v1/jobs/{upload.job}")
        upload.done = response.status_code == 200 and response.json()["state"] == "done"

    def _until_done(self, client: httpx.Client, uploads: Sequence[Upload]) -> None:
        for upload in uploads:
            while not self._send(client, upload):
                time.sleep(0.2)
        self._wait_for_jobs(client)
        for upload in uploads:
            self._ask_after(client, upload)
            if not upload.done:
                self.lost.update(upload.files)

    def _wait_for_jobs(self, client: httpx.Client) -> None:
        began = time.perf_counter()
        while time.perf_counter() - began < SETTLED_SECONDS:
            jobs = client.get("/v1/jobs").raise_for_status().json()
            if not any(job["domain"] == self._domain and job["state"] in ("queued", "running") for job in jobs):
                return
            time.sleep(0.05)
        raise SystemExit(f"the jobs of {self._domain} had not ended after {SETTLED_SECONDS:.0f} s")

    def _look(self, client: httpx.Client, latest: Sequence[Upload]) -> None:
        """Note what of all uploads is not there, there twice, or there in part; of the latest, whether it is whole."""
        listed = self._listed(client)
        found = Counter(document["id"] for document in listed)
        chunks = {document["id"]: document["chunks"] for document in listed}
        for upload in self._uploads:
            there = [name for name in upload.files if found[name]]
            if upload.job:
                self.lost.update(upload.files.keys() - set(there))
            elif 0 < len(there) < len(upload.files):
                self.half.update(upload.files)
            self.doubled.update(name for name in there if found[name] > 1 or chunks[name] > CHUNKS)
        for name, text in itertools.chain.from_iterable(upload.files.items() for upload in latest):
            if found[name]:
                stored = client.get(f"{self._path}/{name}").raise_for_status().json()["text"]
                if not stored.strip().endswith(text.strip().rpartition("\n")[2]):
                    self.half.add(name)

    def _listed(self, client: httpx.Client) -> list[dict[str, Any]]:
        """Every document of the domain, page by page."""
        found: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            response = client.get(self._path, params={"limit": 200, "after": after}).raise_for_status().json()
            found += response["documents"]
            after = response["next"]
        return found


def text_of(name: str) -> str:
    """A short document that says its own name, at its end too."""
    return f"# Sheet {name}\n\nSheet {name} was uploaded while the service was killed. Here ends sheet {name}.\n"
