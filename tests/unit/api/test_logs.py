"""Log lines and request ids: JSON, an id for every request, and nobody's question in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.logs import configure
from rag.settings import Settings
from tests.fakes.pipeline import FakePipeline

SECRET = "How is the secret pump greased?"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged, with the loggers put back afterwards."""
    root, own = logging.getLogger(), logging.getLogger("understudy")
    handlers, level, own_level = root.handlers[:], root.level, own.level
    stream = io.StringIO()
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(own_level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def ask(question: str, headers: dict[str, str] | None = None, *, path: str = "/v1/answers") -> str:
    with TestClient(create_app(Settings(), lambda _: FakePipeline())) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        body = {"question": question, "domain": "plant"}
        return client.post(path, json=body, headers=headers).headers["x-request-id"]


def test_a_request_is_one_line_without_its_question(stream: io.StringIO) -> None:
    configure("info", stream)
    identity = ask(SECRET)
    (line,) = [line for line in lines(stream) if line.get("path") == "/v1/answers"]
    assert line["request_id"] == identity
    assert (line["method"], line["status"], line["level"]) == ("POST", 200, "info")
    assert "problem" not in line
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize(("question", "problem"), [(" ", "invalid_question"), ("early", "engine_died")])
def test_a_refused_request_names_its_problem(stream: io.StringIO, question: str, problem: str) -> None:
    configure("info", stream)
    ask(question)
    (line,) = [line for line in lines(stream) if line.get("path") == "/v1/answers"]
    assert line["problem"] == problem


def test_a_stream_that_fails_midway_names_its_problem(stream: io.StringIO) -> None:
    configure("info", stream)
    ask("late", path="/v1/answers/stream")
    (line,) = [line for line in lines(stream) if line.get("path") == "/v1/answers/stream"]
    assert (line["status"], line["problem"]) == (200, "engine_died")


def test_the_level_is_kept(stream: io.StringIO) -> None:
    configure("error", stream)
    ask(SECRET)
    assert stream.getvalue() == ""


def test_an_unexpected_error_is_one_line_with_its_traceback(stream: io.StringIO) -> None:
    configure("error", stream)
    identity = ask("broken")
    (line,) = lines(stream)
    assert line["request_id"] == identity
    assert "ZeroDivisionError: the secret internals" in str(line["traceback"])


def test_a_plain_id_of_the_caller_is_kept_and_any_other_replaced() -> None:
    assert ask(SECRET, {"X-Request-ID": "trace-42/a"}) == "trace-42/a"
    for bad in ("two words", "x" * 129, "", '"quoted"'):
        given = ask(SECRET, {"X-Request-ID": bad})
        assert given != bad
        assert len(given) == 32
