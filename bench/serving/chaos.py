"""`kill -9` of the service and of its engine, under load: ready again when, the store intact, the next answer the same?

Clients ask all the time. While the service is killed, documents are uploaded too, into a domain of their own: what was
acknowledged must be there after the restart, once and whole. The engine is killed at any moment, and, in a service that
writes in its own words, at one at which a stream has begun to speak: that one must be told, all others be answered.

    python -m bench.serving.chaos --suites DIR [--kills N] [--fresh]
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from bench.serving.client import Asked, ask, caller, headers, ours
from bench.serving.keys import keys_for, uploader
from bench.serving.processes import Server, free_port, running, start_ours
from bench.serving.questions import UNDERSTUDY, Workload, arguments, prepare
from bench.serving.results import Results, Row, show, spread
from bench.serving.uploads import Uploads

CLIENTS = 4
UPLOADED = "chaos"
"""The domain that documents are uploaded into; it is removed before and after."""

UNTIL_KILLED, UNTIL_UPLOADS_KILLED = (0.2, 2.0), (0.2, 5.0)
"""Seconds of load before a kill, least and most; an upload takes one or two."""

MUST_SERVICE, MUST_ENGINE = 4.0, 3.0
"""Seconds until questions are taken again."""

OWN_WORDS = {"UNDERSTUDY_ANSWER__DECODING": "free"}
"""Answers come word by word: a stream speaks for most of its time, where an extract is said all at once."""

PATIENCE = 120.0
"""Seconds that a client tries again: longer than four questions take on any machine."""

ANSWERED, AGAIN, TOLD, UNTOLD = "answered", "answered at another try", "had spoken and was told", "not told"


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where a must is missed."""
    options = arguments(__doc__, ("--kills", {"type": int, "default": 50}), ("--fresh", {"action": "store_true"}))
    workload = prepare(options.suites)
    results = Results("chaos", fresh=options.fresh)
    half = max(1, options.kills // 2)
    speaking = max(1, options.kills - half)
    parts = {
        "service": results.once("service", {"kills": options.kills}, lambda: kill_service(workload, options.kills)),
        "engine": results.once("engine", {"kills": half}, lambda: kill_engine(workload, half)),
        "engine while a stream speaks": results.once(
            "engine while a stream speaks",
            {"kills": speaking},
            lambda: kill_engine(workload, speaking, speaking=True),
        ),
    }
    show(f"kill -9 under {CLIENTS} clients", rows_of(parts))
    show("uploads while the service was killed (the last four must be 0)", [parts["service"]["uploads"]])
    for name, part in parts.items():
        if "told" in part:
            print(f"{name}: what callers were told: {part['told']}")
    return 0 if held(parts) else 1


def rows_of(parts: Mapping[str, Row]) -> list[Row]:
    """The table: a row for each thing that was killed."""
    return [
        {
            "killed": name,
            "times": part["times"],
            "ready p50 s": part["ready"]["p50"],
            "ready max s": part["ready"]["max"],
            "must": MUST_SERVICE if name == "service" else MUST_ENGINE,
            "store intact": part["intact"],
            "same answer": part["same"],
        }
        for name, part in parts.items()
    ]


def held(parts: Mapping[str, Row]) -> bool:
    """Whether nothing was lost, nobody was left without a word, and a stream that spoke was cut short at all."""
    uploads = parts["service"]["uploads"]
    told = [part["told"] for part in parts.values() if "told" in part]
    return (
        all(
            row["times"] == row["store intact"] == row["same answer"] and row["ready max s"] <= row["must"]
            for row in rows_of(parts)
        )
        and uploads["acknowledged"] > 0
        and not any(uploads[name] for name in ("lost", "doubled", "half there", "refused"))
        and sum(each[TOLD] for each in told) > 0
        and not any(each[UNTOLD] for each in told)
    )


def kill_service(workload: Workload, times: int) -> Row:
    """The whole service dies, and is started anew on the same data."""
    _remove(UPLOADED)
    reference = _reference(workload)
    uploads = Uploads(UPLOADED, uploader(UPLOADED))
    keys = keys_for(CLIENTS, workload.domain)
    ready: list[float] = []
    intact = same = 0
    port = free_port()
    server = start_ours(port=port)
    server.wait_ready()
    try:
        uploads.one(server.url)
        for number in range(times):
            with _load(server, workload, keys), uploads.going_on(server.url):
                time.sleep(random.Random(number).uniform(*UNTIL_UPLOADS_KILLED))
                server.kill()
            server = start_ours(port=port)
            ready.append(round(server.wait_ready(), 3))
            uploads.settle(server.url)
            # Not before the restart: what the service makes of the store as it was left is what counts.
            intact += _verify(workload.domain) and _verify(UPLOADED)
            same += _answer(server, workload) == reference
            print(f"chaos: service {number + 1} of {times}, ready after {ready[-1]} s", file=sys.stderr, flush=True)
    finally:
        server.stop()
    for said in uploads.refused:
        print(f"chaos: an upload was refused: {said}", file=sys.stderr, flush=True)
    _remove(UPLOADED)
    return {"times": times, "ready": spread(ready), "intact": intact, "same": same, "uploads": uploads.row()}


def kill_engine(workload: Workload, times: int, *, speaking: bool = False) -> Row:
    """The generator dies; the service starts another. speaking: it dies while it writes a stream's words"""
    environment = OWN_WORDS if speaking else {}
    reference = _reference(workload, environment)
    keys = keys_for(CLIENTS, workload.domain)
    ready: list[float] = []
    intact = same = 0
    told = Counter(dict.fromkeys((ANSWERED, AGAIN, TOLD, UNTOLD), 0))
    untold: set[str] = set()
    with running(start_ours(environment)) as server:
        for number in range(times):
            with _load(server, workload, keys) as outcomes:
                time.sleep(random.Random(number).uniform(*UNTIL_KILLED))
                if speaking:
                    _wait_for_words(outcomes)
                engine = server.engine()
                if engine is None:
                    raise SystemExit("the service runs no engine that could be killed")
                engine.kill()
                ready.append(round(_ready_again(server, engine.pid), 3))
            told.update(map(became, outcomes))
            untold |= {f"{asked.status} {asked.error}" for asked in outcomes if became(asked) == UNTOLD}
            intact += _verify(workload.domain)
            same += _answer(server, workload) == reference
            print(f"chaos: engine {number + 1} of {times}, ready after {ready[-1]} s", file=sys.stderr, flush=True)
    counts = {"times": times, "ready": spread(ready), "intact": intact, "same": same}
    return {**counts, "told": dict(told), "untold": sorted(untold)}


def became(asked: Asked) -> str:
    """What a caller was told: only a stream that had spoken may end without an answer, and it says so itself."""
    if not asked.error and asked.whole is not None:
        return AGAIN if asked.refusals else ANSWERED
    return TOLD if asked.problem and asked.tokens else UNTOLD


def _wait_for_words(outcomes: Iterable[Asked]) -> None:
    """Return when a stream has begun to speak and goes on."""
    began = time.perf_counter()
    while time.perf_counter() - began < PATIENCE:
        if any(asked.tokens and asked.whole is None and not asked.error for asked in list(outcomes)):
            return
        time.sleep(0.002)
    raise SystemExit(f"no stream began to speak within {PATIENCE:.0f} s")


@contextmanager
def _load(server: Server, workload: Workload, keys: list[str | None]) -> Iterator[list[Asked]]:
    """Clients that ask until the block ends; what becomes of their questions, those under way among them."""
    outcomes: list[Asked] = []
    over = threading.Event()
    texts = workload.texts()

    async def one(place: int, key: str | None) -> None:
        async with caller() as client:
            for text in texts[place::CLIENTS]:
                if over.is_set():
                    return
                send = ours(server.url, workload.domain, key)
                asked = await ask(client, send, text, patience=PATIENCE, begun=outcomes.append)
                if asked.error:
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


def _reference(workload: Workload, environment: Mapping[str, str] | None = None) -> str:
    """The answer of a service that nobody killed."""
    with running(start_ours(environment)) as server:
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


def _remove(domain: str) -> None:
    """Take a domain away where it is there."""
    command = [*UNDERSTUDY, "ingest", "delete", "--domain", domain, "--all"]
    subprocess.run(command, capture_output=True, check=False)


def _verify(domain: str) -> int:
    """1 where `understudy ingest verify` finds nothing wrong."""
    command = [*UNDERSTUDY, "ingest", "verify", "--domain", domain]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr, flush=True)
    return int(done.returncode == 0)


if __name__ == "__main__":
    sys.exit(main())
