"""The OpenAPI operations for programs: OpenAI's protocol, batches, feedback. Knows no handler."""

from __future__ import annotations

import json

from api import examples
from api.batch import BatchItem, BatchRequest, BatchResult
from api.feedback_store import Feedback
from api.openai_problems import OpenAIError
from api.openai_replies import (
    ChatCompletion,
    ChatCompletionChunk,
    Chunks,
    Embedding,
    EmbeddingList,
    EmbeddingUsage,
    Model,
    ModelList,
    completion,
)
from api.openai_requests import ChatMessage, ChatRequest, EmbeddingsRequest, Extension
from api.requests import AnswerRequest
from api.schema import ASKING, LISTING, Json, Operation, Parameter, of_type
from rag.types import Value

REQUESTS: tuple[type[Value], ...] = (ChatRequest, EmbeddingsRequest, BatchRequest, Feedback)
RESPONSES: tuple[type[Value], ...] = (
    ChatCompletion, ChatCompletionChunk, ModelList, EmbeddingList, BatchResult, BatchItem, OpenAIError
)  # fmt: skip

IDENTITY = "0b1f6c9a4d5e4f5f8f0d3c2b1a09f8e7"
CREATED = 1764028800

CHAT = ChatRequest(
    model="plant",
    messages=(ChatMessage(role="user", content=examples.QUESTION),),
    understudy=Extension(max_passages=4),
)
COMPLETION = completion(examples.ANSWER, identity=IDENTITY, created=CREATED, model="plant")
MODELS = ModelList(data=(Model(id="plant", understudy=examples.DOMAIN),))
EMBEDDINGS = EmbeddingList(
    data=(Embedding(index=0, embedding=(0.6, 0.8)),),
    model="all-MiniLM-L6-v2",
    usage=EmbeddingUsage(prompt_tokens=12, total_tokens=12),
)
ITEMS = (BatchItem(index=0, answer=examples.ANSWER), BatchItem(index=1, problem=examples.PROBLEMS[404]))
BATCH = BatchRequest(
    questions=tuple(AnswerRequest(question=examples.QUESTION, domain=name) for name in ("plant", "plants"))
)
FEEDBACK = Feedback(
    request_id=IDENTITY,
    domain="plant",
    rating="incorrect",
    question=examples.QUESTION,
    right_answer="every 150 hours",
)


def operations() -> tuple[Operation, ...]:
    """What these clients may ask for."""
    return (
        Operation(
            "post",
            "/v1/chat/completions",
            "completeChat",
            "Answer a question in OpenAI's protocol",
            "The last message is the question, earlier ones of user and assistant are the turns before it; system and "
            "developer messages are accepted and not read. `understudy` is the whole answer with its citations. "
            "Accepted and not read: temperature, top_p, max_tokens, seed, stop, user, penalties and what is not named "
            "here. A stream is the role at once, then the checked text, then `understudy`, then `[DONE]`.",
            CHAT,
            {200: ("The completion, or chunks of it", _completions())},
            ASKING,
            as_openai=True,
        ),
        Operation(
            "get",
            "/v1/models",
            "listModels",
            "List the domains as models",
            "Every domain that may be asked, by name.",
            None,
            {200: ("Domains, by name", of_type(MODELS))},
            LISTING,
            as_openai=True,
        ),
        Operation(
            "get",
            "/v1/models/{model}",
            "findModel",
            "One domain as a model",
            "A domain by its name, or by `understudy/` and its name.",
            None,
            {200: ("The domain", of_type(MODELS.data[0]))},
            (404, *LISTING),
            parameters=(Parameter("model", "path", "GET /v1/models lists them", "plant", {"type": "string"}),),
            as_openai=True,
        ),
        Operation(
            "post",
            "/v1/embeddings",
            "embed",
            "Embed texts",
            "Unit vectors by the embedder that the domains are searched with, in the order of the texts. What is "
            "longer than the embedder reads (256 tokens by default) is cut.",
            EmbeddingsRequest(model=EMBEDDINGS.model, input=(examples.QUESTION,)),
            {200: ("The vectors", of_type(EMBEDDINGS))},
            ASKING,
            as_openai=True,
        ),
        Operation(
            "post",
            "/v1/answers/batch",
            "answerBatch",
            "Answer many questions",
            "At most 100, answered in turn with everybody else's; each has its answer or its problem in its place. "
            "With `stream` each is a line of its own as soon as it is finished. A caller who leaves gives up the rest.",
            BATCH,
            {200: ("What became of each question", _items())},
            (400, 404, 413, 415, 500, 503),
        ),
        Operation(
            "post",
            "/v1/feedback",
            "giveFeedback",
            "Say whether an answer was right",
            "Kept with the domain until the domain is deleted, and written out by `understudy feedback export` for an "
            "evaluation. This alone stores a question's text, and only as it is sent here.",
            FEEDBACK,
            {204: ("It is stored", {})},
            ASKING,
        ),
    )


def _completions() -> Json:
    chunks = Chunks(identity=IDENTITY, created=CREATED, model="plant", include_usage=False)
    said = b"".join(chunks.event(event) for event in examples.EVENTS).decode()
    schema = {"type": "string", "description": "server-sent events: `data` is a ChatCompletionChunk, or [DONE]"}
    chunk = {"$ref": f"#/components/schemas/{ChatCompletionChunk.__name__}"}
    return of_type(COMPLETION) | {"text/event-stream": {"schema": schema, "x-event-data": chunk, "example": said}}


def _items() -> Json:
    lines = "".join(json.dumps(item.model_dump(mode="json")) + "\n" for item in ITEMS)
    schema = {"type": "string", "description": "a BatchItem a line, in the order in which they are finished"}
    return of_type(BatchResult(items=ITEMS)) | {"application/x-ndjson": {"schema": schema, "example": lines}}
