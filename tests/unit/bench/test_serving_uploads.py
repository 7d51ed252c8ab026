"""What is counted of uploads to a service that dies: lost, doubled, half there; and what a stream was told."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bench.serving.chaos import TOLD, UNTOLD, became, held
from bench.serving.client import Asked
from bench.serving.uploads import CALLERS, FILES, Uploads
from tests.integration.test_api_server import until

PATH = "/v1/domains/chaos/documents"


class Store(ThreadingHTTPServer):
    """Takes uploads and tells of them at once; may forget, cut short or double what it took, and hang up unanswered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.documents: dict[str, str] = {}
        self.jobs: list[str] = []
        self.state = "done"
        self.posts = 0
        self.doubled: set[str] = set()
        self.answers = True
        """whether an upload is told of"""
        self.taken = FILES
        """how many files of an upload are kept"""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Store

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        files = re.findall(r'filename="(.*?)".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
        self.server.documents |= dict(files[: self.server.taken])
        self.server.posts += 1
        if not self.server.answers:
            self.close_connection = True
            return
        self.server.jobs.append(str(len(self.server.jobs)))
        self._tell(202, {"id": self.server.jobs[-1]})

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == PATH:
            # Two of a page, so that there are several.
            after = parse_qs(asked.query).get("after", [""])[0]
            names = sorted(name for name in self.server.documents if name > after)
            listed = [name for name in names[:2] for _ in range(2 if name in self.server.doubled else 1)]
            documents = [{"id": name, "chunks": 1} for name in listed]
            self._tell(200, {"documents": documents, "next": names[1] if len(names) > 2 else None})
        elif asked.path.startswith(PATH):
            self._tell(200, {"text": self.server.documents[asked.path.removeprefix(PATH + "/")]})
        elif asked.path == "/v1/jobs":
            self._tell(200, [{"domain": "chaos", "state": self.server.state} for _ in self.server.jobs])
        elif asked.path.rpartition("/")[2] in self.server.jobs:
            self._tell(200, {"state": self.server.state})
        else:
            self._tell(404, {})

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _tell(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def counts(uploads: Uploads) -> tuple[int, int, int]:
    row = uploads.row()
    return row["lost"], row["doubled"], row["half there"]


def test_what_is_there_once_and_whole_is_no_fault(store: Store) -> None:
    uploads = Uploads("chaos", None)
    uploads.one(store.url)
    with uploads.going_on(store.url):
        pass
    uploads.settle(store.url)
    uploads.settle(store.url)
    assert counts(uploads) == (0, 0, 0)
    assert 1 <= uploads.row()["done before a kill"] <= uploads.row()["acknowledged"]
    assert uploads.row()["acknowledged"] * FILES == len(store.documents) == uploads.row()["documents"]
    assert uploads.row()["acknowledged"] >= 1


def test_what_was_acknowledged_and_is_gone_is_lost_and_what_is_listed_twice_doubled(store: Store) -> None:
    uploads = Uploads("chaos", None)
    uploads.one(store.url)
    first, second, _ = sorted(store.documents)
    del store.documents[first]
    store.doubled.add(second)
    uploads.settle(store.url)
    uploads.settle(store.url)
    assert counts(uploads) == (1, 1, 0)


@pytest.mark.parametrize(("taken", "half"), [(0, 0), (FILES, 0), (1, CALLERS * FILES)])
def test_an_unanswered_upload_is_there_whole_or_not_at_all_and_once_when_sent_again(
    store: Store, taken: int, half: int
) -> None:
    uploads = Uploads("chaos", None)
    store.answers, store.taken = False, taken
    with uploads.going_on(store.url):
        assert until(lambda: store.posts == CALLERS)
    store.answers, store.taken = True, FILES
    uploads.settle(store.url)
    assert counts(uploads) == (0, 0, half)
    assert uploads.row()["unanswered, sent again"] == CALLERS
    assert len(store.documents) == CALLERS * FILES


def test_a_document_that_breaks_off_is_half_there(store: Store) -> None:
    uploads = Uploads("chaos", None)
    store.state = "running"
    with uploads.going_on(store.url):
        assert until(lambda: len(store.jobs) == CALLERS)
    store.state = "done"
    name = min(store.documents)
    store.documents[name] = store.documents[name][:-20]
    uploads.settle(store.url)
    assert counts(uploads) == (0, 0, 1)
    assert uploads.row()["open at a kill"] == CALLERS


def test_only_a_stream_that_had_spoken_may_end_without_an_answer_and_says_so() -> None:
    assert became(Asked("q", 0.0, status=200, whole=1.0)) == "answered"
    assert became(Asked("q", 0.0, status=200, whole=1.0, refusals=1)) == "answered at another try"
    assert became(Asked("q", 0.0, status=200, tokens=3, error="engine_died", problem="engine_died")) == TOLD
    assert became(Asked("q", 0.0, status=200, tokens=0, error="engine_died", problem="engine_died")) == UNTOLD
    assert became(Asked("q", 0.0, status=200, tokens=3, error="ended early")) == UNTOLD
    assert became(Asked("q", 0.0, status=200, tokens=3, error="RemoteProtocolError")) == UNTOLD


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("service", {"intact": 3}),
        ("service", {"ready": {"p50": 1.0, "max": 4.1}}),
        ("service", {"uploads": {"acknowledged": 9, "lost": 1, "doubled": 0, "half there": 0, "refused": 0}}),
        ("service", {"uploads": {"acknowledged": 0, "lost": 0, "doubled": 0, "half there": 0, "refused": 0}}),
        ("engine", {"same": 3}),
        ("engine", {"told": {TOLD: 1, UNTOLD: 1}}),
        ("engine", {"told": {TOLD: 0, UNTOLD: 0}}),
    ],
)
def test_a_run_holds_where_nothing_is_lost_and_a_stream_was_cut_short(part: str, change: dict[str, Any]) -> None:
    row = {"times": 4, "ready": {"p50": 1.0, "max": 2.0}, "intact": 4, "same": 4}
    uploads = {"acknowledged": 9, "lost": 0, "doubled": 0, "half there": 0, "refused": 0}
    parts: dict[str, Any] = {"service": row | {"uploads": uploads}, "engine": row | {"told": {TOLD: 1, UNTOLD: 0}}}
    assert held(parts)
    assert not held(parts | {part: parts[part] | change})
