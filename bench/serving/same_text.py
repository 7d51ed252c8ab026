"""Is a text the same alone and under load? Raw generations and whole answers by HTTP, at temperature 0.

Each is asked once alone and once beside eight others. A generation that differs is listed with its first differing
token and the gap between the log-probabilities of the two next tokens: rounding decides where it is next to nothing.
Both are asked as configured, so generations with the weights for own words; the must holds for both.

    python -m bench.serving.same_text --suites DIR [--tries N] [--fresh]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.serving.client import Asked, Send, ask, caller, ours
from bench.serving.keys import keys_for
from bench.serving.processes import running, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row, show
from rag.settings import load
from rag.types import Message, Prompt

if TYPE_CHECKING:
    from rag.protocols import LanguageModel

OTHERS = 8
MUST, AIM = 0.99, 0.995
TOKENS = 32


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where the must is missed."""
    options = arguments(__doc__, ("--tries", {"type": int, "default": 500}), ("--fresh", {"action": "store_true"}))
    workload = prepare(options.suites)
    results = Results("same_text", fresh=options.fresh)
    settings = {"tries": options.tries, "others": OTHERS}
    parts = {
        "answers": results.once("answers", settings, lambda: answers(workload, options.tries)),
        "generations": results.once("generations", settings, lambda: generations(workload, options.tries)),
    }
    rows = [
        {"": name, "weights": part["weights"], "tries": part["tries"], "the same": part["same"], "share": _share(part)}
        for name, part in parts.items()
    ]
    show(f"Alone and beside {OTHERS} others (must {MUST}, aim {AIM})", rows)
    for difference in (difference for part in parts.values() for difference in part["different"]):
        print(f"  - {difference}")
    return 0 if all(_share(part) >= MUST for part in parts.values()) else 1


def _share(part: Row) -> float:
    return float(part["same"] / part["tries"])


def generations(workload: Workload, tries: int) -> Row:
    """The model's own words, with the adapter in force."""
    from rag.build import open_model

    settings = load()
    model = open_model(settings)
    card = model.card
    questions = workload.questions
    prompts = [_prompt(questions[number % len(questions)].question, number) for number in range(tries)]
    try:
        alone = [_said(model, prompt) for prompt in prompts]
        with ThreadPoolExecutor(OTHERS + 1) as threads:
            loaded = list(threads.map(lambda prompt: _said(model, prompt), prompts))
    finally:
        model.close()
    # Scored is with the weights that read: the gaps are told by a model that reads with those that wrote.
    written = settings.model.model_copy(update={"weights_format": card.own_words_format or card.weights_format})
    model = open_model(settings.model_copy(update={"model": written}))
    try:
        different = [
            difference(model, prompt, one, other)
            for prompt, one, other in zip(prompts, alone, loaded, strict=True)
            if "".join(one) != "".join(other)
        ]
    finally:
        model.close()
    return {"weights": card.formats, "tries": tries, "same": tries - len(different), "different": different}


def _prompt(question: str, number: int) -> Prompt:
    told = f"Answer in one sentence. This is question {number}.\n{question}?"
    return Prompt(messages=(Message(role="user", content=told),), max_tokens=TOKENS)


def _said(model: LanguageModel, prompt: Prompt) -> tuple[str, ...]:
    """What was generated, token by token."""
    return tuple(piece.text for piece in model.generate(prompt) if piece.text)


def difference(model: LanguageModel, prompt: Prompt, alone: Sequence[str], loaded: Sequence[str]) -> Row:
    """The token at which two generations part, and how much likelier the one is there than the other."""
    pairs = zip(alone, loaded, strict=False)
    at = next((i for i, (one, other) in enumerate(pairs) if one != other), min(map(len, (alone, loaded))))
    before = "".join(alone[:at])
    ways = [_logprob(model, prompt, before, said[at] if at < len(said) else "") for said in (alone, loaded)]
    gap = round(ways[0] - ways[1], 5) if ways[0] is not None and ways[1] is not None else None
    return {
        "question": prompt.messages[0].content,
        "token": at,
        "after": before[-60:],
        "alone": _shown(alone, at),
        "under load": _shown(loaded, at),
        "gap of log-probabilities": gap,
    }


def _shown(said: Sequence[str], at: int) -> str:
    return said[at] if at < len(said) else "(the end)"


def _logprob(model: LanguageModel, prompt: Prompt, before: str, token: str) -> float | None:
    """Of one token, '' for the end, after what was said before; None where the model cannot tell it of that one."""
    if not before and not token:
        return None
    known, tokens = 0.0, 0
    if before:
        (said,) = model.score(prompt, [before])
        known, tokens = said.logprob, said.tokens
    if token:
        (whole,) = model.score(prompt, [before + token])
        return whole.logprob - known if whole.tokens == tokens + 1 else None
    (ended,) = model.extract(prompt, (), alternatives=(before,))
    return ended.logprob - known if ended.tokens == tokens + 1 else None


def answers(workload: Workload, tries: int) -> Row:
    """Whole answers: words, citations, abstention and confidence."""
    asked = [question.question for question in workload.questions]
    texts = [asked[number % len(asked)] + "?" * (1 + number // len(asked)) for number in range(tries)]
    with running(start_ours()) as server:
        keys = keys_for(OTHERS + 1, workload.domain)
        senders = [ours(server.url, workload.domain, key) for key in keys]
        alone = asyncio.run(_all(senders[:1], texts))
    # Another process, so that no answer can come from a cache.
    with running(start_ours()) as server:
        senders = [ours(server.url, workload.domain, key) for key in keys]
        loaded = asyncio.run(_all(senders, texts))
    different = [
        {"question": text, "alone": _essence(alone[text]), "under load": _essence(loaded[text])}
        for text in texts
        if _essence(alone[text]) != _essence(loaded[text])
    ]
    return {"weights": "as configured", "tries": tries, "same": tries - len(different), "different": different}


def _essence(asked: Asked) -> str:
    """What an answer says, as one comparable text; a failure is never the same as an answer."""
    if asked.error:
        return f"failed: {asked.error}"
    answer = asked.answer
    cited = [(c["document_id"], c["char_start"], c["char_end"], c["focus"]) for c in answer["citations"]]
    return f"{answer['text']} | {answer['basis']} | {answer['reason']} | {cited}"


async def _all(senders: list[Send], texts: list[str]) -> dict[str, Asked]:
    supply = iter(texts)
    found: dict[str, Asked] = {}

    async def one(send: Send) -> None:
        async with caller() as client:
            for text in supply:
                found[text] = await ask(client, send, text)

    await asyncio.gather(*(one(send) for send in senders))
    return found


if __name__ == "__main__":
    sys.exit(main())
