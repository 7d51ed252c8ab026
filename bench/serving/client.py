"""One question by HTTP, timed from the caller's side: first byte, retrieval, first token, whole answer.

Speaks the API's events and the OpenAI protocol's chunks; honours Retry-After. Knows no server process.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

SECONDS = 300.0
"""Longest wait for one answer: longer than any queue may be."""

ANSWERING = ("token", "citation", "verdict", "done")
"""Events by which an answer begins; `retrieval` comes before them."""


@dataclass(slots=True)
class Asked:
    """What became of one question. Times in seconds since it was first sent, refusals and waits included."""

    question: str
    began: float
    sender: int = 0
    """which of the clients asked it"""
    status: int = 0
    first_event: float | None = None
    first_token: float | None = None
    whole: float | None = None
    refusals: int = 0
    refused_without_wait: int = 0
    text: str = ""
    tokens: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    problem: str = ""
    """The code of an `error` event, by which a stream says why it ends."""

    @property
    def stages(self) -> dict[str, float]:
        """Milliseconds by stage, as the answer tells them."""
        timings = self.answer.get("trace", {}).get("timings", [])
        return {timing["stage"]: timing["milliseconds"] for timing in timings}

    @property
    def queued(self) -> float | None:
        """Seconds that it waited at the server: until the whole answer, less the time of every stage."""
        if self.whole is None or not self.stages:
            return None
        return max(0.0, self.whole - sum(self.stages.values()) / 1000)


Send = Callable[[httpx.AsyncClient, Asked], Awaitable[None]]


def caller(limit: int = 1) -> httpx.AsyncClient:
    """A client with connections of its own, so that no pool makes one wait for another."""
    bounds = httpx.Limits(max_connections=limit, max_keepalive_connections=limit)
    return httpx.AsyncClient(timeout=SECONDS, limits=bounds, trust_env=False)


def headers(key: str | None) -> dict[str, str]:
    """What a key is sent as."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def ours(url: str, domain: str, key: str | None = None) -> Send:
    """Asks `/v1/answers/stream`."""

    async def send(client: httpx.AsyncClient, asked: Asked) -> None:
        body = {"question": asked.question, "domain": domain}
        async with client.stream("POST", f"{url}/v1/answers/stream", json=body, headers=headers(key)) as response:
            await _status(response, asked)
            async for name, data in events(response.aiter_lines()):
                now = time.perf_counter() - asked.began
                asked.first_event = asked.first_event or now
                if name in ANSWERING:
                    asked.first_token = asked.first_token or now
                if name == "token":
                    asked.tokens += 1
                if name == "error":
                    asked.error = asked.problem = data.get("code", "error")
                if name == "done":
                    asked.whole, asked.answer, asked.text = now, data["answer"], data["answer"]["text"]

    return send


async def events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Any]]:
    """Server-sent events as (name, data); comments skipped, and the end marker of OpenAI's streams."""
    name = "message"
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and line != "data: [DONE]":
            yield name, json.loads(line.removeprefix("data: "))
            name = "message"


async def _status(response: httpx.Response, asked: Asked) -> None:
    asked.status = response.status_code
    if response.status_code != 200:
        await response.aread()
        response.raise_for_status()


async def ask(
    client: httpx.AsyncClient,
    send: Send,
    question: str,
    *,
    patience: float = SECONDS,
    begun: Callable[[Asked], None] = lambda _: None,
) -> Asked:
    """Send a question; a refusal that names a wait is waited for and sent again, for at most `patience` seconds.

    begun: called with it before it is sent
    """
    asked = Asked(question, time.perf_counter())
    begun(asked)
    while True:
        try:
            await send(client, asked)
        except httpx.HTTPStatusError as error:
            wait = error.response.headers.get("retry-after")
            if error.response.status_code not in (429, 503):
                asked.error = f"status {error.response.status_code}"
                return asked
            asked.refusals += 1
            if wait is None:
                asked.refused_without_wait += 1
            if time.perf_counter() - asked.began + float(wait or 1) > patience:
                asked.error = "refused"
                return asked
            await asyncio.sleep(float(wait or 1))
            continue
        except (httpx.TransportError, json.JSONDecodeError) as error:
            asked.error = type(error).__name__
        if not asked.error and asked.whole is None:
            asked.error = "ended early"
        return asked


async def closed_loop(
    senders: Sequence[Send],
    questions: Sequence[str],
    *,
    seconds: float,
    warm: float = 0.0,
    over: Callable[[], bool] = lambda: False,
) -> tuple[list[Asked], float]:
    """A client for each sender, each asking its next question when the last is answered; what became of them.

    Questions are dealt out one after the other; once all were asked, with another question mark, so that no cache
    answers one. `warm`: seconds at the start whose answers are left out. Returns the answers that began after it and
    before the end, what was never answered whenever it began, and the time between. `over`: ends it earlier.
    """
    supply = iter(range(10**9))
    start = time.perf_counter() + warm
    end = start + seconds
    done: list[Asked] = []

    async def one(number: int, send: Send) -> None:
        async with caller() as client:
            while (left := end - time.perf_counter()) > 0 and not over():
                turn, place = divmod(next(supply), len(questions))
                question = questions[place] + "?" * turn
                asked = await ask(client, send, question, patience=left + 30)
                asked.sender = number
                if asked.began >= start or asked.whole is None:
                    done.append(asked)

    await asyncio.gather(*(one(number, send) for number, send in enumerate(senders)))
    return done, min(seconds, time.perf_counter() - start) if over() else seconds
