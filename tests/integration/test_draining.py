"""A real server that is told to stop: nothing new, what was taken is finished or ended in time, then the end."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PLANT = {"domain": "plant", "question": "slow"}
PROGRAM = (
    "import sys\n"
    "from api.serving import serve\nfrom tests.fakes.pipeline import FakePipeline\nfrom rag.settings import load\n"
    "class Told(FakePipeline):\n"
    "    def close(self):\n        print('closed', flush=True)\n"
    "serve(load({'UNDERSTUDY_SERVER__DRAIN_SECONDS': sys.argv[1], 'UNDERSTUDY_SERVER__WORKERS': '1',\n"
    "            'UNDERSTUDY_DATA__DIRECTORY': sys.argv[3]}), port=0,\n"
    "      build=lambda settings: Told(pace=0.02, tokens=int(sys.argv[2])))"
)


class Server:
    """A process that serves the small pipeline, one slow answer after the other."""

    def __init__(self, drain_seconds: float, tokens: int, data: str) -> None:
        command = [sys.executable, "-W", "error", "-c", PROGRAM, str(drain_seconds), str(tokens), data]
        self.data = Path(data)
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True)
        assert self.process.stdout is not None
        self.url = re.findall(r"http://127\.0\.0\.1:\d+", self.process.stdout.readline())[0]
        self._callers = ThreadPoolExecutor(8)
        self._numbers = itertools.count()

    def question(self) -> dict[str, str]:
        """One of its own each time: the same one would be answered along with the first."""
        return PLANT | {"question": f"slow {next(self._numbers)}"}

    def stream(self) -> tuple[threading.Event, Future[list[tuple[str, dict[str, object]]]]]:
        """An open stream: set once its first event came, and all of its events in the end."""
        begun, asked = threading.Event(), self.question()

        def read() -> list[tuple[str, dict[str, object]]]:
            found, name = [], ""
            with httpx.stream("POST", f"{self.url}/v1/answers/stream", json=asked, timeout=60) as response:
                for line in response.iter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                        begun.set()
                    if line.startswith("data: "):
                        found.append((name, json.loads(line.removeprefix("data: "))))
            return found

        return begun, self._callers.submit(read)

    def ask(self) -> Future[httpx.Response]:
        """A whole answer, which waits behind those before it."""
        return self._callers.submit(httpx.post, f"{self.url}/v1/answers", json=self.question(), timeout=60)

    def signal(self) -> None:
        os.kill(self.process.pid, signal.SIGTERM)

    def ended(self) -> tuple[str, str]:
        """What it wrote, once it has ended."""
        return self.process.communicate(timeout=30)

    def close(self) -> None:
        """Wait for the process and for every caller."""
        self._callers.shutdown()
        with self.process:  # closes its pipes
            pass

    def waiting(self) -> str:
        return httpx.get(f"{self.url}/metrics").text


def upload_in_pieces(server: Server) -> httpx.Response:
    """An upload that takes two seconds to come."""

    def pieces() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="pump.md"\r\n\r\n'
        for _ in range(20):
            time.sleep(0.1)
            yield b"The pump is greased every 200 hours. "
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return httpx.post(f"{server.url}/v1/domains/fresh/documents", content=pieces(), headers=headers, timeout=60)


@contextmanager
def serving(drain_seconds: float, tokens: int = 60) -> Iterator[Server]:
    with TemporaryDirectory() as data:
        server = Server(drain_seconds, tokens, data)
        try:
            yield server
        finally:
            server.process.kill()
            server.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_told_to_stop_it_refuses_what_is_new_and_finishes_what_it_took() -> None:
    with serving(drain_seconds=30) as server:
        begun, streamed = server.stream()
        assert begun.wait(10)
        asked = server.ask()
        until(lambda: 'understudy_answers_open{state="waiting"} 1.0' in server.waiting())
        server.signal()
        until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503)
        health = httpx.get(f"{server.url}/health/ready").json()
        assert health["ready"] is False
        assert "stopping" in health["checks"]["stop"]
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        for path in ("/v1/answers", "/v1/answers/stream", "/v1/passages"):
            refused = httpx.post(f"{server.url}{path}", json=PLANT)
            assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
            assert int(refused.headers["retry-after"]) >= 1
        assert streamed.result(30)[-1][0] == "done"
        assert asked.result(30).status_code == 200
        out, err = server.ended()
        assert out == "closed\n"
        assert "Traceback" not in err
        assert server.process.returncode == -signal.SIGTERM


def test_a_request_of_many_parts_is_finished_whole_when_its_server_is_told_to_stop() -> None:
    with serving(drain_seconds=30, tokens=40) as server, ThreadPoolExecutor(2) as threads:
        questions = [server.question() for _ in range(4)]
        batch = threads.submit(httpx.post, f"{server.url}/v1/answers/batch", json={"questions": questions}, timeout=60)
        until(lambda: 'understudy_answers_open{state="running"} 1.0' in server.waiting())
        uploading = threads.submit(upload_in_pieces, server)
        until(lambda: [*server.data.rglob("pump.md")] != [])
        server.signal()
        until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503)
        items = batch.result(60).json()["items"]
        assert [item["problem"] for item in items] == [None] * 4
        uploaded = uploading.result(60)
        assert uploaded.status_code == 202, "it had begun: what it brings is taken up at the next start"
        out, err = server.ended()
        assert (out, server.process.returncode) == ("closed\n", -signal.SIGTERM)
        assert "Traceback" not in err


def test_a_batch_that_is_not_finished_by_the_deadline_says_so_of_each_question_that_is_left() -> None:
    with serving(drain_seconds=1.5, tokens=40) as server, ThreadPoolExecutor(1) as threads:
        questions = [server.question() for _ in range(8)]
        batch = threads.submit(httpx.post, f"{server.url}/v1/answers/batch", json={"questions": questions}, timeout=60)
        until(lambda: 'understudy_answers_open{state="running"} 1.0' in server.waiting())
        server.signal()
        items = batch.result(60).json()["items"]
        codes = [item["problem"] and item["problem"]["code"] for item in items]
        assert codes[0] is None
        assert set(codes[-4:]) == {"stopping"}
        assert server.ended()[0] == "closed\n"


def test_what_is_not_finished_by_the_deadline_ends_with_an_error_of_its_own() -> None:
    with serving(drain_seconds=0.5, tokens=100_000) as server:
        begun, streamed = server.stream()
        assert begun.wait(10)
        waits, asked = server.stream()[1], server.ask()
        until(lambda: 'understudy_answers_open{state="waiting"} 2.0' in server.waiting())
        told = time.monotonic()
        server.signal()
        name, problem = streamed.result(30)[-1]
        assert time.monotonic() - told > 0.4
        assert (name, problem["code"], problem["status"]) == ("error", "stopping", 503)
        refused = asked.result(30)
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        assert waits.result(30) == [], "a stream that had not begun gets a plain problem"
        out, err = server.ended()
        assert out == "closed\n"
        lines = [json.loads(line) for line in err.splitlines()]
        (ended,) = [line for line in lines if line["message"] == "answers were ended unfinished"]
        assert ended["answers"] == 3


def test_with_nothing_to_finish_it_ends_at_once() -> None:
    with serving(drain_seconds=30) as server:
        begin = time.monotonic()
        server.signal()
        assert server.ended()[0] == "closed\n"
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(again: signal.Signals) -> None:
    with serving(drain_seconds=30, tokens=100_000) as server:
        begun, streamed = server.stream()
        assert begun.wait(10)
        server.signal()
        until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503)
        begin = time.monotonic()
        server.process.send_signal(again)
        assert server.process.wait(10) == -again
        assert time.monotonic() - begin < 2
        with pytest.raises(httpx.RemoteProtocolError):
            streamed.result(10)
