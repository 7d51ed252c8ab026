"""The peer of the load benchmark: the packaged `llama_cpp.server` with our retrieval in front of it.

What a team would build in an afternoon: passages from `/v1/passages`, the prompt that our own model gets, streamed chat
completions. Knows no measurement.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bench.serving.client import Asked, Send, events, headers
from rag.context import fit
from rag.prompt import answer_messages
from rag.settings import Settings, load
from rag.types import Passage

if TYPE_CHECKING:
    from rag.engine.weights import Choice

RAG_TOKENS = load({}).answer.max_tokens
"""Longest answer, on both sides."""


def weights(settings: Settings) -> Choice:
    """The weights file that the service loads, and its format."""
    from rag.build import model_file
    from rag.engine.weights import choose

    file = model_file(settings)
    threads = settings.model.threads or len(os.sched_getaffinity(0))
    folder = settings.data.directory / "models" / "weights"
    wanted = settings.model.weights_format  # adapted: as the service beside it chooses, which has its adapter
    return choose(file.path, file.sha256, folder, wanted=wanted, threads=threads, adapted=True)


@cache
def counter(path: str) -> Callable[[Sequence[str]], list[int]]:
    """Counts tokens by a model file's own tokenizer."""
    from llama_cpp import Llama

    vocabulary = Llama(path, vocab_only=True, verbose=False)
    return lambda texts: [len(vocabulary.tokenize(text.encode(), add_bos=False)) for text in texts]


def rag_over(server: str, retrieval: str, domain: str, *, path: Path, key: str | None) -> Send:
    """Asks our retrieval at `retrieval`, then the OpenAI-compatible `server`."""
    count, budget = counter(str(path)), load({}).answer.context_tokens

    async def send(client: httpx.AsyncClient, asked: Asked) -> None:
        found = await client.post(
            f"{retrieval}/v1/passages", json={"question": asked.question, "domain": domain}, headers=headers(key)
        )
        asked.status = found.raise_for_status().status_code
        asked.first_event = time.perf_counter() - asked.began
        passages = fit([Passage.model_validate(row) for row in found.json()], budget=budget, count_tokens=count)
        messages = [message.model_dump() for message in answer_messages(asked.question, passages)]
        body = {"messages": messages, "max_tokens": RAG_TOKENS, "temperature": 0, "stream": True}
        async with client.stream("POST", f"{server}/v1/chat/completions", json=body) as response:
            asked.status = response.status_code
            if response.status_code != 200:
                await response.aread()
                response.raise_for_status()
            async for _, data in events(response.aiter_lines()):
                said = data["choices"][0]["delta"].get("content") or ""
                if said:
                    asked.first_token = asked.first_token or time.perf_counter() - asked.began
                    asked.tokens += 1
                    asked.text += said
        asked.whole = time.perf_counter() - asked.began

    return send
