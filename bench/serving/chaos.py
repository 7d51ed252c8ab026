"""`kill -9` of the service and of its engine, under load: ready again when, the store intact, the next answer the same?

python -m bench.serving.chaos --suites DIR [--kills N] [--fresh]
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bench.serving.client import Asked, ask, caller, headers, ours
from bench.serving.keys import keys_for
from bench.serving.processes import Server, free_port, running, start_ours
from bench.serving.questions import UNDERSTUDY, Workload, arguments, prepare
from bench.serving.results import Results, Row, show, spread

CLIENTS = 4
MUST_SERVICE, MUST_ENGINE = 4.0, 3.0
"""Seconds until questions are taken again."""


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where a must is missed."""
    options = arguments(__doc__, ("--kills", {"type": int, "default": 50}), ("--fresh", {"action": "store_true"}))
    workload = prepare(options.suites)
    results = Results("chaos", fresh=options.fresh)
    settings = {"kills": options.kills}
    parts = {
        "service": results.once("service", settings, lambda: kill_service(workload, options.kills)),
        "engine": results.once("engine", settings, lambda: kill_engine(workload, options.kills)),
    }
    rows = [
        {
            "killed": name,
            "times": part["times"],
            "ready p50 s": part["ready"]["p50"],
            "ready max s": part["ready"]["max"],
            "must": must,
            "store intact": part["intact"],
            "same answer": part["same"],
        }
        for (name, part), must in zip(parts.items(), (MUST_SERVICE, MUST_ENGINE), strict=True)
    ]
    show(f"kill -9 under {CLIENTS} clients", rows)
    print(f"what callers were told while the engine died: {parts['engine']['told']}")
    held = all(
        row["times"] == row["store intact"] == row["same answer"] and row["ready max s"] <= row["must"] for row in rows
    )
    return 0 if held else 1


def kill_service(workload: Workload, times: int) -> Row:
    """The whole service dies, and is started anew on the same data."""
    reference = _reference(workload)
    ready: list[float] = []
    intact = same = 0
    port = free_port()
    server = start_ours(port=port)
    server.wait_ready()
    try:
        for number in range(times):
            with _load(server, workload) as _:
                time.sleep(random.Random(number).uniform(0.2, 2.0))
                server.kill()
            intact += _verify(workload)
            server = start_ours(port=port)
            ready.append(round(server.wait_ready(), 3))
            same += _answer(server, workload) == reference
            print(f"chaos: service {number + 1} of {times}, ready after {ready[-1]} s", file=sys.stderr, flush=True)
    finally:
        server.stop()
    return {"times": times, "ready": spread(ready), "intact": intact, "same": same}


def kill_engine(workload: Workload, times: int) -> Row:
    """The generator dies; the service starts another."""
    reference = _reference(workload)
    ready: list[float] = []
    intact = same = 0
    told: dict[str, int] = {}
    with running(start_ours()) as server:
        for number in range(times):
            with _load(server, workload) as outcomes:
                time.sleep(random.Random(number).uniform(0.2, 2.0))
                engine = server.engine()
                if engine is None:
                    raise SystemExit("the service runs no engine that could be killed")
                engine.kill()
                ready.append(round(_ready_again(server, engine.pid), 3))
            for asked in outcomes:
                told[asked.error or "answered"] = told.get(asked.error or "answered", 0) + 1
            intact += _verify(workload)
            same += _answer(server, workload) == reference
            print(f"chaos: engine {number + 1} of {times}, ready after {ready[-1]} s", file=sys.stderr, flush=True)
    return {"times": times, "ready": spread(ready), "intact": intact, "same": same, "told": told}


@contextmanager
def _load(server: Server, workload: Workload) -> Iterator[list[Asked]]:
    """Clients that ask until the block ends; what became of their questions."""
    outcomes: list[Asked] = []
    over = threading.Event()
    keys = keys_for(CLIENTS, workload.domain)
    texts = workload.texts()

    async def one(place: int, key: str | None) -> None:
        async with caller() as client:
            for text in texts[place::CLIENTS]:
                if over.is_set():
                    return
                outcomes.append(await ask(client, ours(server.url, workload.domain, key), text, patience=5.0))
                if outcomes[-1].error:
                    await asyncio.sleep(0.1)

    async def everyone() -> None:
        await asyncio.gather(*(one(place, key) for place, key in enumerate(keys)))

    thread = threading.Thread(target=lambda: asyncio.run(everyone()))
    thread.start()
    try:
        yield outcomes
    finally:
        over.set()
        thread.join()


def _ready_again(server: Server, dead: int) -> float:
    """Seconds until another engine is there and the service says it is ready."""
    began = time.perf_counter()
    with httpx.Client(timeout=30) as client:
        while time.perf_counter() - began < 60:
            engine = server.engine()
            fresh = engine is not None and engine.pid != dead
            if fresh and client.get(f"{server.url}/health/ready").status_code == 200:
                return time.perf_counter() - began
            time.sleep(0.02)
    raise SystemExit("the engine was not back within a minute")


def _reference(workload: Workload) -> str:
    """The answer of a service that nobody killed."""
    with running(start_ours()) as server:
        return _answer(server, workload)


def _answer(server: Server, workload: Workload) -> str:
    """What is said to the first question, with its citations; none is no answer."""
    (key,) = keys_for(1, workload.domain)
    body = {"question": workload.texts()[0], "domain": workload.domain}
    response = httpx.post(f"{server.url}/v1/answers", json=body, headers=headers(key), timeout=60)
    if response.status_code != 200:
        return f"status {response.status_code}"
    answer = response.json()
    return f"{answer['text']} {answer['citations']} {answer['confidence']}"


def _verify(workload: Workload) -> int:
    """1 where `understudy ingest verify` finds nothing wrong."""
    command = [*UNDERSTUDY, "ingest", "verify", "--domain", workload.domain]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr, flush=True)
    return int(done.returncode == 0)


if __name__ == "__main__":
    sys.exit(main())
