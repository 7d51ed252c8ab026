"""A service elsewhere, asked like the pipeline: the same two methods over HTTP. Knows no framework.

Fields that a newer service adds are passed over; what it refuses is an error with its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import httpx
from pydantic import TypeAdapter, ValidationError

from rag.errors import BackendError, Cancelled, RagError
from rag.types import Event, Passage, Question, RetrievalMode

HERE = "http://127.0.0.1:8080"
"""Where `understudy serve` listens by default."""

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_PASSAGES = TypeAdapter(list[Passage])


class Answering(Protocol):
    """What is asked of a pipeline, here or elsewhere."""

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        """The events of an answer, as `rag.pipeline.Pipeline` gives them."""
        ...

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        """What retrieval finds, best first."""
        ...


class Refused(RagError):
    """The service refused or failed: `status` and `problem` (its code) say how, `retry_after` when to come back."""

    code = "service_refused"

    def __init__(self, message: str, *, status: int, problem: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem
        self.retry_after = retry_after


class Unreachable(BackendError):
    """No service answers there, or it breaks off."""

    code = "service_unreachable"


class RemotePipeline:
    """A service at an address. Thread-safe; blocking."""

    def __init__(self, base_url: str = HERE, *, api_key: str = "", timeout_seconds: float = 120.0) -> None:
        """`timeout_seconds`: longest silence; a service that works says so every ten seconds."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # No connection outlives its answer: nobody closes a retriever.
        one_by_one = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"), headers=headers, timeout=timeout_seconds, limits=one_by_one
        )

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        """The events of an answer. Raises Refused, Unreachable, Cancelled; closing it cancels the answer there."""
        body = question.model_dump(mode="json", exclude={"text"}) | {"question": question.text}
        try:
            with self._client.stream("POST", "/v1/answers/stream", json=body) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                name = ""
                for line in response.iter_lines():
                    if cancelled is not None and cancelled():
                        raise Cancelled("the caller went away")
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        data = line.removeprefix("data: ")
                        if name == "error":
                            raise _failure(data)
                        event = _event(data)
                        yield event
                        if event.type == "done":
                            return
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        raise Unreachable(f"{self._client.base_url} broke off before the answer was whole: ask again")

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        """What retrieval finds, best first. Raises Refused, Unreachable."""
        body = {
            "question": question.text,
            "domain": question.domain,
            "filter": question.filter.model_dump(mode="json"),
            "limit": question.max_passages,
            "mode": mode,
        }
        try:
            response = self._client.post("/v1/passages", json=body)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        try:
            return _PASSAGES.validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise Unreachable(f"{self._client.base_url} is no Understudy: its passages cannot be read") from error

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        return Unreachable(
            f"no service answers at {self._client.base_url} ({error or type(error).__name__}): is `understudy serve` "
            "running there?"
        )


def _event(data: str) -> Event:
    try:
        return _EVENT.validate_json(data, extra="ignore")
    except ValidationError as error:
        raise Unreachable("what the service sends is no event that this version knows") from error


def _refusal(response: httpx.Response) -> Refused:
    """The problem that the service told, or what is known where something else answered."""
    try:
        told: Any = response.json()
    except ValueError:
        told = None
    problem = told if isinstance(told, dict) else {}
    wait = response.headers.get("retry-after", "")
    return Refused(
        str(problem.get("detail") or f"the service answered {response.status_code}"),
        status=response.status_code,
        problem=str(problem.get("code") or "unknown"),
        retry_after=float(wait) if wait.isdigit() else None,
    )


def _failure(data: str) -> Refused:
    """The problem of an answer that failed midway."""
    problem = TypeAdapter(dict[str, Any]).validate_json(data)
    return Refused(str(problem.get("detail")), status=int(problem.get("status", 500)), problem=str(problem.get("code")))
