"""Callers who mean no good: too slow, too large, too many, malformed. Bounded time, a 4xx, and the server goes on."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from rag.settings import load
from tests.fakes.pipeline import FakePipeline
from tests.fakes.server import served
from tests.integration.test_api_server import ASK, SLOW, connect, ready, until

POST = b"POST /v1/answers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = json.dumps(ASK).encode()
MIB = 1 << 20
QUICK = load(
    {
        "UNDERSTUDY_SERVER__HEAD_SECONDS": "0.3",
        "UNDERSTUDY_SERVER__BODY_SECONDS": "0.3",
        "UNDERSTUDY_SERVER__UNREAD_SECONDS": "0.3",
        "UNDERSTUDY_SERVER__MAX_CONNECTIONS": "8",
        "UNDERSTUDY_LIMITS__REQUESTS_PER_MINUTE": "0",
    }
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of little patience, so that no test waits for it long."""
    with served(lambda _: FakePipeline(pace=0.005), QUICK) as url:
        assert until(lambda: ready(url))
        yield url


@pytest.fixture(autouse=True)
def still_answers(url: str) -> Iterator[None]:
    """Whatever was sent, the next question is answered, and at no moment memory has grown by what was sent."""
    process = psutil.Process()
    before = most = process.memory_info().rss
    over = threading.Event()

    def look() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, process.memory_info().rss)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield
        assert until(lambda: httpx.post(f"{url}/v1/answers", json=ASK).status_code == 200)
    finally:
        over.set()
        watching.join()
    assert most - before < 100 * MIB


def said(connection: socket.socket) -> bytes:
    """Everything until the other end closes; a reset after its answer is an end too."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def drip(url: str, start: bytes, bytes_sent: bytes, seconds: float = 8.0) -> tuple[bytes, float]:
    """Send a byte every 50 ms until the other end has enough; what it said, and after how long."""
    began = time.monotonic()
    with connect(url) as connection:
        connection.sendall(start)
        with contextlib.suppress(ConnectionError):
            for byte in bytes_sent:
                if time.monotonic() - began > seconds:
                    break
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        return said(connection), time.monotonic() - began


def send(url: str, sent: bytes) -> bytes:
    """Send everything that is taken; what was said until the other end closed the connection."""
    with connect(url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        return said(connection)


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


# --- slow ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "dripped", "expected"),
    [
        (b"", b"", []),
        (LIVE, b"X-Slow: " + b"a" * 1000, [408]),
        (LIVE + b"\r\n", LIVE + b"X-Slow: " + b"a" * 1000, [200, 408]),
        (POST + b"Content-Length: 5000\r\n\r\n", b"{" * 1000, [408]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n" * 200, [408]),
        (POST + b"Content-Length: 9999999\r\n\r\n", b"{" * 1000, [413]),
    ],
    ids=["says nothing", "head", "second head", "body", "chunked body", "body that was refused"],
)
def test_a_slow_caller_is_waited_for_a_bounded_time(
    url: str, start: bytes, dripped: bytes, expected: list[int]
) -> None:
    answer, seconds = drip(url, start, dripped)
    assert seconds < 6
    assert statuses(answer) == expected, answer
    if 408 in expected:
        assert b"content-type: application/problem+json" in answer
        assert b'"code":"too_slow"' in answer


def test_a_large_body_that_comes_steadily_is_no_slow_one(url: str) -> None:
    # 0.3 s are given; the 20 KiB that come in 1 s earn twenty more
    with connect(url) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % (20 * 1024))
        for _ in range(20):
            connection.sendall(b" " * 1024)
            time.sleep(0.05)
        assert connection.recv(12) == b"HTTP/1.1 400"  # spaces are no JSON


def test_a_caller_who_does_not_read_is_cut_off(url: str) -> None:
    asked = b"GET /schema/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def ask_on(connection: socket.socket) -> None:
        for _ in range(10_000):
            connection.sendall(asked)
            time.sleep(0.001)

    with connect(url) as connection, pytest.raises(ConnectionError):
        ask_on(connection)


def test_connections_beyond_the_bound_are_refused_and_those_before_served() -> None:
    with served(lambda _: FakePipeline(), load({"UNDERSTUDY_SERVER__MAX_CONNECTIONS": "8"})) as url:
        assert until(lambda: ready(url))
        held = [connect(url) for _ in range(8)]
        refused = httpx.get(f"{url}/health/live")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_connections")
        assert int(refused.headers["retry-after"]) >= 1
        held[0].sendall(LIVE + b"\r\n")
        assert held[0].recv(12) == b"HTTP/1.1 200"
        held += [connect(url) for _ in range(30)]
        assert said(held[-1]) == b""  # cut off before it asked
        for connection in held:
            connection.close()


# --- large ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        LIVE + b"X-Large: " + b"a" * (10 * MIB) + b"\r\n\r\n",
        LIVE + b"X-Many: a\r\n" * MIB + b"\r\n",
        b"GET /" + b"a" * (10 * MIB) + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        POST + b"Content-Length: %d\r\n\r\n" % (10 * MIB) + b" " * (10 * MIB),
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 160 + b"0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * (10 * MIB) + b"\r\n",
    ],
    ids=["one header", "many headers", "path", "body", "chunked body", "chunk extension"],
)
def test_ten_megabytes_are_refused_at_once(url: str, sent: bytes) -> None:
    began = time.monotonic()
    answer = send(url, sent)
    assert time.monotonic() - began < 5
    # A caller who is still sending when it is cut off may find the connection reset in place of the answer.
    assert statuses(answer) in ([], [400], [413]), answer[:200]


# --- malformed -----------------------------------------------------------------------------------

DEEP = 40_000


def body(content: bytes, kind: bytes = b"application/json") -> bytes:
    head = b"POST /v1/answers HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: " + kind
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(content) + content


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (body(b'{"question": "\xff\xfe", "domain": "plant"}'), 400),
        (body(b'{"question": "\xed\xa0\x80", "domain": "plant"}'), 400),
        (body(BODY.decode().encode("utf-16")), 400),
        (body(BODY, b"text/plain"), 415),
        (body(BODY, b"application/x-www-form-urlencoded"), 415),
        (body(BODY, b"\xff\xfe"), 415),
        (body(b"[" * DEEP + b"]" * DEEP), 400),
        (body(b'{"a":' * DEEP + b"1" + b"}" * DEEP), 400),
        (body(b'{"question": "q", "domain": "plant", "max_passages": ' + b"9" * 5000 + b"}"), 400),
        (body(b'{"question": "q", "domain": "plant", "max_passages": 1e999}'), 400),
        (body(b'{"question": "q", "domain": "plant", "max_passages": NaN}'), 400),
        (body(b'{"question": "q", "domain": "plant", "filter": {"conditions": 3}}'), 400),
        (body(b'{"question": "q", "domain": "nowhere", "domain": "nowhere"}'), 404),
        (body(b'{"question": "q\\u0000", "domain": "pl\\ud800ant"}'), 400),
        (body(b"null"), 400),
        (b"GET /%ff%fe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 404),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 404),
        (b"BREW /v1/answers HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 405),
    ],
    ids=lambda value: str(value)[:0] if isinstance(value, bytes) else None,
)
def test_a_malformed_request_is_the_caller_s_fault(url: str, sent: bytes, status: int) -> None:
    answer = send(url, sent)
    assert statuses(answer) == [status], answer
    assert b"content-type: application/problem+json" in answer


def test_both_length_and_chunks_are_no_way_past_the_server(url: str) -> None:
    smuggled = (
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\n\r\n"
    )
    assert 200 not in statuses(send(url, smuggled))


def test_trailers_are_read_and_change_nothing(url: str) -> None:
    chunked = b"%x\r\n%s\r\n0\r\nContent-Length: 0\r\nX-Late: 1\r\n\r\n" % (len(BODY), BODY)
    sent = POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunked
    assert statuses(send(url, sent)) == [200]


def test_requests_sent_ahead_are_answered_in_order(url: str) -> None:
    asked = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    answer = send(url, (LIVE + b"\r\n" + asked) * 20 + LIVE + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200] * 41
    assert [b'"live"' in part for part in answer.split(b"HTTP/1.1 ")[1:]] == [True, False] * 20 + [True]


def test_a_thousand_hang_ups_leave_nothing_behind(url: str) -> None:
    files = psutil.Process().num_fds()
    content = json.dumps(SLOW).encode()
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(content) + content
    for number in range(1000):
        with connect(url) as connection:
            connection.sendall(whole[: number * len(whole) // 999])
    assert until(lambda: psutil.Process().num_fds() <= files)
