"""The OpenAI-compatible adapter against a server on loopback that fails in every way."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from rag.adapters.openai_model import OpenAIModel
from rag.errors import (
    Cancelled,
    InvalidQuestion,
    InvalidSettings,
    ModelBusy,
    ModelRejected,
    ModelTimeout,
    ModelUnreachable,
    RagError,
)
from rag.types import Message, Piece, Prompt
from tests.fakes.language_model import ENDLESS, FakeLanguageModel
from tests.fakes.openai_server import Body, OpenAIServer, Reply, chunk, failure, serving

KEY = "sk-loopback-secret-0123456789"
ASKED = Prompt(messages=(Message(role="user", content="Tides follow the moon.\nWhat do tides follow?"),), max_tokens=16)
LONG = Prompt(messages=(Message(role="user", content=f"Count {ENDLESS}: one two three"),), max_tokens=400)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with serving(FakeLanguageModel(seconds_a_piece=0.002)) as running:
        yield running


def connect(
    url: str, *, retries: int = 2, timeout_seconds: float = 20.0, key: str = KEY, context: int = 2048
) -> OpenAIModel:
    return OpenAIModel(
        base_url=url,
        api_key=key,
        model="fake-1",
        context_tokens=context,
        timeout_seconds=timeout_seconds,
        retries=retries,
        backoff_seconds=0.02,
    )


@pytest.fixture
def model(server: OpenAIServer) -> Iterator[OpenAIModel]:
    connected = connect(server.url)
    yield connected
    connected.close()


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def answer(model: OpenAIModel, prompt: Prompt = ASKED) -> str:
    return text_of(list(model.generate(prompt)))


def error_of(model: OpenAIModel, prompt: Prompt = ASKED) -> RagError:
    with pytest.raises(RagError) as caught:
        list(model.generate(prompt))
    error = caught.value
    told = [str(error), repr(error), str(error.__cause__), str(error.__context__)]
    assert not any(KEY in part for part in told), "the key is in an error"
    return error


# --- an answer ---


def test_an_answer_comes_with_the_server_s_own_counts(server: OpenAIServer, model: OpenAIModel) -> None:
    *_, last = list(model.generate(ASKED))
    assert answer(model) == "Tides follow the moon."
    assert (last.finish, last.completion_tokens) == ("stop", 5)
    assert last.prompt_tokens == server.model.prompt_tokens(ASKED.messages)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert server.bodies[0]["model"] == "fake-1"


def test_without_a_key_no_authorization_is_sent(server: OpenAIServer) -> None:
    model = connect(server.url, key="")
    assert answer(model)
    assert "authorization" not in server.headers[0]
    model.close()


def test_counts_are_estimated_where_the_server_sends_none(server: OpenAIServer, model: OpenAIModel) -> None:
    server.script = [Reply(lines=(chunk("Hello there."), chunk(finish="stop"), "data: [DONE]"))]
    *_, last = list(model.generate(ASKED))
    assert last.prompt_tokens == model.prompt_tokens(ASKED.messages)
    assert last.completion_tokens == model.count_tokens(["Hello there."])[0]


def test_a_server_that_does_not_stream_is_understood(server: OpenAIServer, model: OpenAIModel) -> None:
    message = {"role": "assistant", "content": "Whole."}
    server.script = [
        Reply(body={"choices": [{"message": message, "finish_reason": "length"}], "usage": {"prompt_tokens": 9}})
    ]
    *_, last = pieces = list(model.generate(ASKED))
    assert text_of(pieces) == "Whole."
    assert (last.finish, last.prompt_tokens) == ("length", 9)


def test_comments_roles_and_an_end_without_done_are_no_trouble(server: OpenAIServer, model: OpenAIModel) -> None:
    role = 'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}'
    server.script = [Reply(lines=(": keep-alive", role, "event: x", chunk("Fine"), chunk(finish="stop")))]
    assert answer(model) == "Fine"


# --- what a server does not take ---


def newer_openai(body: Body) -> Reply | None:
    if "max_tokens" in body:
        said = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return failure(400, said, code="unsupported_parameter", param="max_tokens")
    if "temperature" in body:
        said = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."
        return failure(400, said, code="unsupported_value", param="temperature")
    if "stop" in body:
        said = "Unsupported parameter: 'stop' is not supported with this model."
        return failure(400, said, code="unsupported_parameter", param="stop")
    return None


def gemini(body: Body) -> Reply | None:
    unknown = [name for name in ("seed", "stream_options") if name in body]
    said = "\n".join(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in unknown)
    return Reply(400, [{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}]) if unknown else None


@pytest.mark.parametrize(("refuses", "refusals"), [(newer_openai, 3), (gemini, 2)])
def test_a_refused_parameter_is_left_out_from_then_on(refuses: Callable[[Body], Reply | None], refusals: int) -> None:
    prompt = ASKED.model_copy(update={"stop": (" moon",)})
    with serving(refuses=refuses) as server:
        model = connect(server.url, retries=0)
        assert answer(model, prompt) == "Tides follow the"
        assert len(server.bodies) == refusals + 1
        assert answer(model, prompt) == "Tides follow the"
        assert len(server.bodies) == refusals + 2, "it is remembered"
        model.close()


# --- failures that pass ---


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_a_passing_failure_is_tried_again(status: int, server: OpenAIServer, model: OpenAIModel) -> None:
    server.script = [failure(status, "try later"), failure(status, "try later")]
    assert answer(model) == "Tides follow the moon."
    assert len(server.bodies) == 3


@pytest.mark.parametrize("hang_up", [False, True])
def test_a_connection_that_ends_before_the_first_word_is_tried_again(
    hang_up: bool, server: OpenAIServer, model: OpenAIModel
) -> None:
    server.script = [Reply(hang_up=True), Reply(lines=(": nothing yet",), hang_up=hang_up)]
    assert answer(model) == "Tides follow the moon."
    assert len(server.bodies) == 3


def test_a_connection_that_idled_away_is_no_failure(server: OpenAIServer) -> None:
    model = connect(server.url, retries=1)
    server.script = [Reply(lines=(chunk("One"), chunk(finish="stop"), "data: [DONE]"), hang_up=True)]
    assert answer(model) == "One"
    assert answer(model) == "Tides follow the moon."
    model.close()


@pytest.mark.parametrize("written", ["0.3", "date"])
def test_the_pause_that_a_server_asks_for_is_kept(written: str, server: OpenAIServer, model: OpenAIModel) -> None:
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if written == "date" else written
    server.script = [failure(429, "slow down", Retry_After=value)]
    begin = time.monotonic()
    assert answer(model)
    assert time.monotonic() - begin >= (0.3 if written == "0.3" else 0.9)


def test_a_pause_longer_than_the_deadline_is_told_at_once(server: OpenAIServer, model: OpenAIModel) -> None:
    server.script = [failure(429, "slow down", Retry_After="600")]
    begin = time.monotonic()
    error = error_of(model)
    assert isinstance(error, ModelBusy)
    assert error.retry_after == 600
    assert time.monotonic() - begin < 5


def test_retries_end(server: OpenAIServer, model: OpenAIModel) -> None:
    server.script = [failure(503, "overloaded")] * 3
    error = error_of(model)
    assert isinstance(error, ModelUnreachable)
    assert "answered 503 (overloaded)" in str(error)
    assert len(server.bodies) == 3


# --- failures that stay ---


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (failure(401, f"Incorrect API key provided: {KEY}"), ModelRejected, "check UNDERSTUDY_MODEL__API_KEY"),
        (failure(403, "not your project"), ModelRejected, "check UNDERSTUDY_MODEL__API_KEY"),
        (failure(404, "The model does not exist"), ModelRejected, "knows no model 'fake-1'"),
        (failure(429, "You exceeded your quota", code="insufficient_quota"), ModelRejected, "exceeded your quota"),
        (failure(400, "This model's maximum context length is 8 tokens"), InvalidQuestion, "too long for fake-1"),
        (failure(413, "request too large"), InvalidQuestion, "too long"),
        (failure(400, "messages: bad"), ModelRejected, "messages: bad"),
        (Reply(301, {}, {"Location": "https://elsewhere.example/"}), ModelRejected, "answered 301"),
        (Reply(200, "<html>a login page</html>"), ModelUnreachable, "sent what is no answer"),
        (Reply(200, {"hello": 1}), ModelUnreachable, "sent what is no answer (it has no 'choices')"),
        (Reply(200, {"error": {"message": "Overloaded"}}), ModelUnreachable, "failed while it answered (Overloaded)"),
    ],
)
def test_a_failure_that_stays_is_one_sentence_and_no_retry(
    reply: Reply, kind: type[RagError], said: str, server: OpenAIServer, model: OpenAIModel
) -> None:
    server.script = [reply]
    error = error_of(model)
    assert type(error) is kind
    assert said in str(error)
    assert len(server.bodies) == 1
    assert answer(model) == "Tides follow the moon."


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((chunk("Tides fol"),), "broke off its answer"),
        ((chunk("Tides fol"), "data: {"), "sent what is no answer"),
        ((chunk("Tides fol"), 'data: {"error": {"message": "Overloaded"}}'), "failed while it answered (Overloaded)"),
    ],
)
@pytest.mark.parametrize("hang_up", [False, True])
def test_a_stream_that_breaks_after_its_first_words_is_an_error_and_not_begun_again(
    lines: tuple[str, ...], said: str, hang_up: bool, server: OpenAIServer, model: OpenAIModel
) -> None:
    server.script = [Reply(lines=lines, hang_up=hang_up)]
    stream = model.generate(ASKED)
    assert next(stream).text == "Tides fol"
    with pytest.raises(ModelUnreachable) as caught:
        list(stream)
    assert said in str(caught.value) or (hang_up and "cannot be reached" in str(caught.value))
    assert len(server.bodies) == 1


def test_an_answer_withheld_by_a_filter_is_told(server: OpenAIServer, model: OpenAIModel) -> None:
    server.script = [Reply(lines=(chunk(finish="content_filter"), "data: [DONE]"))]
    assert "content filter" in str(error_of(model))


def test_nobody_at_the_address_is_told_with_the_address_and_the_way_out() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    model = connect(url)
    error = error_of(model)
    assert isinstance(error, ModelUnreachable)
    assert url in str(error)
    assert "UNDERSTUDY_MODEL__BASE_URL" in str(error)
    model.close()


# --- time, and callers that go away ---


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(server: OpenAIServer) -> None:
    server.script = [Reply(wait_seconds=1.5, body={})]
    model = connect(server.url, timeout_seconds=0.3)
    begin = time.monotonic()
    error = error_of(model)
    assert isinstance(error, ModelTimeout)
    assert "within 0.3 s" in str(error)
    assert time.monotonic() - begin < 1.2
    model.close()


def test_a_caller_need_not_wait_for_the_first_word_to_go_away(server: OpenAIServer, model: OpenAIModel) -> None:
    server.script = [Reply(wait_seconds=1.5, body={})]
    gone = threading.Event()
    threading.Timer(0.1, gone.set).start()
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        list(model.generate(ASKED, cancelled=gone.is_set))
    assert time.monotonic() - begin < 1.2


def test_a_caller_who_goes_away_while_a_retry_is_due_is_let_go(server: OpenAIServer, model: OpenAIModel) -> None:
    server.script = [failure(429, "slow down", Retry_After="15")]
    gone = threading.Event()
    threading.Timer(0.2, gone.set).start()
    with pytest.raises(Cancelled):
        list(model.generate(ASKED, cancelled=gone.is_set))


def test_the_server_stops_writing_once_nobody_reads() -> None:
    with serving(FakeLanguageModel(seconds_a_piece=0.01)) as server:
        model = connect(server.url)
        stream = model.generate(LONG)
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator
        end = time.monotonic() + 10
        while not server.broken_streams and time.monotonic() < end:
            time.sleep(0.02)
        assert server.broken_streams == 1
        model.close()


# --- what is shown and what can be none ---


def test_neither_key_nor_password_is_shown(server: OpenAIServer) -> None:
    model = connect(server.url.replace("//", "//reader:password@"))
    shown = f"{model!r} {model} {model.card}"
    assert "fake-1" in shown
    assert server.url in shown
    assert KEY not in shown
    assert "password" not in shown
    model.close()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080/v1", "ftp://host/v1", "http://", "http://[::1", "nonsense"])
def test_an_address_that_can_be_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidSettings, match="UNDERSTUDY_MODEL__BASE_URL"):
        connect(url)


def test_a_key_that_can_be_none_is_refused_and_not_repeated(server: OpenAIServer) -> None:
    with pytest.raises(InvalidSettings) as caught:
        connect(server.url, key="sk-ä-secret")
    assert "secret" not in str(caught.value)
    model = connect(server.url, key=f"  {KEY}\n")
    assert answer(model)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    model.close()
