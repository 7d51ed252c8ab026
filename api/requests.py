"""What a caller sends, and how its body is read: JSON only, in UTF-8, of bounded size. Knows no pipeline."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException, SerializationException
from pydantic import Field

from api.problems import MediaTypeRefused
from rag.errors import Cancelled
from rag.types import Filter, Question, RetrievalMode, Turn, Value

CONDITIONS = 20
"""Metadata fields by which documents are removed at once."""


class AnswerRequest(Value):
    """A question that is to be answered."""

    question: str = Field(description="in the words of the one who asks")
    domain: str = Field(description="which documents are asked; GET /v1/domains lists them")
    earlier: tuple[Turn, ...] = Field((), max_length=50, description="earlier turns, oldest first, for a follow-up")
    filter: Filter = Field(Filter(), description="only passages of documents that fit it")
    max_passages: int | None = Field(None, ge=1, le=50, description="passages retrieved; default by setting")
    options: tuple[str, ...] = Field(
        (), max_length=26, description="answers to choose from, two or more different ones; none: it is free"
    )

    timeout_seconds: float | None = Field(
        None, gt=0, le=3600, description="longest wait for the answer; default and most by setting"
    )

    def as_question(self) -> Question:
        """The question that the pipeline is asked."""
        return Question(
            text=self.question,
            domain=self.domain,
            earlier=self.earlier,
            filter=self.filter,
            max_passages=self.max_passages,
            options=self.options,
        )


class PassagesRequest(Value):
    """A question whose passages are wanted without an answer."""

    question: str = Field(description="in the words of the one who asks")
    domain: str = Field(description="which documents are searched; GET /v1/domains lists them")
    limit: int | None = Field(None, ge=1, le=50, description="passages returned; default by setting")
    mode: RetrievalMode | None = Field(None, description="which parts of the index are asked; default by setting")
    filter: Filter = Field(Filter(), description="only passages of documents that fit it")

    def as_question(self) -> Question:
        """The question that the pipeline is asked."""
        return Question(text=self.question, domain=self.domain, filter=self.filter, max_passages=self.limit)


async def require_json(request: Request[Any, Any, Any]) -> None:
    """Read a POST's body before its handler does. Raises MediaTypeRefused, SerializationException (-> 400), Cancelled.

    Litestar keeps what was read here; on its own it lets what its decoder raises beside DecodeError end as 500.
    """
    if request.method != "POST":
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise MediaTypeRefused
    try:
        body = await request.body()
    except InternalServerException as error:  # Litestar's word for it
        raise Cancelled("the caller went away before the whole body was here") from error
    if not body:
        raise SerializationException("the body is empty")
    try:
        await request.json()
    except (UnicodeDecodeError, RecursionError) as error:
        raise SerializationException("the body is not in UTF-8, or nested too deeply") from error
