"""The OpenAPI document held against the service: made-up requests with keys of every kind, which statuses came back.

Each operation gets requests that fit the document and as many that do not, by schemathesis, from a key that may
everything in its domain, one of another domain, one that was revoked, and nobody. An answer that the document does not
tell of, or a 5xx that is no 503 with Retry-After, is a fault. Over the sample corpus: the last requests remove it.

    python -m bench.serving.conformance [--examples N] [--fresh]
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections import Counter
from typing import Any

import httpx

from bench.serving.client import headers
from bench.serving.fuzz import fuzz, names
from bench.serving.keys import create
from bench.serving.plant import DOMAIN, plant
from bench.serving.processes import Server, running, start_ours
from bench.serving.questions import UNDERSTUDY, arguments
from bench.serving.results import Results, Row, show

OTHER = "office"
"""A domain that is not stored, and whose key comes too."""

EVERYTHING = ("--scope", "read", "--scope", "ingest", "--scope", "admin")


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where an answer was not as documented."""
    options = arguments(
        __doc__,
        ("--examples", {"type": int, "default": 40, "help": "requests for each operation, kind and key"}),
        ("--fresh", {"action": "store_true"}),
        suites=False,
    )
    results = Results("conformance", fresh=options.fresh)
    found = results.once("conformance", {"examples": options.examples}, lambda: measure(options.examples))
    show(
        f"{found['operations']} operations, {options.examples} requests for each that fit, and that do not",
        found["rows"],
    )
    for fault in found["faults"]:
        print(f"  - {fault}")
    return 1 if found["faults"] else 0


def measure(examples: int) -> Row:
    """A row for each kind of caller."""
    with plant():
        callers = {
            "own": create("bench-own", *EVERYTHING, "--domain", DOMAIN),
            "foreign": create("bench-foreign", *EVERYTHING, "--domain", OTHER),
            "revoked": create("bench-revoked", *EVERYTHING, "--domain", DOMAIN),
            "none": None,
        }
        subprocess.run([*UNDERSTUDY, "keys", "revoke", str(callers["revoked"]).split("_")[1]], check=True)
        with running(start_ours()) as server:
            told = httpx.get(f"{server.url}/schema/openapi.json", headers=headers(callers["own"]), timeout=60)
            document = narrowed(told.raise_for_status().json())
            # Whoever may remove the documents comes last.
            rows = [
                _row(server, document, name, callers[name], examples) for name in ("none", "revoked", "foreign", "own")
            ]
    faults = [fault for row in rows for fault in row.pop("faults")]
    return {"operations": len(names(document)), "examples": examples, "rows": rows, "faults": faults}


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the names of two domains where it takes any, so that requests that fit it find one."""
    found = copy.deepcopy(document)
    for schema, name in (("AnswerRequest", "domain"), ("PassagesRequest", "domain"), ("ChatRequest", "model")):
        found["components"]["schemas"][schema]["properties"][name]["enum"] = [DOMAIN, OTHER]
    for methods in found["paths"].values():
        for said in methods.values():
            for parameter in said.get("parameters", ()):
                if parameter["name"] == "domain":
                    parameter["schema"]["enum"] = [DOMAIN, OTHER]
    return found


def _row(server: Server, document: dict[str, Any], name: str, key: str | None, examples: int) -> Row:
    """What became of one caller's requests, and what was not as documented."""
    seen: Counter[int] = Counter()
    faults = []
    for operation in sorted(names(document), key=lambda each: each.startswith("DELETE")):
        try:
            seen += fuzz(server.url, document, operation, examples=examples, headers=headers(key))
        except (AssertionError, OSError) as error:  # an answer that did not come at all is the latter
            faults.append(f"{name}: {operation}: {' '.join(str(error).split())[:500]}")
    return {
        "key": name,
        "requests": seen.total(),
        "statuses": " · ".join(f"{status}: {count}" for status, count in sorted(seen.items())),
        "not as documented": len(faults),
        "faults": faults,
    }


if __name__ == "__main__":
    sys.exit(main())
