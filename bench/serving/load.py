"""Many clients at once: answers a second, first token, whole answer, queue, refusals, memory; and a peer beside it.

Closed loop: each client asks its next question when the last is answered, no two the same at a time. The peer is the
packaged `llama_cpp.server` with our retrieval in front, at the same weights file and number of tokens, in the same run.
`fewest` and `most`: answers of the client that had the fewest and of the one that had the most.

    python -m bench.serving.load --suites DIR [--seconds S] [--clients 1,4,16,64] [--fresh]
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.serving.client import Asked, Send, closed_loop, ours
from bench.serving.keys import keys_for
from bench.serving.peer import RAG_TOKENS, rag_over, weights
from bench.serving.processes import Memory, Server, running, start_llama_server, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row, percentile, show, spread
from evaluation.judge import shipped_judge
from rag.settings import load

PEER_CLIENTS = (4, 16)
MUST, AIM = 0.5, 0.25
"""Our 95th percentile of the time to the first token, as a share of the peer's."""

DEFAULT: Mapping[str, str] = {}
FREE = {"UNDERSTUDY_ANSWER__DECODING": "free"}
"""Answers in the model's own words, as the peer gives them: the same work token by token."""

WARM_SECONDS = 15.0
"""Left out at the start of every measurement."""


def main() -> int:
    """Measure what is not measured, print both tables; exit status 1 where a must is missed."""
    options = arguments(
        __doc__,
        ("--seconds", {"type": float, "default": 180.0, "help": "of each number of clients"}),
        ("--clients", {"default": "1,4,16,64"}),
        ("--fresh", {"action": "store_true", "help": "measure again what is measured"}),
    )
    workload = prepare(options.suites)
    counts = [int(count) for count in options.clients.split(",")]
    results = Results("load", fresh=options.fresh)
    for count in counts:
        settings = {"clients": count, "seconds": options.seconds}
        results.once(f"ours-{count}", settings, partial(measure_ours, workload, count, options.seconds))
    for count in [count for count in PEER_CLIENTS if count in counts]:
        settings = {"clients": count, "seconds": options.seconds, "decoding": "free"}
        results.once(f"free-{count}", settings, partial(measure_ours, workload, count, options.seconds, FREE))
    for count in [count for count in PEER_CLIENTS if count in counts]:
        settings = {"clients": count, "seconds": options.seconds, "max_tokens": RAG_TOKENS}
        results.once(f"peer-{count}", settings, partial(measure_peer, workload, count, options.seconds))
    return report(results)


def measure_ours(workload: Workload, clients: int, seconds: float, environment: Mapping[str, str] = DEFAULT) -> Row:
    """Our server under `clients` clients, each with a key of its own where there are keys."""
    with running(start_ours(environment)) as server:
        keys = keys_for(clients, workload.domain)
        senders = [ours(server.url, workload.domain, key) for key in keys]
        return asyncio.run(_measured(server, senders, workload, seconds)) | {"weights": weights(load()).format}


def measure_peer(workload: Workload, clients: int, seconds: float) -> Row:
    """The packaged server under `clients` clients, our retrieval in front of it."""
    settings = load()
    chosen = weights(settings)
    started = start_llama_server(
        chosen.path, context_tokens=settings.model.context_tokens, threads=len(os.sched_getaffinity(0))
    )
    with running(started) as server, running(start_ours()) as retrieval:
        keys = keys_for(clients, workload.domain)
        senders = [
            rag_over(server.url, retrieval.url, workload.domain, path=Path(chosen.path), key=key) for key in keys
        ]
        return asyncio.run(_measured(server, senders, workload, seconds)) | {"weights": chosen.format}


async def _measured(server: Server, senders: list[Send], workload: Workload, seconds: float) -> Row:
    memory = Memory(server)
    try:
        done, took = await closed_loop(senders, workload.texts(), seconds=seconds, warm=min(WARM_SECONDS, seconds))
    finally:
        points = memory.end()
    answered = Counter(asked.sender for asked in done if asked.whole is not None and not asked.error)
    each = [answered[number] for number in range(len(senders))]
    return summary(done, took) | {
        "clients": len(senders),
        "fewest": min(each),
        "most": max(each),
        "memory": points,
        "right": right(done, workload),
    }


def right(done: list[Asked], workload: Workload) -> float | None:
    """Percent of the answers that the evaluation's judge calls right."""
    judge = shipped_judge()
    known = {question.question.rstrip("?"): question.answers for question in workload.questions}
    judged = [
        judge.judge(asked.question, known[asked.question.rstrip("?")], asked.text).correct
        for asked in done
        if asked.text
    ]
    return round(100 * sum(judged) / len(judged), 1) if judged else None


def summary(done: list[Asked], seconds: float) -> Row:
    """The figures of a number of questions that were asked within `seconds`."""
    whole = [asked.whole for asked in done if asked.whole is not None and not asked.error]
    rate = len(whole) / seconds
    return {
        "asked": len(done),
        "answered": len(whole),
        "answers_per_second": round(rate, 4),
        "first_event": spread([asked.first_event for asked in done if asked.first_event is not None]),
        "first_token": spread([asked.first_token for asked in done if asked.first_token is not None]),
        "whole": spread(whole),
        "queued": spread([asked.queued for asked in done if asked.queued is not None]),
        "refusals": sum(asked.refusals for asked in done),
        "refused_without_wait": sum(asked.refused_without_wait for asked in done),
        "errors": dict(_counted(asked.error for asked in done if asked.error)),
        "tokens": sum(asked.tokens for asked in done),
    }


def _counted(words: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def report(results: Results) -> int:
    """Both tables, and whether the musts hold."""
    parts = {name: part["result"] for name, part in results.data["parts"].items()}
    show("Closed loop, seconds", [line(name, part) for name, part in parts.items()])
    held = True
    rows = []
    for count in PEER_CLIENTS:
        for own in (name for name in (f"ours-{count}", f"free-{count}") if name in parts and f"peer-{count}" in parts):
            row = against(parts[own], parts[f"peer-{count}"])
            rows.append({"": own, **row})
            held = held and row["first token p95 ratio"] <= MUST and row["answers/s ratio"] >= 1
    if rows:
        show(f"Ours / llama_cpp.server with the same retrieval (must ≤ {MUST}, aim {AIM}; answers/s ≥ 1)", rows)
    return 0 if held else 1


def line(name: str, part: Row) -> Row:
    """A row of the table."""
    used = [megabytes for _, megabytes in part["memory"]]
    return {
        "": name,
        "weights": part.get("weights"),
        "right %": part.get("right"),
        "answers/s": part["answers_per_second"],
        "first event p50": part["first_event"]["p50"],
        "first token p50": part["first_token"]["p50"],
        "p95": part["first_token"]["p95"],
        "whole p50": part["whole"]["p50"],
        "whole p95": part["whole"]["p95"],
        "queue p50": part["queued"]["p50"],
        "queue p95": part["queued"]["p95"],
        "whole max": part["whole"]["max"],
        "fewest": part.get("fewest"),
        "most": part.get("most"),
        "refusals": part["refusals"],
        "errors": sum(part["errors"].values()),
        "MB p50": percentile(used, 0.5),
        "MB max": max(used, default=None),
    }


def against(own: Row, peer: Row) -> Row:
    """Ratios of ours to the peer's."""
    return {
        "first token p95 ratio": round(own["first_token"]["p95"] / peer["first_token"]["p95"], 3),
        "whole p95 ratio": round(own["whole"]["p95"] / peer["whole"]["p95"], 3),
        "answers/s ratio": round(own["answers_per_second"] / peer["answers_per_second"], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
