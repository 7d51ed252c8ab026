"""A real server on loopback: events as they are made, callers who leave, order of arrival, start and stop."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from rag.settings import Settings, load
from rag.types import Health
from tests.fakes.pipeline import FakePipeline
from tests.fakes.server import served

ASK = {"question": "How often?", "domain": "plant"}
SLOW = ASK | {"question": "slow"}


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def ready(url: str) -> bool:
    return httpx.get(f"{url}/health/ready").status_code == 200


ONE_WORKER = load({"UNDERSTUDY_SERVER__WORKERS": "1"})
"""So that the second who asks waits."""


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def url(pipeline: FakePipeline) -> Iterator[str]:
    with served(lambda _: pipeline, ONE_WORKER) as url:
        assert until(lambda: ready(url))
        yield url


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def raw_request(url: str, path: str, body: dict[str, str]) -> socket.socket:
    """A connection on which a question was asked, for callers who hang up."""
    connection = connect(url)
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    )
    connection.sendall(head.encode() + b"\r\n\r\n" + content)
    return connection


def arrived(url: str) -> None:
    """Return once what was sent before is in the queue: three later connections were accepted, read and answered."""
    for _ in range(3):
        assert httpx.get(f"{url}/health/live").status_code == 200


def test_events_arrive_while_the_answer_is_made(url: str, pipeline: FakePipeline) -> None:
    names = []
    with httpx.stream("POST", f"{url}/v1/answers/stream", json=SLOW) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            if len(names) == 6:
                assert pipeline.finished == []
                break
    assert names == ["retrieval", *["token"] * 5]


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream"])
def test_a_caller_who_hangs_up_is_cancelled_within_a_second(url: str, pipeline: FakePipeline, path: str) -> None:
    connection = raw_request(url, path, SLOW)
    assert until(lambda: pipeline.started == ["slow"])
    connection.close()
    assert pipeline.cancelled.wait(1.0)
    assert httpx.post(f"{url}/v1/answers", json=ASK).status_code == 200


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream"])
def test_a_caller_who_hangs_up_while_waiting_is_never_served(url: str, pipeline: FakePipeline, path: str) -> None:
    running = raw_request(url, "/v1/answers", SLOW)
    assert until(lambda: pipeline.started == ["slow"])
    waiting = raw_request(url, path, ASK | {"question": "left"})
    arrived(url)
    waiting.close()
    time.sleep(0.1)
    running.close()
    assert httpx.post(f"{url}/v1/answers", json=ASK).status_code == 200
    assert pipeline.started == ["slow", "How often?"]


def test_questions_are_answered_in_order_of_arrival() -> None:
    pipeline = FakePipeline(pace=0.01, tokens=100)
    names = [f"slow {number}" for number in range(5)]
    with served(lambda _: pipeline, ONE_WORKER) as url:
        assert until(lambda: ready(url))
        connections = []
        for name in names:
            connections.append(raw_request(url, "/v1/answers", ASK | {"question": name}))
            arrived(url)
        assert until(lambda: pipeline.finished == names, 30)
        for connection in connections:
            assert connection.recv(12) == b"HTTP/1.1 200"
            connection.close()
    assert pipeline.started == names


def test_beyond_the_bound_503_tells_when_to_come_back() -> None:
    pipeline = FakePipeline(pace=0.02, tokens=1000)
    settings = load({"UNDERSTUDY_SERVER__MAX_WAITING": "1", "UNDERSTUDY_SERVER__WORKERS": "1"})
    with served(lambda _: pipeline, settings) as url:
        assert until(lambda: ready(url))
        running = raw_request(url, "/v1/answers", SLOW)
        assert until(lambda: pipeline.started == ["slow"])
        waiting = raw_request(url, "/v1/answers", ASK | {"question": "How often?"})
        arrived(url)
        refused = httpx.post(f"{url}/v1/answers", json=ASK | {"question": "Another one?"})
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "model_busy"
        # one served and one waiting, one second each as long as none was measured
        assert refused.headers["retry-after"] == "2"
        assert httpx.post(f"{url}/v1/passages", json=ASK).status_code == 200
        running.close()
        waiting.close()


def test_the_event_loop_answers_while_an_answer_is_made(url: str, pipeline: FakePipeline) -> None:
    running = raw_request(url, "/v1/answers", SLOW)
    assert until(lambda: pipeline.started == ["slow"])
    slowest = 0.0
    for _ in range(10):
        started = time.perf_counter()
        assert httpx.get(f"{url}/health/live").json() == {"live": True}
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 1.0
    running.close()


def test_an_answer_is_sent_at_once(url: str) -> None:
    # Unless TCP_NODELAY is set, each answer on a kept connection waits 40 ms for an acknowledgement.
    with httpx.Client() as client:
        took = []
        for _ in range(20):
            started = time.perf_counter()
            assert client.get(f"{url}/health/live").status_code == 200
            took.append(time.perf_counter() - started)
    # the sixth of twenty, so that neither one lucky answer nor a busy machine decides
    assert sorted(took)[5] < 0.03


def test_live_answers_while_the_models_load_and_ready_says_what_it_waits_for() -> None:
    loaded = threading.Event()

    def build(_: Settings) -> FakePipeline:
        assert loaded.wait(30)
        return FakePipeline()

    with served(build) as url:
        try:
            assert until(lambda: httpx.get(f"{url}/health/live").status_code == 200)
            waiting = httpx.get(f"{url}/health/ready")
            assert waiting.status_code == 503
            assert "still being loaded" in waiting.json()["checks"]["start"]
            refused = httpx.post(f"{url}/v1/answers", json=ASK)
            assert (refused.status_code, refused.json()["code"]) == (503, "starting")
            assert int(refused.headers["retry-after"]) >= 1
        finally:
            loaded.set()
        assert until(lambda: ready(url))


def test_ready_tells_at_once_that_an_engine_is_being_started() -> None:
    up = threading.Event()
    up.set()
    readings: list[float] = []

    class Restarting(FakePipeline):
        def health(self) -> Health:
            readings.append(time.monotonic())
            assert up.wait(30)
            return super().health()

    with served(lambda _: Restarting()) as url:
        assert until(lambda: ready(url))
        up.clear()
        readings.clear()
        try:
            with ThreadPoolExecutor(4) as pool:
                begun = time.monotonic()
                told = list(pool.map(lambda _: httpx.get(f"{url}/health/ready", timeout=20), range(4)))
                assert time.monotonic() - begun < 10
            for response in told:
                assert (response.status_code, response.json()["ready"]) == (503, False)
                assert "engine is being started" in response.json()["checks"]["model"]
            assert len(readings) == 1, "each would hold a thread as long as it waits"
            assert httpx.get(f"{url}/health/live").status_code == 200
        finally:
            up.set()
        assert until(lambda: ready(url))


POST = b"POST /v1/passages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /\xe4 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["no HTTP", "no version", "no host", "no ASCII", "negative length", "broken chunk"],
)
def test_what_is_no_http_request_is_a_problem_too(url: str, sent: bytes) -> None:
    with connect(url) as connection:
        connection.sendall(sent)
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (400, "unreadable_request")
    assert f"x-request-id: {problem['request_id']}".encode() in head
    assert httpx.get(f"{url}/health/live").status_code == 200


def test_a_caller_who_leaves_while_sending_is_no_error_of_ours(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "understudy.api")
    with connect(url) as connection:
        connection.sendall(POST + b'Content-Length: 400\r\n\r\n{"question"')
    assert until(lambda: any("/v1/passages" in str(getattr(record, "fields", "")) for record in caplog.records))
    (line,) = [record for record in caplog.records if "/v1/passages" in str(getattr(record, "fields", ""))]
    assert line.__dict__["fields"]["problem"] == "cancelled"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_server_that_stops_finishes_the_answer_it_works_on_and_closes_the_pipeline() -> None:
    pipeline = FakePipeline(pace=0.02, tokens=20)
    with ThreadPoolExecutor(1) as caller:
        with served(lambda _: pipeline) as url:
            assert until(lambda: ready(url))
            asked = caller.submit(httpx.post, f"{url}/v1/answers", json=SLOW)
            assert until(lambda: pipeline.started == ["slow"])
            assert pipeline.finished == []
        assert asked.result().status_code == 200
    assert pipeline.finished == ["slow"]
    assert pipeline.closed.is_set()
