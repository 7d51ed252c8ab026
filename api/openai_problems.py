"""Errors in the shape that OpenAI's clients read, made from the one map of problems. Knows no route.

`{"error": {"message", "type", "param", "code"}}`: the client chooses its exception by the status and keeps the rest.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from pydantic import Field

from api.problems import Problem, respond
from rag.errors import QuestionError, UnknownDomain
from rag.types import Value

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""Words of OpenAI for some statuses; below 500 every other is the request's fault."""


class ErrorDetail(Value):
    """What went wrong."""

    message: str = Field(description="what happened and what to do about it, in one sentence")
    type: str
    param: str | None = Field(description="the parameter that is wrong, where it is one")
    code: str = Field(description="as in a problem; codes are added, never renamed")


class OpenAIError(Value):
    """An error, as OpenAI has it."""

    error: ErrorDetail


class NotOffered(QuestionError):
    """A parameter asks for what this service does not do: it would not be what the caller thinks if it were ignored."""

    code = "unsupported_parameter"

    def __init__(self, message: str, *, param: str) -> None:
        super().__init__(message)
        self.param = param


class UnknownModel(UnknownDomain):
    """No embedder of that name is here; under these routes domains and the embedder are models."""

    code = "model_not_found"


def respond_as_openai(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of these routes: status and headers of the problem, the body in OpenAI's shape."""
    plain = respond(request, error)
    problem = Problem.model_validate_json(plain.content)
    param = problem.errors[0].field if problem.errors else None
    if isinstance(error, NotOffered):
        param = error.param
    elif isinstance(error, UnknownDomain):
        param = "model"
    body = as_openai(problem, param=param).model_dump_json().encode()
    return Response(body, status_code=problem.status, media_type="application/json", headers=dict(plain.headers))


def as_openai(problem: Problem, *, param: str | None = None) -> OpenAIError:
    """A problem in OpenAI's words; a domain that is not there is a model that is not there."""
    kind = "server_error" if problem.status >= 500 else TYPES.get(problem.status, "invalid_request_error")
    code = UnknownModel.code if problem.code == UnknownDomain.code else problem.code
    return OpenAIError(error=ErrorDetail(message=problem.detail, type=kind, param=param, code=code))
