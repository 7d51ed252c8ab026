"""The official `openai` client, unchanged, against a real server on loopback."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from api.keys import Keys
from rag.settings import load
from rag.types import Answer
from tests.fakes.embedder import HashedWords
from tests.fakes.pipeline import QUOTE, TEXT, FakePipeline
from tests.fakes.server import served
from tests.integration.test_api_server import arrived, raw_request, ready, until

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How often is the pump greased?"}]


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def url(pipeline: FakePipeline) -> Iterator[str]:
    with served(lambda _: pipeline) as url:
        assert until(lambda: ready(url))
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def asked(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


# --- chat --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["plant", "understudy/plant"])
def test_a_completion_is_the_checked_answer_with_its_citations(client: openai.OpenAI, model: str) -> None:
    completion = client.chat.completions.create(model=model, messages=ASK)
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "Every 200 hours")
    assert choice.finish_reason == "stop"
    assert completion.model == "plant"
    assert completion.id == f"chatcmpl-{completion._request_id}"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (40, 3)
    assert completion.usage.total_tokens == 43
    assert completion.model_extra is not None
    answer = Answer.model_validate(completion.model_extra["understudy"])
    (citation,) = answer.citations
    assert TEXT[citation.char_start : citation.char_end] == citation.quote == QUOTE
    assert (answer.abstained, answer.basis, answer.confidence) == (False, "none", None)


def test_an_abstention_says_so_beside_its_words(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="plant", messages=asked("nothing"))
    assert completion.choices[0].message.content == "The documents do not answer this question."
    assert completion.model_extra is not None
    assert completion.model_extra["understudy"]["abstained"] is True


def test_a_stream_is_role_then_checked_text_then_the_whole_answer(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="plant", messages=ASK, stream=True)
    chunks = list(stream)
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", None, None]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Every 200 hours"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.usage for chunk in chunks] == [None] * 3
    assert "understudy" not in (chunks[0].model_extra or {})
    assert Answer.model_validate((chunks[-1].model_extra or {})["understudy"]).citations[0].quote == QUOTE


def test_a_stream_tells_its_usage_in_a_last_chunk_when_asked_to(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="plant", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    *_, last = list(stream)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 43


def test_the_role_comes_before_the_answer_is_made_and_no_provisional_word_is_sent(
    client: openai.OpenAI, pipeline: FakePipeline
) -> None:
    stream = client.chat.completions.create(model="plant", messages=asked("slow"), stream=True)
    first = next(stream)
    assert first.choices[0].delta.role == "assistant"
    assert pipeline.finished == []
    stream.close()
    assert pipeline.cancelled.wait(3.0)  # its answer would take four; test_api_server.py holds the one second


def test_the_stream_helper_of_the_client_reads_it_too(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="plant", messages=ASK) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Every 200 hours"


def test_the_bytes_of_a_stream_end_with_done(url: str) -> None:
    said = httpx.post(f"{url}/v1/chat/completions", json={"model": "plant", "messages": ASK, "stream": True})
    assert said.headers["content-type"].startswith("text/event-stream")
    assert said.text.endswith("data: [DONE]\n\n")
    assert said.text.count("data: ") == 4


def test_async_clients_are_answered(url: str) -> None:
    async def ask() -> str | None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            said = await client.chat.completions.create(model="plant", messages=ASK)
            return said.choices[0].message.content

    assert asyncio.run(ask()) == "Every 200 hours"


def test_parameters_that_do_no_harm_are_accepted(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="plant",
        messages=[
            {"role": "system", "content": "Answer like a pirate."},
            {"role": "developer", "content": "Ignore the documents."},
            {"role": "user", "content": [{"type": "text", "text": "How often?"}]},
        ],
        temperature=0.7,
        top_p=0.9,
        max_tokens=5,
        max_completion_tokens=5,
        seed=3,
        stop=["\n"],
        user="someone",
        n=1,
        presence_penalty=0.1,
        response_format={"type": "text"},
        extra_body={"understudy": {"max_passages": 3}, "anything": 1},
    )
    assert completion.choices[0].message.content == "Every 200 hours"


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://x.invalid/a.png"}}],
                    }
                ]
            },
            "messages.0.content",
        ),
        ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "1"}]}, "messages.0.role"),
    ],
)
def test_what_is_not_offered_is_refused_with_its_parameter(
    client: openai.OpenAI, extra: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="plant", messages=ASK, extra_body=extra)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    assert refused.value.type == "invalid_request_error"


def test_errors_are_the_clients_own_classes(client: openai.OpenAI) -> None:
    ask = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(model="nowhere", messages=ASK)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match="the question is empty"):
        ask(model="plant", messages=asked(" "))
    with pytest.raises(openai.BadRequestError, match="the last message must be the user's"):
        ask(model="plant", messages=[*ASK, {"role": "assistant", "content": "Yes."}])
    with pytest.raises(openai.InternalServerError) as died:
        ask(model="plant", messages=asked("early"))
    assert (died.value.status_code, died.value.code, died.value.type) == (503, "engine_died", "server_error")
    with pytest.raises(openai.APIError, match="ask again"):
        list(ask(model="plant", messages=asked("late"), stream=True))


def test_the_client_comes_back_after_a_busy_server_s_wait() -> None:
    pipeline = FakePipeline(pace=0.02, tokens=1000)
    with served(lambda _: pipeline, load({"UNDERSTUDY_SERVER__MAX_WAITING": "1"})) as url:
        assert until(lambda: ready(url))
        running = raw_request(url, "/v1/answers", {"question": "slow", "domain": "plant"})
        assert until(lambda: pipeline.started == ["slow"])
        waiting = raw_request(url, "/v1/answers", {"question": "How often?", "domain": "plant"})
        arrived(url)
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=2) as client:
            threading.Timer(0.5, running.close).start()
            said = client.chat.completions.create(model="plant", messages=ASK)
        assert said.choices[0].message.content == "Every 200 hours"
        waiting.close()


def test_keys_are_refused_by_the_clients_own_classes(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    _, elsewhere = keys.create("elsewhere", scopes=["read"], domains=["office"])
    _, writer = keys.create("writer", scopes=["ingest"], domains=["plant"])
    _, reader = keys.create("reader", scopes=["read"], domains=["plant"])
    with served(lambda _: FakePipeline(), load({"UNDERSTUDY_DATA__DIRECTORY": str(tmp_path)})) as url:
        assert until(lambda: ready(url))

        def ask(key: str) -> list[str]:
            with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
                client.chat.completions.create(model="plant", messages=ASK)
                return [model.id for model in client.models.list()]

        with pytest.raises(openai.AuthenticationError) as unknown:
            ask("none")
        assert (unknown.value.code, unknown.value.type) == ("not_authenticated", "authentication_error")
        with pytest.raises(openai.PermissionDeniedError):
            ask(writer)
        with pytest.raises(openai.NotFoundError) as foreign:
            ask(elsewhere)
        assert foreign.value.code == "model_not_found"
        assert ask(reader) == ["plant"]


# --- models and embeddings ---------------------------------------------------------------------


def test_the_domains_are_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["plant"]
    for name in ("plant", "understudy/plant"):
        found = client.models.retrieve(name)
        assert (found.id, found.owned_by) == ("plant", "understudy")
        assert found.model_extra is not None
        assert found.model_extra["understudy"]["title"] == "Plant handbook"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("nowhere")
    assert unknown.value.code == "model_not_found"


def test_vectors_are_the_embedder_s_in_either_encoding(client: openai.OpenAI, url: str) -> None:
    texts = ["the pump leaks", "the valve"] * 40
    wanted = HashedWords().embed(texts)
    as_numbers = client.embeddings.create(model="hashed-words", input=texts, encoding_format="float")
    np.testing.assert_allclose([item.embedding for item in as_numbers.data], wanted, rtol=1e-6)
    assert [item.index for item in as_numbers.data] == list(range(80))
    by_default = client.embeddings.create(model="hashed-words", input=texts)
    np.testing.assert_array_equal(np.asarray([item.embedding for item in by_default.data], np.float32), wanted)
    assert by_default.usage.prompt_tokens == by_default.usage.total_tokens == 40 * 5 + 40 * 4
    body = {"model": "hashed-words", "input": "the pump leaks", "encoding_format": "base64"}
    said = httpx.post(f"{url}/v1/embeddings", json=body).json()["data"][0]["embedding"]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(said), "<f4"), wanted[0])


def test_texts_that_cannot_be_embedded_are_refused(client: openai.OpenAI) -> None:
    embed = client.embeddings.create
    with pytest.raises(openai.NotFoundError, match="hashed-words"):
        embed(model="text-embedding-3-small", input="x")
    for given in ([1, 2], [[1, 2]], "", [], ["a", ""], ["x"] * 2049):
        with pytest.raises(openai.BadRequestError):
            embed(model="hashed-words", input=given)
    with pytest.raises(openai.BadRequestError) as refused:
        embed(model="hashed-words", input="x", dimensions=5)
    assert refused.value.param == "dimensions"
