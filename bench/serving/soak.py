"""At least twice as many questions as are answered, for a long time: what becomes of them, and of memory.

Open loop: a question is sent when its time has come, whatever became of those before; nobody tries again. How many are
sent follows what is served in the same run: a service that answers faster than it did before is sent more. Every answer
but 200 must be a 429 or a 503 that names a wait; memory must keep to a flat line once warm.

    python -m bench.serving.soak --suites DIR [--minutes M] [--rate ANSWERS_PER_SECOND] [--fresh]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence

import httpx

from bench.serving.client import SECONDS, Asked, Send, closed_loop, ours
from bench.serving.keys import keys_for
from bench.serving.processes import Memory, running, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row, show, slope, spread

SATURATION = 2.0
"""Questions sent for each that is answered, at least."""

MARGIN = 1.1
"""More than that, because what is served differs from one interval to the next by a few per cent."""

INTERVAL, FEWEST_INTERVALS = 30.0, 10
"""Seconds between two looks at what is served; a short run looks more often."""

CALLERS = 16
WARM_SHARE = 0.15
"""Of the time, before memory counts: queues fill, caches and allocators take what they keep."""

DRIFT = 0.05


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where a must is missed."""
    options = arguments(
        __doc__,
        ("--minutes", {"type": float, "default": 20.0}),
        ("--rate", {"type": float, "default": 0.0, "help": "answers a second at the beginning; 0: measured first"}),
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
        f"{found['minutes']} minutes at {SATURATION:.0f} × what is served or more, at the beginning "
        f"{found['saturation']} answers/s (memory must keep to ±5%)",
        [{name: found[name] for name in SHOWN}],
    )
    return 0 if found["held"] else 1


COUNTS = ("sent", "answered", "load", "load warm", "refused", "other", "no wait named", "answers/s")
SHOWN = (*COUNTS, "MB warm", "drift", "furthest")
"""`load`: questions sent for each that was answered; `load warm`: the same in the time in which memory counts."""


def soak(workload: Workload, seconds: float, rate: float) -> Row:
    """Send at least twice what is answered, and look."""
    with running(start_ours()) as server:
        senders = [ours(server.url, workload.domain, key) for key in keys_for(CALLERS, workload.domain)]
        if not rate:
            done, took = asyncio.run(closed_loop(senders, workload.texts(), seconds=min(60.0, seconds), warm=5.0))
            rate = len([asked for asked in done if not asked.error]) / took
            if not rate:
                raise SystemExit("nothing was answered before the flood: there is no rate to begin with")
        memory = Memory(server)
        outcomes, rates = asyncio.run(flood(senders, workload.texts(), seconds=seconds, rate=rate))
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
    load = len(outcomes) / max(1, len(answered))
    began = outcomes[0].began
    load_warm = load_between(outcomes, began + WARM_SHARE * seconds, began + seconds)
    return {
        "minutes": round(seconds / 60, 2),
        "saturation": round(rate, 3),
        "sent": len(outcomes),
        "answered": len(answered),
        "load": round(load, 3),
        "load warm": round(load_warm, 3),
        "refused": len(refused),
        "other": len(other),
        "others": sorted({f"{asked.status} {asked.error}" for asked in other}),
        "no wait named": bare,
        "answers/s": round(len(answered) / seconds, 3),
        "rates": rates,
        "whole": spread([asked.whole for asked in answered if asked.whole is not None]),
        "MB warm": round(at_start, 1),
        "drift": round(drift, 4),
        "furthest": round(furthest, 4),
        "memory": points,
        "held": not other and not bare and min(load, load_warm) >= SATURATION and max(abs(drift), furthest) <= DRIFT,
    }


def _became(asked: Asked) -> str:
    if asked.status in (0, 200) and asked.whole is None and not asked.error:
        return "open"
    if asked.status in (429, 503):
        return "refused"
    return "answered" if asked.status == 200 and asked.whole is not None and not asked.error else "other"


def load_between(outcomes: Sequence[Asked], since: float, until: float) -> float:
    """Questions sent between two times for each answer that came between them."""
    sent = sum(since <= asked.began < until for asked in outcomes)
    came = [asked.began + (asked.whole or 0.0) for asked in outcomes if _became(asked) == "answered"]
    return sent / max(1, sum(since <= at < until for at in came))


def next_rate(most: float, *, sent: int, taken: int, seconds: float) -> float:
    """Questions a second for the next `seconds`, so that twice what is answered will have been sent.

    most: the most answers a second of any interval so far; taken: questions that were answered, or are not refused yet.
    What was served of more than was expected is made up for at once.
    """
    return SATURATION * MARGIN * most + max(0.0, SATURATION * taken - sent) / seconds


async def flood(
    senders: Sequence[Send], texts: Sequence[str], *, seconds: float, rate: float
) -> tuple[list[Asked], list[float]]:
    """What became of each question, sent once when its time came; and how many a second were sent in each interval.

    senders: whose turn it is, one after the other; rate: answers a second that are expected at the beginning
    """
    outcomes: list[Asked] = []
    rates: list[float] = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(timeout=SECONDS, limits=limits, trust_env=False) as client,
        asyncio.TaskGroup() as tasks,
    ):
        began = due = time.perf_counter()
        most, answered = rate, 0
        for end, length in intervals(seconds):
            became = [_became(asked) for asked in outcomes]
            if rates:
                most = max(most, (became.count("answered") - answered) / length)
            answered = became.count("answered")
            taken = answered + became.count("open")
            rates.append(round(next_rate(most, sent=len(outcomes), taken=taken, seconds=length), 3))
            while due < began + end:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                # Once all were asked, with another question mark: a question that comes again is remembered in part.
                turn, place = divmod(len(outcomes), len(texts))
                asked = Asked(texts[place] + "?" * turn, time.perf_counter())
                send = senders[len(outcomes) % len(senders)]
                outcomes.append(asked)
                tasks.create_task(_once(send, client, asked))
                due += 1 / rates[-1]
    return outcomes, rates


def intervals(seconds: float) -> Iterator[tuple[float, float]]:
    """Seconds from the beginning at which each interval ends, and how long it is: all of them the same."""
    count = max(FEWEST_INTERVALS, round(seconds / INTERVAL))
    for number in range(1, count + 1):
        yield number * seconds / count, seconds / count


async def _once(send: Send, client: httpx.AsyncClient, asked: Asked) -> None:
    try:
        await send(client, asked)
        if asked.whole is None:
            asked.error = asked.error or "ended early"
    except httpx.HTTPStatusError as error:
        asked.refused_without_wait = int("retry-after" not in error.response.headers)
    except httpx.TransportError as error:
        asked.error = type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
