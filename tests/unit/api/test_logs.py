"""Log lines and request ids: JSON, an id for every request, and nobody's question in them."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from litestar.types import ASGIApp, Receive, Scope, Send

from api.app import create_app
from api.logs import configure
from rag.settings import LogSettings, Settings
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


def until_ready(client: TestClient[Litestar]) -> None:
    while client.get("/health/ready").status_code != 200:
        pass


def ask(
    question: str,
    headers: dict[str, str] | None = None,
    *,
    path: str = "/v1/answers",
    settings: Settings | None = None,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> str:
    app = create_app(settings or Settings(), lambda _: FakePipeline())
    app.asgi_handler = around(app.asgi_handler)
    with TestClient(app) as client:
        until_ready(client)
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
    assert str(line["traceback"]).endswith("\nZeroDivisionError"), "its message may repeat the question"
    assert "in stream" in str(line["traceback"])


def test_where_texts_are_asked_for_they_are_written(stream: io.StringIO) -> None:
    configure("info", stream, texts=True)
    texts = Settings(log=LogSettings(texts=True))
    ask(SECRET, settings=texts)
    ask(f"broken {SECRET}", settings=texts)
    (answered, failed) = [line for line in lines(stream) if line["message"] == "answer"]
    assert (answered["question"], answered["answer"]) == (SECRET, "Every 200 hours")
    assert failed["question"] == f"broken {SECRET}"
    (unexpected,) = [line for line in lines(stream) if line["level"] == "error"]
    assert str(unexpected["traceback"]).endswith(f"ZeroDivisionError: the secret internals of broken {SECRET}")


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream"])
def test_an_answer_is_one_line_with_what_it_took(stream: io.StringIO, path: str) -> None:
    configure("info", stream)
    identity = ask(SECRET, path=path)
    (line,) = [line for line in lines(stream) if line["message"] == "answer"]
    assert line["request_id"] == identity
    assert (line["basis"], line["abstained"], line["citations"]) == ("none", False, 1)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (40, 3)
    assert line["stages"] == {"search": 0.5, "generate": 30.0}
    assert (line["generation"], line["model"]) == ("g1", "fake-1")
    waited, first, whole = (
        float(str(line[name])) for name in ("queue_milliseconds", "first_token_milliseconds", "milliseconds")
    )
    assert 0 <= waited <= first <= whole


def test_the_key_of_a_caller_is_named_by_its_id(stream: io.StringIO) -> None:
    configure("info", stream)

    def keyed(app: ASGIApp) -> ASGIApp:
        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("state", {})["caller"] = "key-7"
            await app(scope, receive, send)

        return call

    ask(SECRET, around=keyed)
    named = [line["caller"] for line in lines(stream) if line["message"] in ("answer", "request") and "caller" in line]
    assert named.count("key-7") >= 2


def test_an_answer_that_abstains_names_the_kind_of_reason(stream: io.StringIO) -> None:
    configure("info", stream)
    ask("nothing")
    (line,) = [line for line in lines(stream) if line["message"] == "answer"]
    assert (line["abstained"], line["reason"]) == (True, "unsupported")


# --- nobody's words ----------------------------------------------------------------------------

MARK = "quetzalcoatlus"
ANSWERED = ("200 hours", "greased", "pumps.md")
BODIES: dict[str, object] = {
    "answered": {"question": MARK, "domain": "plant"},
    "abstained": {"question": f"nothing {MARK}", "domain": "plant"},
    "fails early": {"question": f"early {MARK}", "domain": "plant"},
    "fails late": {"question": f"late {MARK}", "domain": "plant"},
    "unforeseen": {"question": f"broken {MARK}", "domain": "plant"},
    "unknown domain": {"question": MARK, "domain": MARK},
    "options": {"question": MARK, "domain": "plant", "options": [MARK, f"{MARK}!"]},
    "earlier": {"question": MARK, "domain": "plant", "earlier": [{"question": MARK, "answer": MARK}]},
    "wrong type": {"question": {MARK: MARK}, "domain": "plant"},
    "wrong field": {"question": "x", "domain": "plant", MARK: MARK},
    "filter": {"question": "x", "domain": "plant", "filter": {"conditions": [{"field": MARK, "equals": MARK}]}},
}


def routes() -> list[tuple[str, str]]:
    app = create_app(Settings(), lambda _: FakePipeline())
    found = [(method, route.path) for route in app.routes if isinstance(route, HTTPRoute) for method in route.methods]
    return sorted(found)


def test_no_route_and_no_failure_writes_anybodys_words(stream: io.StringIO) -> None:
    configure("debug", stream)
    headers = {"X-Request-ID": "known"}
    with TestClient(create_app(Settings(), lambda _: FakePipeline()), raise_server_exceptions=False) as client:
        until_ready(client)
        for method, path in routes():
            target = re.sub(r"\{[^}]*\}", MARK, path)
            for body in BODIES.values():
                client.request(method, f"{target}?{MARK}={MARK}", json=body, headers=headers)
            client.request(method, target, content=f"{{{MARK}".encode(), headers=headers)
            client.request(method, target, content=f'"{MARK}\xff"'.encode("latin-1"), headers={MARK: MARK})
            client.request(method, target, data={MARK: MARK}, headers=headers)
        client.get(f"/{MARK}/{MARK}", headers=headers)
        client.request(MARK.upper(), "/v1/answers")
        client.post("/v1/answers", content=f"{MARK} " * 100_000, headers={"Content-Type": "application/json"})
    assert len(lines(stream)) > 100
    assert MARK not in stream.getvalue().casefold()
    assert [words for words in ANSWERED if words in stream.getvalue()] == []


def test_a_library_s_message_is_cut_before_what_it_may_quote(stream: io.StringIO) -> None:
    configure("info", stream)
    try:
        try:
            raise KeyError(MARK)
        except KeyError as error:
            raise ValueError(f"no {MARK}") from error
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved\nfuture: <Task %s>", MARK)
    (line,) = lines(stream)
    assert line["message"] == "Task exception was never retrieved"
    told = str(line["traceback"])
    assert told.index("KeyError") < told.index("ValueError")
    assert f"no {MARK}" not in told


def test_no_character_of_a_text_breaks_a_line_or_commands_a_terminal(stream: io.StringIO) -> None:
    configure("info", stream, texts=True)
    ask("\x1b[2J\u2028\u202e\x85\x00\x7f one\ntwo", settings=Settings(log=LogSettings(texts=True)))
    assert all(line.isascii() and line.isprintable() for line in stream.getvalue().split("\n"))
    assert [line["message"] for line in lines(stream)].count("answer") == 1


def test_a_plain_id_of_the_caller_is_kept_and_any_other_replaced() -> None:
    assert ask(SECRET, {"X-Request-ID": "trace-42/a"}) == "trace-42/a"
    for bad in ("two words", "x" * 129, "", '"quoted"'):
        given = ask(SECRET, {"X-Request-ID": bad})
        assert given != bad
        assert len(given) == 32
