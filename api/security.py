"""What the OpenAPI document says of keys: two headers, what an operation needs, how it refuses. Knows no key."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "a key of `understudy keys create`; as long as there is none, the user of the machine that "
        "serves needs none",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key in a header alone"},
}

NEEDS = {
    "GET /": "none",
    "GET /health/live": "none",
    "GET /health/ready": "none",
    "GET /metrics": "admin",
    "POST /v1/domains/{domain}/documents": "ingest",
    "DELETE /v1/domains/{domain}/documents": "ingest",
    "DELETE /v1/domains/{domain}/documents/{id}": "ingest",
    "DELETE /v1/domains/{domain}": "admin",
    "GET /v1/jobs": "ingest",
    "GET /v1/jobs/{id}": "ingest",
    "DELETE /v1/jobs/{id}": "ingest",
}
"""The scope that an operation needs where it is not `read`; a test holds it against what the routes declare."""

_SECONDS = {"type": "integer", "minimum": 1}
_COUNT = {"type": "integer", "minimum": 0}

_WAIT: Json = {"Retry-After": {"description": "seconds to wait before another try", "schema": _SECONDS}}

HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"description": "how to authenticate", "schema": {"type": "string"}}},
    429: {
        **_WAIT,
        "RateLimit-Policy": {"description": "requests; w=seconds", "schema": {"type": "string"}},
        "RateLimit-Limit": {"description": "requests a minute", "schema": _COUNT},
        "RateLimit-Remaining": {"description": "requests left now", "schema": _COUNT},
        "RateLimit-Reset": {"description": "seconds until all are there again", "schema": _COUNT},
    },
    503: _WAIT,
}
"""Headers of a refusal, by status. The RateLimit ones come with every answer to a key that has a limit."""


def scope_of(method: str, path: str) -> str:
    """What a key must have for an operation of the document; `none`: no key is needed."""
    return NEEDS.get(f"{method.upper()} {path}", "read")


def refusals(scope: str) -> tuple[int, ...]:
    """The statuses that any operation of this scope may refuse with, before it reads anything.

    403 is everybody's: without keys, a foreign host name is refused everywhere. So is 500 where the keys cannot be
    read, and 503 where requests cannot be counted.
    """
    return (403, 500) if scope == "none" else (401, 403, 429, 500, 503)


def requirement(scope: str) -> list[dict[str, list[str]]]:
    """The operation's `security`: one of the two headers, or none."""
    return [] if scope == "none" else [{"bearer": []}, {"header": []}]


def described(description: str, scope: str) -> str:
    """The operation's description, and the scope that it needs."""
    return description if scope == "none" else f"{description} Needs a key of scope {scope}."
