"""A thousand callers who hang up at random points: how soon the CPU rests after the last, and what is left behind.

python -m bench.serving.hangups --suites DIR [--callers N] [--fresh]
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import httpx

from bench.serving.client import ask, caller, headers, ours
from bench.serving.keys import keys_for, watcher
from bench.serving.processes import Server, running, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row, show

AT_ONCE = 24
MUST_IDLE, AIM_IDLE = 0.5, 0.2
NOTHING = {"running": 0.0, "sequences": 0.0}
"""Of the engine's gauges, once nobody is there."""

POINTS = ("nothing sent", "in the head", "in the body", "at once", "waiting", "in the stream")


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where a must is missed."""
    options = arguments(__doc__, ("--callers", {"type": int, "default": 1000}), ("--fresh", {"action": "store_true"}))
    workload = prepare(options.suites)
    results = Results("hangups", fresh=options.fresh)
    found = results.once("hangups", {"callers": options.callers}, lambda: measure(workload, options.callers))
    show(
        f"{found['callers']} callers hang up (CPU at rest: must {MUST_IDLE} s, aim {AIM_IDLE})",
        [{name: value for name, value in found.items() if name != "points"}],
    )
    return 0 if found["held"] else 1


def measure(workload: Workload, callers: int) -> Row:
    """Before, the hang-ups, after."""
    (key,) = keys_for(1, workload.domain)
    texts = workload.texts()
    with running(start_ours()) as server:
        # Others each time, so that no cache answers one.
        asyncio.run(_answers(server, workload, texts[:3], key))
        before = asyncio.run(_answers(server, workload, texts[3:11], key))
        server.seconds_until_idle()
        files, memory = server.files(), server.megabytes()
        points = asyncio.run(_hang_up(server, workload, callers, key))
        idle = server.seconds_until_idle()
        files_after, memory_after = server.files(), server.megabytes()
        time.sleep(0.5)
        left = gauges(server.url, watcher())
        after = asyncio.run(_answers(server, workload, texts[11:19], key))
    slower = after / before
    return {
        "callers": callers,
        "idle after s": round(idle, 3),
        "files before": files,
        "files after": files_after,
        "MB before": memory,
        "MB after": memory_after,
        "answer before s": round(before, 3),
        "answer after s": round(after, 3),
        "requests left": left.get("running"),
        "sequences left": left.get("sequences"),
        "points": points,
        # Pools of threads and of connections may have opened a few files for good.
        "held": idle <= MUST_IDLE and files_after <= files + 16 and slower < 1.5 and left == NOTHING,
    }


async def _answers(server: Server, workload: Workload, texts: list[str], key: str | None) -> float:
    """Median seconds of some answers, one after the other."""
    async with caller() as client:
        asked = [await ask(client, ours(server.url, workload.domain, key), text) for text in texts]
    whole = sorted(answer.whole or 0.0 for answer in asked)
    return whole[len(whole) // 2]


async def _hang_up(server: Server, workload: Workload, callers: int, key: str | None) -> dict[str, int]:
    """Everybody calls and leaves; how many left where."""
    draw = random.Random(0)
    supply = iter(range(callers))
    points: dict[str, int] = dict.fromkeys(POINTS, 0)
    port = int(server.url.rpartition(":")[2])

    async def one() -> None:
        for number in supply:
            point = draw.choice(POINTS)
            points[point] += 1
            question = workload.texts()[number % len(workload.questions)]
            await _call_and_leave(port, *request(question, workload.domain, key), point, draw)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return points


def request(question: str, domain: str, key: str | None, **more: object) -> tuple[bytes, bytes]:
    """Head and body of a question, as they are sent. more: other fields of the body"""
    body = json.dumps({"question": question, "domain": domain, **more}).encode()
    sent = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers(key)}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"POST /v1/answers/stream HTTP/1.1\r\n{head}\r\n".encode(), body


async def _call_and_leave(port: int, start: bytes, body: bytes, point: str, draw: random.Random) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if point == "in the head":
            writer.write(start[: draw.randrange(1, len(start))])
        elif point == "in the body":
            writer.write(start + body[: draw.randrange(len(body))])
        elif point != "nothing sent":
            writer.write(start + body)
        await writer.drain()
        if point == "waiting":
            await asyncio.sleep(draw.uniform(0.0, 1.5))
        if point == "in the stream":
            async with asyncio.timeout(20):
                await reader.read(draw.randrange(1, 4000))
    except (OSError, TimeoutError):
        pass  # the server may have refused and left first
    finally:
        writer.transport.abort() if draw.random() < 0.5 else writer.close()


def gauges(url: str, key: str | None) -> dict[str, float]:
    """What the engine still works on, by /metrics; empty where it does not tell, which is no proof of anything."""
    try:
        response = httpx.get(f"{url}/metrics", headers=headers(key), timeout=5)
    except httpx.TransportError:
        return {}
    told = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
    names = {name: f"understudy_engine_{name}" for name in NOTHING}
    if response.status_code != 200 or not all(metric in told for metric in names.values()):
        return {}
    return {name: float(told[metric]) for name, metric in names.items()}


if __name__ == "__main__":
    sys.exit(main())
