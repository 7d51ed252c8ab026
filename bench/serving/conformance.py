"""The OpenAPI document held against the service: made-up requests with keys of every kind, which statuses came back.

Each operation gets requests that fit the document and as many that do not, by schemathesis: from a key that may
everything everywhere, one that may everything in its domain, one of another domain, one that was revoked, one with an
invented secret, something that is no key, and nobody. An answer that the document does not tell of, a 5xx that is no
503 with Retry-After and an excuse (`bench.serving.fuzz`), or a shut-out caller who is let in, is a fault. Over the
sample corpus: the last requests remove it, so the two who may do so get one each.

    python -m bench.serving.conformance [--examples N] [--fresh]
"""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import httpx

from api import schema
from bench.serving.client import headers
from bench.serving.fuzz import EXCUSED, Seen, fuzz, names
from bench.serving.keys import create
from bench.serving.plant import DOMAIN, plant
from bench.serving.processes import Server, running, start_ours
from bench.serving.questions import UNDERSTUDY, arguments
from bench.serving.results import Results, Row, show

OTHER = "office"
"""A domain that is not stored, and whose key comes too."""

SHUT_OUT = ("none", "malformed", "invented", "revoked")
"""Callers who learn nothing but whether the service lives."""

HIDDEN = ("unavailable",)
"""What a row keeps for the lines under the table."""

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
        [{name: value for name, value in row.items() if name not in HIDDEN} for row in found["rows"]],
    )
    for line in (*excuses(found), *found["faults"]):
        print(f"  - {line}")
    return 1 if found["faults"] else 0


def measure(examples: int) -> Row:
    """A row for each kind of caller."""
    with plant():
        own = create("bench-own", *EVERYTHING, "--domain", DOMAIN)
        callers = {
            "none": None,
            "malformed": "understudy \xff =",
            "invented": own[:-3] + ("abc" if own[-3:] != "abc" else "cba"),  # its id is known, its secret is not
            "revoked": create("bench-revoked", *EVERYTHING, "--domain", DOMAIN),
            "foreign": create("bench-foreign", *EVERYTHING, "--domain", OTHER),
            "own": own,
        }
        subprocess.run([*UNDERSTUDY, "keys", "revoke", str(callers["revoked"]).split("_")[1]], check=True)
        rows = _rows(callers, examples)
    with plant():
        rows += _rows({"admin": create("bench-admin", *EVERYTHING, "--all-domains")}, examples)
    faults = [fault for row in rows for fault in row.pop("faults")]
    return {"operations": len(names(schema.document())), "examples": examples, "rows": rows, "faults": faults}


def excuses(found: Row) -> list[str]:
    """A line for each kind of 503 that came and is no fault: whom, where, how often and why."""
    return [
        f"{row['key']}: {where}, 503 {code}, {count} times: {EXCUSED.get(code, 'no excuse')}"
        for row in found["rows"]
        for where, codes in row.get("unavailable", {}).items()
        for code, count in codes.items()
    ]


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the names of two domains where it takes any, so that requests that fit it find one."""
    found = copy.deepcopy(document)
    for body, name in (("AnswerRequest", "domain"), ("PassagesRequest", "domain"), ("ChatRequest", "model")):
        found["components"]["schemas"][body]["properties"][name]["enum"] = [DOMAIN, OTHER]
    for methods in found["paths"].values():
        for said in methods.values():
            for parameter in said.get("parameters", ()):
                if parameter["name"] == "domain":
                    parameter["schema"]["enum"] = [DOMAIN, OTHER]
    return found


def _rows(callers: dict[str, str | None], examples: int) -> list[Row]:
    """A service, and one caller after the other: whoever may remove the documents comes last."""
    with running(start_ours()) as server:
        asks = headers(list(callers.values())[-1])
        told = httpx.get(f"{server.url}/schema/openapi.json", headers=asks, timeout=60).raise_for_status()
        shown = narrowed(told.json())
        return [_row(server, shown, name, key, examples) for name, key in callers.items()]


def _row(server: Server, document: dict[str, Any], name: str, key: str | None, examples: int) -> Row:
    """What became of one caller's requests, and what was not as documented."""
    whole = Seen()
    unavailable: dict[str, dict[str, int]] = {}
    faults = []
    for operation in sorted(names(document), key=lambda each: each.startswith("DELETE")):
        try:
            seen = fuzz(server.url, document, operation, examples=examples, headers=headers(key))
        except (AssertionError, OSError) as error:  # an answer that did not come at all is the latter
            faults.append(f"{name}: {operation}: {' '.join(str(error).split())[:500]}")
            continue
        whole.add(seen)
        if seen.unavailable:
            unavailable[operation] = dict(seen.unavailable)
        if name in SHUT_OUT and not operation.startswith("GET /health") and min(seen.statuses) < 400:
            faults.append(f"{name}: {operation}: let in, {dict(seen.statuses)}")
    return {
        "key": name,
        "requests": whole.statuses.total(),
        "statuses": " · ".join(f"{status}: {count}" for status, count in sorted(whole.statuses.items())),
        "503": " · ".join(f"{code}: {count}" for code, count in sorted(whole.unavailable.items())) or "none",
        "not as documented": len(faults),
        "unavailable": unavailable,
        "faults": faults,
    }


if __name__ == "__main__":
    sys.exit(main())
