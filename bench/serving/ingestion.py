"""2,000 documents come in while 8 clients ask: is every answer from one generation, and how much slower are they?

A domain in a data directory of its own, half of its documents there at the start. The clients ask it undisturbed, then
while `understudy ingest apply` brings the other half in beside the running service. An answer of the old generation
must show no new document; one of the new generation must show just what is found once all is in.

    python -m bench.serving.ingestion --suites DIR [--documents N] [--seconds S] [--fresh]
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from bench.serving.client import SECONDS, Asked, closed_loop, ours
from bench.serving.processes import running, start_ours
from bench.serving.questions import MODELS, UNDERSTUDY, Workload, arguments, prepare
from bench.serving.results import Results, Row, show, spread

CLIENTS = 8
LONGEST = 600.0
"""Seconds that the ingestion may take."""


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where an answer mixed two generations or failed."""
    options = arguments(
        __doc__,
        ("--documents", {"type": int, "default": 2000, "help": "that come in while clients ask"}),
        ("--seconds", {"type": float, "default": 60.0, "help": "of asking before"}),
        ("--fresh", {"action": "store_true", "help": "measure again what is measured"}),
    )
    workload = prepare(options.suites)
    results = Results("ingestion", fresh=options.fresh)
    found = results.once(
        "ingestion",
        {"documents": options.documents, "seconds": options.seconds},
        lambda: measure(workload, options.suites, options.documents, options.seconds),
    )
    show(
        f"{found['documents']} documents while {CLIENTS} clients ask (mixed and failed must be 0)",
        [{name: value for name, value in found.items() if name not in ("before", "during", "held")}],
    )
    return 0 if found["held"] else 1


def measure(workload: Workload, suites: Path, documents: int, seconds: float) -> Row:
    """Ask before and during, then look at what each answer showed."""
    with tempfile.TemporaryDirectory(dir=MODELS.parent, prefix="ingestion-") as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        (data / "models").symlink_to(MODELS.absolute())
        environment = {**os.environ, "UNDERSTUDY_DATA__DIRECTORY": str(data)}
        first, whole, new = _corpora(workload, suites, documents, folder)
        subprocess.run(_apply(first), check=True, env=environment, stdout=subprocess.DEVNULL)
        with running(start_ours(environment)) as server:
            senders = [ours(server.url, workload.domain) for _ in range(CLIENTS)]
            texts = workload.texts()
            before, took = asyncio.run(closed_loop(senders, texts, seconds=seconds, warm=5.0))
            began = time.perf_counter()
            with subprocess.Popen(_apply(whole), env=environment, stdout=subprocess.DEVNULL) as ingestion:
                during, while_took = asyncio.run(
                    closed_loop(senders, texts, seconds=LONGEST, over=lambda: ingestion.poll() is not None)
                )
                ended = ingestion.wait()
            brought_in = time.perf_counter() - began
            after, _ = asyncio.run(closed_loop(senders, texts, seconds=5.0))
            mixed = sum(_mixed(server.url, workload.domain, [*before, *during, *after], new))
    failed = [asked.error for asked in (*before, *during, *after) if asked.error]
    old, now = _latency(before), _latency(during)
    return {
        "documents": len(new),
        "ingested s": round(brought_in, 1),
        "asked": len(before) + len(during) + len(after),
        "generations": len({_generation(asked) for asked in (*before, *during, *after) if not asked.error}),
        "mixed": mixed,
        "failed": len(failed),
        "answers/s before": round(len(before) / took, 3),
        "answers/s during": round(len(during) / while_took, 3),
        "p50 before": old["p50"],
        "p50 during": now["p50"],
        "p95 before": old["p95"],
        "p95 during": now["p95"],
        "p95 ratio": round(now["p95"] / old["p95"], 2),
        "before": old,
        "during": now,
        "held": not mixed and not failed and ended == 0,
    }


def _apply(corpus: Path) -> list[str]:
    return [*UNDERSTUDY, "ingest", "apply", str(corpus), "--domain", "nq-serving"]


def _corpora(workload: Workload, suites: Path, documents: int, folder: Path) -> tuple[Path, Path, frozenset[str]]:
    """A file of the documents at the start, one of all, and the ids of those that come in."""
    first = workload.corpus.read_text("utf-8").splitlines()
    known = {json.loads(row)["doc_id"] for row in first}
    rows = (suites / "nq_evouna" / "corpus.jsonl").read_text("utf-8").splitlines()
    more = [row for row in rows if json.loads(row)["doc_id"] not in known][:documents]
    # One name for both: a document is known by its file and its id.
    start, whole = folder / "first" / "corpus.jsonl", folder / "whole" / "corpus.jsonl"
    for path, held in ((start, first), (whole, [*first, *more])):
        path.parent.mkdir()
        path.write_text("\n".join(held) + "\n", "utf-8")
    return start, whole, frozenset(json.loads(row)["doc_id"] for row in more)


def _mixed(url: str, domain: str, asked: list[Asked], new: frozenset[str]) -> list[bool]:
    """Of each answer, whether it showed what no one generation holds."""
    answered = [one for one in asked if not one.error]
    last = _generation(answered[-1])
    found: dict[str, list[Any]] = {}
    mixed = []
    with httpx.Client(timeout=SECONDS, trust_env=False) as client:
        for one in answered:
            shown = _shown(one.answer["passages"])
            if _generation(one) != last:
                mixed.append(any(document in new for document, _ in shown))
                continue
            if one.question not in found:
                body = {"question": one.question, "domain": domain}
                response = client.post(f"{url}/v1/passages", json=body).raise_for_status()
                found[one.question] = _shown(response.json())
            mixed.append(shown != found[one.question])
    return mixed


def _shown(passages: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(passage["document_id"], passage["start"]) for passage in passages]


def _generation(asked: Asked) -> str:
    return str(asked.answer["trace"]["generation"])


def _latency(asked: list[Asked]) -> Row:
    return spread([one.whole for one in asked if one.whole is not None and not one.error])


if __name__ == "__main__":
    sys.exit(main())
