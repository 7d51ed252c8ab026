"""Requests made up from the OpenAPI document, fitting it and not: is every answer one that the document tells of?

schemathesis makes the requests; what is held here is that no status but a documented one comes, no 5xx but a 503 with
Retry-After whose reason is one of those in `EXCUSED`, neither as an answer nor inside of one (a batch's questions, the
end of a stream), and that every body has the media type and the schema that the document states for it. Knows no route.

    python -m bench.serving.fuzz [--examples N] [--key KEY] URL
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

SECONDS = 30.0
"""Longest wait for one answer."""

EXCUSED = {
    "model_timeout": "the request itself named timeout_seconds, and the answer took longer",
    "model_busy": "these requests filled a queue themselves: uploads come faster than they are worked off",
}
"""Codes of the 503s that are no fault, and why. `model_timeout` is one only where the request named a time: the
server's own is two minutes, which a server that works on one request at a time never takes."""


@dataclass(slots=True)
class Seen:
    """What came back: how often each status, and of the 503s each code, those inside of answers among them."""

    statuses: Counter[int] = field(default_factory=Counter)
    unavailable: Counter[str] = field(default_factory=Counter)

    def add(self, other: Seen) -> None:
        """Count another operation's in."""
        self.statuses += other.statuses
        self.unavailable += other.unavailable


def names(document: dict[str, Any]) -> list[str]:
    """Every operation of a document, as `METHOD /path`."""
    return [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]


def fuzz(
    url: str, document: dict[str, Any], name: str, *, examples: int, headers: dict[str, str] | None = None
) -> Seen:
    """Send `examples` requests that fit the document and as many that do not; what came back.

    headers: sent with every request, a key for example. Raises AssertionError with the request that shows the fault.
    """
    import requests
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Flaky, Unsatisfiable
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
    seen = Seen()
    with requests.Session() as session:

        def ask(case: Any) -> None:
            response = case.call(base_url=url, session=session, headers=headers, timeout=SECONDS)
            seen.statuses[response.status_code] += 1
            kind = response.headers.get("content-type", [""])[0]
            for problem in problems(response.status_code, kind, response.text):
                if problem["status"] == 503:
                    seen.unavailable[problem["code"]] += 1
                if fault := blamed(problem, case.body):
                    raise AssertionError(f"{fault} from {case.as_curl_command()}")
            if response.status_code == 503 and "retry-after" not in response.headers:
                raise AssertionError(f"503 without Retry-After from {case.as_curl_command()}")
            # A stream's documented schema is a string; schemathesis would hold it against each event.
            streamed = kind.startswith("text/event-stream")
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
            except Flaky as error:  # a fault that did not come again when its request was made smaller is one too
                raise AssertionError("; ".join(map(str, getattr(error, "exceptions", (error,))))) from None
    return seen


def problems(status: int, kind: str, body: str) -> list[dict[str, Any]]:
    """The problems that an answer tells of, as {status, code}: it is one, or some of its questions end with one.

    kind: its media type
    """
    if status >= 500:
        return [{"status": status, "code": _code(body)}]
    if kind.startswith("text/event-stream"):
        return _of_stream(body)
    if kind.startswith("application/x-ndjson"):
        items = [json.loads(line) for line in body.splitlines()]
    else:
        found = json.loads(body) if kind.startswith("application/json") and body else None
        items = found.get("items", []) if isinstance(found, dict) else []
    return [item["problem"] for item in items if isinstance(item, dict) and item.get("problem")]


def _of_stream(body: str) -> list[dict[str, Any]]:
    """The problems among server-sent events; a chunk of OpenAI's names no status, and what fails midway is no 4xx."""
    found, name = [], ""
    for line in body.splitlines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: {"):
            data = json.loads(line.removeprefix("data: "))
            if name == "error":
                found.append(data)
            elif isinstance(data.get("error"), dict):
                found.append({"status": 503, "code": data["error"]["code"]})
    return found


def _code(body: str) -> str:
    """What a failure calls itself: a problem of ours or one in OpenAI's shape; "none" where it has no name."""
    try:
        found = json.loads(body)
    except ValueError:
        return "none"
    said = found.get("error", found) if isinstance(found, dict) else {}
    return str(said.get("code", "none")) if isinstance(said, dict) else "none"


def blamed(problem: Mapping[str, Any], sent: object) -> str:
    """Why a problem is a fault of the server, given the body that was sent; empty where it is none."""
    status, code = problem["status"], problem["code"]
    if status < 500 or (status == 503 and code in EXCUSED and (code != "model_timeout" or _hurried(sent))):
        return ""
    return f"{status} {code}"


def _hurried(sent: object) -> bool:
    """Whether a body names a time of its own, for its question or one of them."""
    asked = [sent, *(sent.get("questions") or ())] if isinstance(sent, dict) else []
    return any(isinstance(each, dict) and each.get("timeout_seconds") is not None for each in asked)


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
            print(f"{name:<50} {dict(sorted(seen.statuses.items()))}", flush=True)
            for code, count in seen.unavailable.items():
                print(f"{'':<50} 503 {code}, {count} times: {EXCUSED[code]}", flush=True)
        except AssertionError as error:
            broken += 1
            print(f"{name:<50} BROKEN\n{error}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
