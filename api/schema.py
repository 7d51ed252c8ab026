"""The OpenAPI 3.1 document of this API: one line of a table for each operation. Knows no handler.

Written here, rather than drawn from the handlers, since every problem, event and example is part of it;
a test holds its paths against the application's routes, and its examples against their types.
"""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api import examples, security, wire
from api.documents import MOST, DocumentPage, StoredDocument
from api.jobs import Job
from api.openai_problems import as_openai
from api.problems import MEDIA_TYPE, Problem
from api.requests import AnswerRequest, PassagesRequest
from rag.types import (
    Answer,
    CitationEvent,
    DomainInfo,
    DoneEvent,
    Health,
    Passage,
    RetrievalEvent,
    TokenEvent,
    Value,
    VerdictEvent,
)

EVENT_TYPES = (RetrievalEvent, TokenEvent, CitationEvent, VerdictEvent, DoneEvent)

REQUESTS: tuple[type[Value], ...] = (AnswerRequest, PassagesRequest)
RESPONSES: tuple[type[Value], ...] = (
    Answer,
    Passage,
    DomainInfo,
    DocumentPage,
    StoredDocument,
    Job,
    Health,
    Problem,
    *EVENT_TYPES,
)

ANYWHERE = (400, 408, 503)
"""What api.protocol says before any route is reached: no HTTP, too slow, too many connections. Always a problem."""

ASKING = (400, 404, 413, 415, 500, 503)
LISTING = (500, 503)
METRICS = "# HELP understudy_ready Whether questions can be answered now.\n# TYPE understudy_ready gauge\n"
READING = (400, 404, 500, 503)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of a path, or a field of a query."""

    name: str
    place: Literal["path", "query"]
    description: str
    example: str | int | list[str]
    schema: Json
    required: bool = False
    """A part of a path always is."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `responses`: status to description and content."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    request: Value | None
    responses: dict[int, tuple[str, Json]]
    problems: tuple[int, ...]
    parameters: tuple[Parameter, ...] = ()
    as_openai: bool = False
    """Whether errors have OpenAI's shape."""
    body: Json | None = None
    """The content of a request that is no JSON."""


DOMAIN = Parameter("domain", "path", "GET /v1/domains lists them", "plant", {"type": "string", "minLength": 1})
DOCUMENT = Parameter(
    "id", "path", "a document's id, as a citation has it", "maintenance/filters.md", {"type": "string", "minLength": 1}
)
LIMIT = Parameter(
    "limit", "query", "most documents of a page", 50, {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50}
)
AFTER = Parameter(
    "after", "query", "the last id that is known already", "a.md", {"type": "string", "maxLength": 4096, "default": ""}
)


def operations() -> tuple[Operation, ...]:
    """Everything that callers may ask for."""
    from api.schema_ingestion import operations as ingestion

    return (*asking(), *ingestion())


def asking() -> tuple[Operation, ...]:
    """What is asked of what is stored."""
    stream = b"".join(wire.to_event(event.type, at, event) for at, event in enumerate(examples.EVENTS, start=1))
    return (
        Operation(
            "post",
            "/v1/answers",
            "answer",
            "Answer a question",
            "The final, checked answer: each citation's quote stands in the stored text between its two offsets. "
            "Answers are made in order of arrival; a caller who leaves gives the place up.",
            examples.ANSWER_REQUEST,
            {200: ("The answer, or an abstention with the closest passages", _json("Answer", examples.ANSWER))},
            ASKING,
        ),
        Operation(
            "post",
            "/v1/answers/stream",
            "streamAnswer",
            "Answer a question as server-sent events",
            "Events in the order retrieval, token, citation, verdict, done. Tokens are provisional: the answer of "
            "`done` replaces them. An error before the first event is a plain problem; a later one is a last event "
            "`error` whose data is the problem. Comments keep a quiet connection open.",
            examples.ANSWER_REQUEST,
            {200: ("Each event's data is JSON of the schema named after it", _events(stream.decode()))},
            ASKING,
        ),
        Operation(
            "post",
            "/v1/passages",
            "findPassages",
            "Find passages",
            "What retrieval finds, best first, without asking the model.",
            examples.PASSAGES_REQUEST,
            {200: ("Passages, best first", _json_list("Passage", examples.PASSAGE))},
            ASKING,
        ),
        Operation(
            "get",
            "/v1/domains",
            "listDomains",
            "List the stored domains",
            "Every stored domain that the key opens, and whether it can be asked now.",
            None,
            {200: ("Domains, by name", _json_list("DomainInfo", examples.DOMAIN))},
            LISTING,
        ),
        Operation(
            "get",
            "/v1/domains/{domain}/documents",
            "listDocuments",
            "List a domain's documents",
            "Stored documents without their texts, by id. `next` of one page is `after` of the following one.",
            None,
            {200: ("A page of documents, by id", _json("DocumentPage", examples.DOCUMENT_PAGE))},
            READING,
            parameters=(DOMAIN, LIMIT, AFTER),
        ),
        Operation(
            "get",
            "/v1/domains/{domain}/documents/{id}",
            "readDocument",
            "Read a document",
            "A document with the whole text that the offsets of citations refer to, counted in code points. Slashes of "
            "an id may stand as they are or escaped.",
            None,
            {200: ("The document", _json("StoredDocument", examples.DOCUMENT))},
            READING,
            parameters=(DOMAIN, DOCUMENT),
        ),
        Operation(
            "get",
            "/report",
            "report",
            "The latest evaluation report",
            "The page that `understudy evaluate run` wrote last, where UNDERSTUDY_SERVER__REPORT says.",
            None,
            {
                200: (
                    "A page that loads nothing else",
                    {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>…"}},
                )
            },
            (404, 500),
        ),
        Operation(
            "get",
            "/health/live",
            "live",
            "Whether the process runs",
            "Answers at once, also while the models are loaded.",
            None,
            {200: ("It runs", {"application/json": _live()})},
            (),
        ),
        Operation(
            "get",
            "/health/ready",
            "ready",
            "Whether questions can be answered",
            "Model, index and compatibility of every stored domain; in words for a key over all domains only.",
            None,
            {
                200: ("Questions are taken", _json("Health", examples.READY)),
                503: ("What stands in the way, by check", _json("Health", examples.STARTING)),
            },
            (500,),
        ),
        Operation(
            "get",
            "/metrics",
            "metrics",
            "Metrics for Prometheus",
            "Everything that is counted and timed (docs/operations.md). No label is a domain, a key or a text.",
            None,
            {200: ("Prometheus's text format", {"text/plain": {"schema": {"type": "string"}, "example": METRICS}})},
            (500,),
        ),
    )


def document() -> Json:
    """The whole document."""
    from api import schema_clients  # which is made of this file's operations

    requests, responses = (*REQUESTS, *schema_clients.REQUESTS), (*RESPONSES, *schema_clients.RESPONSES)
    modes: list[tuple[type[Value], JsonSchemaMode]] = [(model, "validation") for model in requests]
    modes += [(model, "serialization") for model in responses]
    schemas: Json = models_json_schema(modes, ref_template="#/components/schemas/{model}")[1]["$defs"]
    schemas["Event"] = {
        "oneOf": [_ref(model.__name__) for model in EVENT_TYPES],
        "discriminator": {
            "propertyName": "type",
            "mapping": {
                str(model.model_fields["type"].default): f"#/components/schemas/{model.__name__}"
                for model in EVENT_TYPES
            },
        },
    }
    paths: dict[str, Json] = {}
    for operation in (*operations(), *schema_clients.operations()):
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Understudy",
            "version": importlib.metadata.version("understudy"),
            "description": "Answers from stored documents, each claim tied to the exact words it rests on.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": security.SCHEMES},
    }


def _operation(operation: Operation) -> Json:
    scope = security.scope_of(operation.method, operation.path)
    responses: Json = {
        str(status): {"description": description, "content": content}
        for status, (description, content) in operation.responses.items()
    }
    own = {*operation.problems, *security.refusals(scope)}
    for status in sorted({*own, *ANYWHERE}):
        example = examples.PROBLEMS[status]
        refusal = of_type(as_openai(example)) if operation.as_openai and status in own else {}
        if not refusal or status in ANYWHERE:
            refusal |= _problem(example)
        told = responses.setdefault(str(status), {"description": example.title, "content": {}})
        told["content"] = told["content"] | refusal
        if status in security.HEADERS:
            responses[str(status)]["headers"] = security.HEADERS[status]
    said: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": security.described(operation.description, scope),
        "security": security.requirement(scope),
        "responses": responses,
    }
    if operation.parameters:
        said["parameters"] = [
            {
                "name": each.name,
                "in": each.place,
                "required": each.required or each.place == "path",
                "description": each.description,
                "schema": each.schema,
                "example": each.example,
            }
            for each in operation.parameters
        ]
    if operation.body is not None:
        said["requestBody"] = {"required": True, "content": operation.body}
    if operation.request is not None:
        content = of_type(operation.request)
        content["application/json"]["example"] = operation.request.model_dump(mode="json", exclude_unset=True)
        said["requestBody"] = {"required": True, "content": content}
    return said


def of_type(example: Value) -> Json:
    """JSON of the example's type."""
    return _json(type(example).__name__, example)


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _plain(value: Value) -> Json:
    plain: Json = json.loads(wire.to_json(value))
    return plain


def _json(name: str, example: Value) -> Json:
    return {"application/json": {"schema": _ref(name), "example": _plain(example)}}


def _json_list(name: str, example: Value) -> Json:
    return {"application/json": {"schema": {"type": "array", "items": _ref(name)}, "example": [_plain(example)]}}


def _problem(example: Problem) -> Json:
    return {MEDIA_TYPE: {"schema": _ref("Problem"), "example": _plain(example)}}


def _events(example: str) -> Json:
    schema = {"type": "string", "description": "server-sent events: `id`, `event` (the type) and `data` (JSON)"}
    return {"text/event-stream": {"schema": schema, "x-event-data": _ref("Event"), "example": example}}


def _live() -> Json:
    schema = {"type": "object", "properties": {"live": {"const": True}}, "required": ["live"]}
    return {"schema": schema, "example": {"live": True}}
