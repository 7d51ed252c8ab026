"""Can a key tell a domain that is not its own from one that does not exist? By status, body and time.

Ingests the two sample corpora into a data directory of its own, starts `understudy serve`, and asks with a key of the
one for the other and for a name that nobody has: 1,000 pairs for each operation of the API's document that names a
domain, each pair in random order on one connection. Bodies are compared byte by byte, the two names aside; times by a
rank test of the pairs (Wilcoxon) and one of the distributions (Kolmogorov-Smirnov), both against a level that is shared
by all tests. Beside them stands the shift that would have been seen. What was measured is kept for the serving report.
Measures from outside: knows nothing of the core.

    python -m bench.isolation [--pairs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from typing import Any

import httpx
import numpy as np
from scipy import stats

from bench.serving.results import Results
from evaluation.machine import hardware

DATA = ".cache/isolation"
OWN, FOREIGN, MISSING = "plant", "model-choice", "modal-choose"
"""The last two are as long as each other, so that their bodies are."""

LEVEL = 0.05
"""Chance that any of all the tests sees a difference that is none."""

SHIFTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Microseconds, tried in this order."""

REQUEST = {"X-Request-ID": "pair"}


def main() -> int:
    """Print the table, or JSON; status 1 where anything tells the two apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ["UNDERSTUDY_DATA__DIRECTORY"] = DATA
    os.environ["UNDERSTUDY_LIMITS__REQUESTS_PER_MINUTE"] = "0"
    os.environ["UNDERSTUDY_LOG__LEVEL"] = "warning"
    understudy = [sys.executable, "-m", "api"]
    for domain in (OWN, FOREIGN):
        command = [*understudy, "ingest", "apply", f"corpora/{domain}", "--domain", domain]
        subprocess.run(command, check=True, stdout=sys.stderr)
    scopes = [part for scope in ("read", "ingest", "admin") for part in ("--scope", scope)]
    made = subprocess.run(
        [*understudy, "keys", "create", "bench.isolation", "--domain", OWN, *scopes, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    key = json.loads(made.stdout)
    try:
        settings = {"pairs": arguments.pairs}
        # Measured anew at each call: what is kept is for the report alone.
        result = Results("isolation", fresh=True).once(
            "isolation", settings, lambda: measure(understudy, key["key"], arguments.pairs)
        )
    finally:
        subprocess.run([*understudy, "keys", "revoke", key["id"]], check=True, stdout=subprocess.DEVNULL)
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)
    return 0 if result["alike"] else 1


def measure(understudy: list[str], key: str, pairs: int) -> dict[str, Any]:
    """Start the service and ask every operation that names a domain."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen([*understudy, "serve", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        headers = REQUEST | {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, headers=headers) as client:
            _wait_ready(client)
            found = {name: ask(client, request, pairs) for name, request in operations(client).items()}
    finally:
        service.terminate()
        service.wait(30)
    level = LEVEL / (2 * len(found))
    for name, row in found.items():
        row["alike"] = row["statuses"] == [404] and row["bodies_alike"] and min(row["wilcoxon"], row["ks"]) >= level
        row["shift_seen_microseconds"] = _shift_seen(row.pop("foreign"), row.pop("missing"), level)
        if not row["alike"]:
            print(f"{name}: {row}", file=sys.stderr)
    return {
        "hardware": hardware(),
        "pairs": pairs,
        "level": level,
        "operations": found,
        "alike": all(row["alike"] for row in found.values()),
    }


def operations(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """Every documented operation whose path or body names a domain: its request, `OWN` standing for the domain."""
    document = client.get("/schema/openapi.json").json()
    found = {}
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            content = said.get("requestBody", {}).get("content", {})
            request: dict[str, Any] = {"method": method.upper(), "url": path.replace("{id}", "any.md")}
            if "application/json" in content:
                request["json"] = content["application/json"]["example"]
            elif "multipart/form-data" in content:
                request["files"] = {"files": ("any.md", b"# Any")}
            if "{domain}" in path or re.search(rf'\b{OWN}"', json.dumps(request.get("json"))):
                request["url"] = request["url"].replace("{domain}", OWN)
                found[f"{method.upper()} {path}"] = request
    return found


def about(request: dict[str, Any], domain: str) -> dict[str, Any]:
    """The request, about another domain."""
    body = request.get("json")
    changed = request | {"url": request["url"].replace(f"/{OWN}", f"/{domain}")}
    if body is not None:
        changed["json"] = json.loads(re.sub(rf'\b{OWN}"', f'{domain}"', json.dumps(body)))
    return changed


def ask(client: httpx.Client, request: dict[str, Any], pairs: int) -> dict[str, Any]:
    """Pairs of the same request about the two domains, in random order, and what they had in common."""
    order = random.Random(0)
    both = {FOREIGN: about(request, FOREIGN), MISSING: about(request, MISSING)}
    seconds: dict[str, list[float]] = {FOREIGN: [], MISSING: []}
    statuses, alike = set(), True
    for number in range(-50, pairs):  # the first fifty warm both sides up
        bodies = {}
        for domain in order.sample([FOREIGN, MISSING], 2):
            begin = time.perf_counter()
            response = client.request(**both[domain])
            took = time.perf_counter() - begin
            bodies[domain] = response.text.replace(domain, "")
            statuses.add(response.status_code)
            if number >= 0:
                seconds[domain].append(took)
        alike = alike and bodies[FOREIGN] == bodies[MISSING]
    foreign, missing = np.array(seconds[FOREIGN]), np.array(seconds[MISSING])
    return {
        "statuses": sorted(statuses),
        "bodies_alike": alike,
        "milliseconds_p50": [round(float(np.median(taken)) * 1000, 3) for taken in (foreign, missing)],
        "median_difference_microseconds": round(float(np.median(foreign - missing)) * 1e6, 1),
        "wilcoxon": float(stats.wilcoxon(foreign, missing).pvalue),
        "ks": float(stats.ks_2samp(foreign, missing).pvalue),
        "foreign": foreign,
        "missing": missing,
    }


def _shift_seen(foreign: np.ndarray, missing: np.ndarray, level: float) -> int | None:
    """The smallest of `SHIFTS` that the rank test sees when it is added to one side, whichever it is."""
    for shift in SHIFTS:
        sides = (foreign - missing + shift / 1e6, foreign - missing - shift / 1e6)
        if max(stats.wilcoxon(side).pvalue for side in sides) < level:
            return shift
    return None


def _wait_ready(client: httpx.Client) -> None:
    begin = time.perf_counter()
    while time.perf_counter() - begin < 300:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("the service was not ready within five minutes; its messages stand above")


def show(result: dict[str, Any]) -> None:
    """The result for people."""
    print(f"A key of one domain asks for a foreign and for a missing one · {result['hardware']}")
    print(f"  {result['pairs']} pairs each, level of a single test {result['level']:.4f}")
    for name, row in result["operations"].items():
        foreign, missing = row["milliseconds_p50"]
        print(
            f"  {'alike' if row['alike'] else 'DIFFERENT':9} {name}: status {row['statuses']}, bodies "
            f"{'alike' if row['bodies_alike'] else 'DIFFERENT'}, p50 {foreign} and {missing} ms, median difference "
            f"{row['median_difference_microseconds']} µs, p = {row['wilcoxon']:.2f} (pairs), {row['ks']:.2f} "
            f"(distributions); a shift of {row['shift_seen_microseconds']} µs would be seen"
        )
    print("  Verdict: " + ("the two cannot be told apart" if result["alike"] else "the two CAN be told apart"))


if __name__ == "__main__":
    sys.exit(main())
