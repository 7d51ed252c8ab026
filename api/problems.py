"""Errors as RFC 9457 problems: the one map from what went wrong to what a caller is told. Knows no route.

A caller learns the status, a code that never changes its name, one sentence and the request's id; what
nobody raised on purpose is logged with its traceback and told without internals.
"""

from __future__ import annotations

import logging
import math
import re
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException
from litestar.routes import HTTPRoute
from pydantic import Field

from api.logs import note_problem, request_id
from rag.errors import (
    BackendError,
    CorpusError,
    ModelBusy,
    ModelTimeout,
    NoReport,
    NotAllowed,
    NotAuthenticated,
    QuestionError,
    RagError,
    TooManyRequests,
    UnknownDocument,
    UnknownDomain,
    UnknownJob,
    UploadTooLarge,
    UploadTooSlow,
)
from rag.types import Value

MEDIA_TYPE = "application/problem+json"

CHALLENGE = 'Bearer realm="understudy"'

BUSY_SECONDS = 1.0
"""Retry-After of a failure that names no wait of its own (models being loaded, an engine that died and is back within
a second, a server that stops): nothing is measured there that would say more."""

CODES = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}
"""Codes of the problems that HTTP itself has; those of `rag.errors` bring their own."""

STATUSES: tuple[tuple[type[RagError], int], ...] = (
    (UnknownDomain, 404),
    (UnknownDocument, 404),
    (UnknownJob, 404),
    (UploadTooLarge, 413),
    (UploadTooSlow, 408),
    (NoReport, 404),
    (NotAuthenticated, 401),
    (NotAllowed, 403),
    (TooManyRequests, 429),
    (QuestionError, 400),
    (CorpusError, 500),
    (BackendError, 503),
)
"""Errors raised on purpose and their HTTP status: the first that fits."""

NO_JSON = "the body is no JSON in UTF-8 of reasonable depth: send an object as /schema describes it"

log = logging.getLogger("understudy.api")


class FieldProblem(Value):
    """What is wrong with one field of a request's body."""

    field: str = Field(description="path of the field, joined by dots")
    message: str


class Problem(Value):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="urn:understudy:problem: and the code")
    title: str = Field(description="the status in words")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="what happened and what to do about it, in one sentence")
    code: str = Field(description="what kind of error it is; codes are added, never renamed")
    request_id: str = Field(description="as in the X-Request-ID header and the server's log")
    errors: tuple[FieldProblem, ...] = Field((), description="for a body that does not fit: each field that is wrong")


class MediaTypeRefused(HTTPException):
    """The body is not declared to be JSON."""

    status_code = 415


class MultipartWanted(MediaTypeRefused):
    """The body is not declared to be multipart/form-data."""


def status_of(error: RagError) -> int:
    """The HTTP status of an error raised on purpose: 4xx the caller's, 500 the operator's, 503 may pass."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def retry_after(error: RagError) -> int:
    """Whole seconds after which another try makes sense, at least 1."""
    wait = error.retry_after if isinstance(error, ModelBusy | ModelTimeout | TooManyRequests) else BUSY_SECONDS
    return max(1, math.ceil(wait))


def describe(error: Exception, *, identity: str) -> Problem:
    """The problem that a caller is told of `error`. Logs what nobody raised on purpose."""
    if isinstance(error, RagError):
        return _problem(status_of(error), error.code, str(error), identity)
    if isinstance(error, SerializationException):
        return _problem(400, CODES[400], NO_JSON, identity)
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _http_problem(error, identity)
    log.error("unexpected error", exc_info=error, extra={"fields": {"request_id": identity}})
    detail = f"something went wrong here that is no fault of the request; the server's log has it under {identity}"
    return _problem(500, CODES[500], detail, identity)


def unreadable(identity: str) -> Problem:
    """The problem of bytes that are no HTTP request, which no route ever sees."""
    detail = "what was sent is no HTTP/1.1 request, or its head is larger than 64 KiB; the connection is closed"
    return _problem(400, "unreadable_request", detail, identity)


def too_slow(identity: str) -> Problem:
    """The problem of a head or a body that did not come in time."""
    return _problem(408, "too_slow", "the request did not come in time: send it without pauses", identity)


def crowded(identity: str) -> Problem:
    """The problem of a connection beyond the bound."""
    detail = "too many connections are open (setting UNDERSTUDY_SERVER__MAX_CONNECTIONS): try again in a moment"
    return _problem(503, "too_many_connections", detail, identity)


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the whole application."""
    problem = describe(error, identity=request_id(request.scope))
    note_problem(request.scope, problem.code)
    headers = {}
    if problem.status == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    if problem.status in (429, 503) and isinstance(error, RagError):
        headers["Retry-After"] = str(retry_after(error))
    if isinstance(error, NotAuthenticated):
        # RFC 6750, section 3: a request that brought nothing is told of no error
        headers["WWW-Authenticate"] = f'{CHALLENGE}, error="invalid_token"' if error.given else CHALLENGE
    body = problem.model_dump_json().encode()
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def _problem(status: int, code: str, detail: str, identity: str, errors: tuple[FieldProblem, ...] = ()) -> Problem:
    return Problem(
        type=f"urn:understudy:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=identity,
        errors=errors,
    )


def _methods(request: Request[Any, Any, Any]) -> set[str]:
    """What this path takes: RFC 9110 wants it told with a 405, Litestar does not tell."""
    path = request.scope["path"].rstrip("/") or "/"
    return {
        method
        for route in request.app.routes
        if isinstance(route, HTTPRoute) and _fits(route.path, path)
        for method in route.methods
    }


def _fits(route: str, path: str) -> bool:
    """Whether a path is one of those that a route like `/v1/jobs/{id:str}` stands for."""
    parts = re.split(r"(\{\w+:\w+\})", route)
    return re.fullmatch("".join(_pattern(part) for part in parts), path) is not None


def _pattern(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return ".+" if part.endswith(":path}") else "[^/]+"


def _http_problem(error: HTTPException, identity: str) -> Problem:
    """Litestar's own refusals, in this house's words."""
    status = error.status_code
    errors = _fields(error.extra) if status == 400 else ()
    detail = {
        400: "the body does not fit: " + "; ".join(f"{item.field}: {item.message}" for item in errors),
        404: "there is nothing at this path; /schema lists every path",
        405: "this path does not take this method; /schema lists what it takes",
        413: "the body is larger than this server reads (setting UNDERSTUDY_SERVER__MAX_BODY_BYTES)",
        415: "the body must be JSON: send Content-Type: application/json",
    }.get(status, error.detail)
    if isinstance(error, MultipartWanted):
        detail = "files must come as multipart/form-data: send each as a part named 'files' with a file name"
    if status == 400 and not errors:
        detail = NO_JSON
    return _problem(status, CODES.get(status, "refused"), detail, identity, errors)


def _fields(extra: Any) -> tuple[FieldProblem, ...]:
    """Litestar's list of validation errors; a message says what is expected and never repeats the value."""
    if not isinstance(extra, list):
        return ()
    found = [item for item in extra if isinstance(item, dict)]
    return tuple(FieldProblem(field=str(item.get("key", "body")), message=str(item["message"])) for item in found)
