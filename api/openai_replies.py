"""What OpenAI's clients read: completions, chunks, models and vectors, each with what it has no field for. Pure.

The whole checked answer stands in `understudy`, which the official client keeps (`completion.model_extra`).
"""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

from pydantic import Field

from api import wire
from api.openai_problems import as_openai
from api.problems import Problem
from rag.protocols import Vectors
from rag.types import Answer, DomainInfo, DoneEvent, Event, RetrievalEvent, Value

DONE = b"data: [DONE]\n\n"


class Usage(Value):
    """Tokens that the model read and wrote."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(Value):
    """The checked answer's text."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Value):
    """The one answer."""

    index: Literal[0] = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatCompletion(Value):
    """A checked answer as a chat completion."""

    id: str = Field(description="`chatcmpl-` and the request's id, by which POST /v1/feedback knows the answer")
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="seconds since 1970")
    model: str
    system_fingerprint: str = Field(description="changes with anything that changes the model's words")
    choices: tuple[Choice]
    usage: Usage
    understudy: Answer = Field(description="the whole answer: citations, confidence, abstained, basis, passages, trace")


class Delta(Value):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(Value):
    """The one answer, as far as a chunk tells it."""

    index: Literal[0] = 0
    delta: Delta
    logprobs: None = None
    finish_reason: Literal["stop"] | None = None


class ChatCompletionChunk(Value):
    """A piece of a streamed completion."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: Usage | None = None
    understudy: Answer | None = Field(None, description="in the chunk that has the finish reason: the whole answer")


class Model(Value):
    """A domain as a model."""

    id: str = Field(description="the domain's name")
    object: Literal["model"] = "model"
    created: int = Field(0, description="always 0: a domain grows")
    owned_by: Literal["understudy"] = "understudy"
    understudy: DomainInfo


class ModelList(Value):
    """Every domain that the caller may ask."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]


class Embedding(Value):
    """The vector of one text."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: tuple[float, ...] | str = Field(description="numbers, or their float32 bytes in base64")


class EmbeddingUsage(Value):
    """Tokens that the embedder read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Value):
    """The vectors of some texts, in their order."""

    object: Literal["list"] = "list"
    data: tuple[Embedding, ...]
    model: str
    usage: EmbeddingUsage


def completion(answer: Answer, *, identity: str, created: int, model: str) -> ChatCompletion:
    """An answer as a whole completion."""
    return ChatCompletion(
        id=completion_id(identity),
        created=created,
        model=model,
        system_fingerprint=answer.trace.model_fingerprint,
        choices=(Choice(message=AssistantMessage(content=answer.text)),),
        usage=usage(answer),
        understudy=answer,
    )


def completion_id(identity: str) -> str:
    """The id of a completion, from its request's."""
    return f"chatcmpl-{identity}"


def usage(answer: Answer) -> Usage:
    """What an answer took, as the model counts tokens."""
    read, wrote = answer.trace.prompt_tokens, answer.trace.completion_tokens
    return Usage(prompt_tokens=read, completion_tokens=wrote, total_tokens=read + wrote)


def embeddings(vectors: Vectors, *, tokens: int, model: str, encoded: bool) -> EmbeddingList:
    """(n, d) float32 vectors as they are sent."""
    data = tuple(
        Embedding(
            index=at,
            embedding=base64.b64encode(row.astype("<f4").tobytes()).decode("ascii") if encoded else tuple(row.tolist()),
        )
        for at, row in enumerate(vectors)
    )
    return EmbeddingList(data=data, model=model, usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens))


class Chunks:
    """An answer's events as chunks: the role at once, the text when it is checked. Tokens before that are not sent."""

    def __init__(self, *, identity: str, created: int, model: str, include_usage: bool) -> None:
        self._about: dict[str, Any] = {"id": completion_id(identity), "created": created, "model": model}
        self._include_usage = include_usage

    def event(self, event: Event) -> bytes:
        """The role for the first event, everything else for the last; nothing for those between."""
        if isinstance(event, RetrievalEvent):
            return self._chunk(ChunkChoice(delta=Delta(role="assistant", content="")))
        if not isinstance(event, DoneEvent):
            return b""
        said = self._chunk(ChunkChoice(delta=Delta(content=event.answer.text)))
        said += self._chunk(ChunkChoice(delta=Delta(), finish_reason="stop"), answer=event.answer)
        if self._include_usage:
            said += self._chunk(usage=usage(event.answer))
        return said + DONE

    def failure(self, problem: Problem) -> bytes:
        """The error, which the official client raises, and no `[DONE]`."""
        return _data(as_openai(problem))

    def _chunk(self, *choices: ChunkChoice, answer: Answer | None = None, usage: Usage | None = None) -> bytes:
        return _data(ChatCompletionChunk(choices=choices, understudy=answer, usage=usage, **self._about))


def _data(value: Value) -> bytes:
    plain = json.loads(wire.to_json(value))
    if plain.get("understudy", "") is None:
        del plain["understudy"]
    for choice in plain.get("choices", ()):
        choice["delta"] = {name: item for name, item in choice["delta"].items() if item is not None}
    return b"data: %s\n\n" % json.dumps(plain).encode("ascii")
