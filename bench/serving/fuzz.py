"""Requests made up from the OpenAPI document, fitting it and not: is every answer one that the document tells of?

schemathesis makes the requests; what is held here is that no status but a documented one comes, no 5xx but a 503 with
Retry-After, and that every body has the media type and the schema that the document states for it. Knows no route.

    python -m bench.serving.fuzz [--examples N] [--key KEY] URL
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx

SECONDS = 30.0
"""Longest wait for one answer."""


def names(document: dict[str, Any]) -> list[str]:
    """Every operation of a document, as `METHOD /path`."""
    return [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]


def fuzz(
    url: str, document: dict[str, Any], name: str, *, examples: int, headers: dict[str, str] | None = None
) -> Counter[int]:
    """Send `examples` requests that fit the document and as many that do not; how often each status came.

    headers: sent with every request, a key for example. Raises AssertionError with the request that shows the fault.
    """
    import requests
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis import GenerationMode
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi import checks

    method, _, path = name.partition(" ")
    operation = schemathesis.openapi.from_dict(keyless(document) if headers else document)[path][method]
    held = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]
    seen: Counter[int] = Counter()
    with requests.Session() as session:

        def ask(case: Any) -> None:
            response = case.call(base_url=url, session=session, headers=headers, timeout=SECONDS)
            seen[response.status_code] += 1
            waits = response.status_code == 503 and ("retry-after" in response.headers or path.startswith("/health"))
            if response.status_code >= 500 and not waits:
                raise AssertionError(f"{response.status_code} from {case.as_curl_command()}")
            # A stream's documented schema is a string; schemathesis would hold it against each event.
            streamed = response.headers.get("content-type", [""])[0].startswith("text/event-stream")
            case.validate_response(response, checks=held[:2] if streamed else held, headers=headers)

        for mode in _modes(operation):
            tried = settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )(given(case=operation.as_strategy(generation_mode=mode))(ask))
            try:
                tried()
            except Unsatisfiable:
                # Any text is a path: without keys to get wrong, some operations take everything.
                if mode is not GenerationMode.NEGATIVE:
                    raise
            except FailureGroup as group:  # no Exception: whoever catches those would be passed by
                raise AssertionError(str(group)) from None
    return seen


def keyless(document: dict[str, Any]) -> dict[str, Any]:
    """The document without a word of keys: one that is made up beside the caller's own would be refused each time."""
    found = copy.deepcopy(document)
    found["components"].pop("securitySchemes", None)
    for methods in found["paths"].values():
        for said in methods.values():
            said.pop("security", None)
    return found


def _modes(operation: Any) -> Iterator[Any]:
    """Fitting requests, and unfitting ones where there is anything to get wrong."""
    from schemathesis import GenerationMode

    yield GenerationMode.POSITIVE
    if operation.body or operation.query or operation.path_parameters or operation.headers:
        yield GenerationMode.NEGATIVE


def main() -> int:
    """Every operation of a running server; a line each, exit status 1 when one broke its word."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a running server")
    parser.add_argument("--examples", type=int, default=500, help="requests for each operation and kind")
    parser.add_argument("--key", help="sent as a bearer token")
    arguments = parser.parse_args()
    headers = {"Authorization": f"Bearer {arguments.key}"} if arguments.key else None
    document = httpx.get(f"{arguments.url}/schema/openapi.json", headers=headers).raise_for_status().json()
    broken = 0
    for name in names(document):
        try:
            seen = fuzz(arguments.url, document, name, examples=arguments.examples, headers=headers)
            print(f"{name:<50} {dict(sorted(seen.items()))}", flush=True)
        except AssertionError as error:
            broken += 1
            print(f"{name:<50} BROKEN\n{error}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
