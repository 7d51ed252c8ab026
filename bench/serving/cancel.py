"""How soon does the work stop for a caller who is gone: in a long prompt, while it writes, and of a whole answer?

In this process over the supervised engine: a request is cancelled after a random time; what is measured is the time
from then until its caller is free, and until the engine works on nothing. By HTTP: a caller of the service hangs up at
a random moment of an answer, be it in the search, at the embedder or in the engine; until no process of it works. And
a caller names a deadline that passes at such a moment: until its refusal is there, and until no process works. As a
control nothing is asked, and it is waited as often until no process works: a service at rest works now and then too.

    python -m bench.serving.cancel --suites DIR [--tries N] [--fresh]
"""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx

from bench.serving.client import headers
from bench.serving.hangups import request
from bench.serving.keys import keys_for
from bench.serving.processes import Server, running, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row, percentile, show
from rag.errors import RagError
from rag.settings import load
from rag.types import Message, Prompt

if TYPE_CHECKING:
    from rag.protocols import LanguageModel

MUST, AIM = 0.3, 0.1
"""Seconds, of every try."""

PROMPT_CHARACTERS = 4800
"""Some 1,300 tokens: two seconds of reading."""

BODIES: dict[str, dict[str, object]] = {
    "a whole answer, by HTTP": {},
    "a choice of options, by HTTP": {"options": ["yes, always", "no, never", "on some days only"]},
}
"""What else a question has; a choice compares up to 96 sentences with it where other answers compare 20."""

KINDS = {"during the prompt": 0.8, "while it writes": 0.0}
"""Greatest share of the prompt's time after which a try is cancelled; 0: once the first words are there."""

CONTROL = "control: nothing was asked"


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where the must is missed."""
    options = arguments(__doc__, ("--tries", {"type": int, "default": 50}), ("--fresh", {"action": "store_true"}))
    workload = prepare(options.suites)
    results = Results("cancel", fresh=options.fresh)
    settings = {"tries": options.tries}
    found = results.once("cancel", settings, lambda: {"rows": measure(workload, options.tries)})
    answers = results.once("answers", settings, lambda: {"rows": list(by_http(workload, options.tries))})
    rows = [*found["rows"], *answers["rows"]]
    show(f"Seconds from a cancellation (must {MUST}, aim {AIM})", rows)
    tried = [row for row in rows if row["cancelled"] != CONTROL]
    return 0 if all(max(row["caller max"] or 0.0, row["at rest max"]) <= MUST for row in tried) else 1


def measure(workload: Workload, tries: int) -> list[Row]:
    """A row for each point at which a caller goes."""
    from rag.build import open_model

    model = open_model(load())
    text = workload.corpus.read_text("utf-8")
    try:
        prompts = [_prompt(text, number) for number in range(tries + 1)]
        reading = _first_words(model, prompts[-1])
        rows = []
        for kind, share in KINDS.items():
            chance = random.Random(kind)
            waits = [chance.uniform(0.02, share) * reading if share else 0.0 for _ in range(tries)]
            tried = [_cancelled(model, prompt, wait) for prompt, wait in zip(prompts, waits, strict=False)]
            caller_free, at_rest = [one for one, _ in tried], [other for _, other in tried]
            rows.append(_row(kind, caller_free, at_rest))
    finally:
        model.close()
    return rows


def by_http(workload: Workload, tries: int) -> Iterator[Row]:
    """Of whole answers of the service, free ones and choices between options."""
    (key,) = keys_for(1, workload.domain)
    texts = workload.texts()
    with running(start_ours()) as server:
        for kind, more in BODIES.items():
            chance = random.Random(kind)
            # Other questions than those given up: what is known already would end by itself.
            took = sorted(
                _whole(server, {"question": text, "domain": workload.domain, **more}, key) for text in texts[-5:]
            )[2]
            at_rest = []
            for number in range(tries):
                question = texts[number % (len(texts) - 5)] + "?" * (1 + number // (len(texts) - 5))
                server.seconds_until_idle()
                with _connected(server) as connection:
                    connection.sendall(b"".join(request(question, workload.domain, key, **more)))
                    time.sleep(chance.uniform(0.02, 0.9) * took)
                at_rest.append(server.seconds_until_idle())
            yield _row(kind, [], at_rest)
        yield _past_deadlines(server, texts, workload.domain, key, tries)
        yield _row(CONTROL, [], [server.seconds_until_idle() for _ in range(tries)])


def _past_deadlines(server: Server, texts: list[str], domain: str, key: str | None, tries: int) -> Row:
    """Answers whose caller gave them too little time; one that is there in time anyway is no try."""
    took = sorted(_whole(server, {"question": text, "domain": domain}, key) for text in texts[-5:])[2]
    chance = random.Random("deadline")
    caller_free: list[float] = []
    at_rest: list[float] = []
    with httpx.Client(headers=headers(key), timeout=60) as client:
        client.get(f"{server.url}/health/live")  # connected before the clock runs
        for text in texts[tries:-5]:
            server.seconds_until_idle()
            deadline = chance.uniform(0.05, 0.9) * took
            body = {"question": text, "domain": domain, "timeout_seconds": deadline}
            began = time.perf_counter()
            answer = client.post(f"{server.url}/v1/answers", json=body)
            late = time.perf_counter() - began - deadline
            if answer.status_code == 200:
                continue
            if answer.json().get("code") != "model_timeout":
                raise SystemExit(f"a deadline that passed was answered by {answer.status_code}: {answer.text[:200]}")
            caller_free.append(late)
            at_rest.append(late + server.seconds_until_idle())
            if at_rest[-1] > MUST:
                print(f"cancel: at rest {at_rest[-1]:.3f} s past a deadline: {server.worked}", file=sys.stderr)
            if len(at_rest) == tries:
                break
    return _row("past its deadline, by HTTP", caller_free, at_rest)


def _connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))


def _whole(server: Server, body: dict[str, object], key: str | None) -> float:
    """Seconds of an answer that is waited for."""
    answer = httpx.post(f"{server.url}/v1/answers", json=body, headers=headers(key), timeout=60)
    return answer.raise_for_status().elapsed.total_seconds()


def _row(kind: str, caller_free: list[float], at_rest: list[float]) -> Row:
    return {
        "cancelled": kind,
        "tries": len(at_rest),
        "caller p50": percentile(caller_free, 0.5),
        "caller p95": percentile(caller_free, 0.95),
        "caller max": round(max(caller_free), 4) if caller_free else None,
        "at rest p50": percentile(at_rest, 0.5),
        "at rest p95": percentile(at_rest, 0.95),
        "at rest max": round(max(at_rest), 4),
    }


def _prompt(text: str, number: int) -> Prompt:
    """A text that no other try begins with, so that nothing of it is known already."""
    at = number * PROMPT_CHARACTERS % max(1, len(text) - PROMPT_CHARACTERS)
    told = f"Text {number}.\n{text[at : at + PROMPT_CHARACTERS]}\nTell it again."
    return Prompt(messages=(Message(role="user", content=told),), max_tokens=200)


def _first_words(model: LanguageModel, prompt: Prompt) -> float:
    began = time.perf_counter()
    for _ in model.generate(prompt):
        break
    return time.perf_counter() - began


def _cancelled(model: LanguageModel, prompt: Prompt, after: float) -> tuple[float, float]:
    """Seconds from the cancellation until the caller is free, and until the engine rests."""
    gone = threading.Event()
    at: list[float] = []

    def go() -> None:
        at.append(time.perf_counter())
        gone.set()

    timer = threading.Timer(after, go)
    if after > 0:
        timer.start()
    try:
        for _ in model.generate(prompt, cancelled=gone.is_set):
            if not at and after <= 0:
                go()
    except RagError:
        pass
    free = time.perf_counter()
    timer.cancel()
    while (told := model.statistics()) is not None and told.running:
        time.sleep(0.002)
    began = at[0] if at else free
    return free - began, time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
