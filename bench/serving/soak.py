"""Twice as many questions as can be answered, for a long time: what becomes of them, and of memory.

Open loop: a question is sent when its time has come, whatever became of those before; nobody tries again. Every answer
but 200 must be a 429 or a 503 that names a wait; memory must keep to a flat line once warm.

    python -m bench.serving.soak --suites DIR [--minutes M] [--rate ANSWERS_PER_SECOND] [--fresh]
"""

from __future__ import annotations

import asyncio
import sys
import time

import httpx

from bench.serving.client import SECONDS, Asked, closed_loop, ours
from bench.serving.keys import keys_for
from bench.serving.processes import Memory, running, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row, show, slope, spread

SATURATION = 2.0
CALLERS = 16
WARM_SHARE = 0.15
"""Of the time, before memory counts: queues fill, caches and allocators take what they keep."""

DRIFT = 0.05


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where a must is missed."""
    options = arguments(
        __doc__,
        ("--minutes", {"type": float, "default": 20.0}),
        ("--rate", {"type": float, "default": 0.0, "help": "answers a second at saturation; 0: measured first"}),
        ("--fresh", {"action": "store_true"}),
    )
    workload = prepare(options.suites)
    results = Results("soak", fresh=options.fresh)
    found = results.once(
        "soak",
        {"minutes": options.minutes, "rate": options.rate},
        lambda: soak(workload, options.minutes * 60, options.rate),
    )
    show(
        f"{found['minutes']} minutes at {SATURATION:.0f} × {found['saturation']} answers/s (memory must keep to ±5%)",
        [{name: found[name] for name in SHOWN}],
    )
    return 0 if found["held"] else 1


SHOWN = ("sent", "answered", "refused", "other", "no wait named", "answers/s", "MB warm", "drift", "furthest")


def soak(workload: Workload, seconds: float, rate: float) -> Row:
    """Send at twice the rate, and look."""
    with running(start_ours()) as server:
        keys = keys_for(CALLERS, workload.domain)
        if not rate:
            senders = [ours(server.url, workload.domain, key) for key in keys]
            done, took = asyncio.run(closed_loop(senders, workload.texts(), seconds=min(60.0, seconds), warm=5.0))
            rate = len([asked for asked in done if not asked.error]) / took
        memory = Memory(server)
        outcomes = asyncio.run(_flood(server.url, workload, keys, seconds, rate * SATURATION))
        points = memory.end()
    warm = [(at, used) for at, used in points if WARM_SHARE * seconds <= at <= seconds]
    per_second, at_start = slope(warm)
    middle = sum(used for _, used in warm) / max(1, len(warm))
    drift = per_second * (1 - WARM_SHARE) * seconds / at_start if at_start else 0.0
    furthest = max((abs(used / middle - 1) for _, used in warm), default=0.0)
    answered = [asked for asked in outcomes if _became(asked) == "answered"]
    refused = [asked for asked in outcomes if _became(asked) == "refused"]
    other = [asked for asked in outcomes if _became(asked) == "other"]
    bare = sum(asked.refused_without_wait for asked in refused)
    return {
        "minutes": round(seconds / 60, 2),
        "saturation": round(rate, 3),
        "sent": len(outcomes),
        "answered": len(answered),
        "refused": len(refused),
        "other": len(other),
        "others": sorted({f"{asked.status} {asked.error}" for asked in other}),
        "no wait named": bare,
        "answers/s": round(len(answered) / seconds, 3),
        "whole": spread([asked.whole for asked in answered if asked.whole is not None]),
        "MB warm": round(at_start, 1),
        "drift": round(drift, 4),
        "furthest": round(furthest, 4),
        "memory": points,
        "held": not other and not bare and max(abs(drift), furthest) <= DRIFT,
    }


def _became(asked: Asked) -> str:
    if asked.status in (429, 503):
        return "refused"
    return "answered" if asked.status == 200 and asked.whole is not None and not asked.error else "other"


async def _flood(url: str, workload: Workload, keys: list[str | None], seconds: float, rate: float) -> list[Asked]:
    """A question every 1/rate seconds; each is sent once."""
    texts = workload.texts()
    outcomes: list[Asked] = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(timeout=SECONDS, limits=limits, trust_env=False) as client,
        asyncio.TaskGroup() as tasks,
    ):
        began = time.perf_counter()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            asked = Asked(texts[number % len(texts)], time.perf_counter())
            outcomes.append(asked)
            tasks.create_task(_once(client, url, workload.domain, keys[number % len(keys)], asked))
    return outcomes


async def _once(client: httpx.AsyncClient, url: str, domain: str, key: str | None, asked: Asked) -> None:
    try:
        await ours(url, domain, key)(client, asked)
    except httpx.HTTPStatusError as error:
        asked.refused_without_wait = int("retry-after" not in error.response.headers)
    except httpx.TransportError as error:
        asked.error = type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
