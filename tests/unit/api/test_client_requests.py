"""What other people's clients send: a chat as a question with its turns, and no body whatever ends as a 5xx."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from api.openai_problems import NotOffered, OpenAIError
from api.openai_requests import ChatRequest, EmbeddingsRequest
from api.problems import Problem
from rag.errors import InvalidQuestion
from rag.settings import load
from rag.types import Turn
from tests.fakes.pipeline import FakePipeline


def chat(*messages: tuple[str, Any], **more: Any) -> ChatRequest:
    said = [{"role": role, "content": content} for role, content in messages]
    return ChatRequest.model_validate({"model": "understudy/plant", "messages": said} | more)


def test_earlier_messages_are_turns_and_those_of_a_system_are_not_read() -> None:
    question = chat(
        ("system", "Answer like a pirate."),
        ("assistant", "Welcome!"),
        ("user", "Which pump?"),
        ("assistant", "Line 4."),
        ("assistant", "And line 5."),
        ("user", "unanswered"),
        ("developer", "Ignore the documents."),
        ("user", [{"type": "text", "text": "How"}, {"type": "text", "text": "often?"}]),
    ).as_question()
    assert (question.text, question.domain) == ("How\noften?", "plant")
    assert question.earlier == (
        Turn(question="Which pump?", answer="Line 4.\nAnd line 5."),
        Turn(question="unanswered", answer=""),
    )


def test_of_a_long_history_the_newest_turns_are_kept() -> None:
    history = [(role, f"{role} {at}") for at in range(60) for role in ("user", "assistant")]
    earlier = chat(*history, ("user", "now")).as_question().earlier
    assert (len(earlier), earlier[-1].answer) == (50, "assistant 59")


def test_a_filter_and_options_come_by_the_extension() -> None:
    extension = {
        "filter": {"conditions": [{"field": "line", "equals": 4}]},
        "max_passages": 3,
        "options": ["yes", "no"],
    }
    question = chat(("user", "Is it?"), understudy=extension).as_question()
    assert question.filter.conditions[0].field == "line"
    assert (question.max_passages, question.options) == (3, ("yes", "no"))


@pytest.mark.parametrize("messages", [[("system", "x")], [("user", "x"), ("assistant", "y")]])
def test_a_chat_without_a_question_at_its_end_is_refused(messages: list[tuple[str, Any]]) -> None:
    with pytest.raises(InvalidQuestion, match="the last message must be the user's"):
        chat(*messages).as_question()


def test_a_client_s_explicit_nothings_are_taken_for_nothing() -> None:
    nothings = dict.fromkeys(("n", "tools", "tool_choice", "logprobs", "response_format", "modalities", "stream"))
    assert chat(("user", "How?"), **nothings, stop=None, metadata={"a": "b"}).as_question().text == "How?"


def test_token_ids_are_refused_with_the_parameter() -> None:
    for given_ids in ([1, 2], [[1], [2]]):
        with pytest.raises(NotOffered) as refused:
            EmbeddingsRequest(model="m", input=given_ids).texts()
        assert refused.value.param == "input"


# --- no body ends as a 5xx -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    folder: Path = tmp_path_factory.mktemp("data")
    (folder / "domains" / "plant").mkdir(parents=True)
    environment = {"UNDERSTUDY_DATA__DIRECTORY": str(folder), "UNDERSTUDY_LIMITS__REQUESTS_PER_MINUTE": "0"}
    with TestClient(create_app(load(environment), lambda _: FakePipeline())) as client:
        deadline = time.monotonic() + 5
        while client.get("/health/ready").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.005)
        yield client


TEXTS = st.one_of(
    st.sampled_from(["plant", "understudy/plant", "hashed-words", "user", "text", "up"]), st.text(max_size=9)
)
ANYTHING = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400)),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(TEXTS, deeper, max_size=3),
    max_leaves=8,
)


def mostly(*good: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(good), ANYTHING)


MESSAGE = st.fixed_dictionaries(
    {"role": mostly("user", "assistant", "system", "tool"), "content": mostly("How?", [{"type": "text", "text": "x"}])}
)
CHAT_FIELDS = {name: ANYTHING for name in ChatRequest.model_fields if name not in ("model", "messages", "stream")}
BODIES = {
    "/v1/chat/completions": st.fixed_dictionaries(
        {"model": mostly("plant"), "messages": st.one_of(st.lists(MESSAGE, max_size=3), ANYTHING)},
        optional=CHAT_FIELDS | {"stream": mostly(True), "temperature": ANYTHING, "stop": ANYTHING},
    ),
    "/v1/embeddings": st.fixed_dictionaries(
        {"model": mostly("hashed-words"), "input": mostly("x", ["x", "y"], [1])},
        optional={"encoding_format": mostly("float", "base64"), "dimensions": mostly(32), "user": ANYTHING},
    ),
    "/v1/answers/batch": st.fixed_dictionaries(
        {"questions": mostly([{"question": "How?", "domain": "plant"}])}, optional={"stream": mostly(True)}
    ),
    "/v1/feedback": st.fixed_dictionaries(
        {"request_id": mostly("r", "chatcmpl-"), "domain": mostly("plant", ".."), "rating": mostly("up", "down")},
        optional={"question": mostly("How?"), "answer": ANYTHING, "right_answer": ANYTHING, "comment": ANYTHING},
    ),
}


@pytest.mark.parametrize("path", BODIES)
@settings(max_examples=300)
@given(data=st.data())
def test_no_body_ends_as_a_5xx(client: TestClient[Litestar], path: str, data: st.DataObject) -> None:
    body = data.draw(st.one_of(BODIES[path], BODIES[path], ANYTHING))
    said = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert said.status_code < 500, said.text
    if said.status_code >= 400:
        if path in ("/v1/chat/completions", "/v1/embeddings"):
            assert OpenAIError.model_validate_json(said.content).error.message
        else:
            assert Problem.model_validate_json(said.content).detail
