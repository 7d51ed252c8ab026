"""The engine alone beside a bare llama_decode loop: the same prompts, lengths, threads and weights, in turns.

python -m bench.serving.engine --suites DIR [--rounds N] [--tokens N] [--fresh]
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.serving.peer import weights
from bench.serving.questions import arguments, prepare
from bench.serving.results import Results, Row, show
from rag.profiles import segments
from rag.settings import load
from rag.types import Message, Prompt

if TYPE_CHECKING:
    from bench.serving.bare import Bare
    from rag.protocols import LanguageModel

SEQUENCES = (1, 4, 8, 16)
MUST, AIM = 0.85, 0.90


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where the must is missed."""
    options = arguments(
        __doc__,
        ("--rounds", {"type": int, "default": 5, "help": "turns of each, at each number of sequences"}),
        ("--tokens", {"type": int, "default": 64, "help": "longest continuation"}),
        ("--fresh", {"action": "store_true"}),
    )
    rows = prepare(options.suites).corpus.read_text("utf-8").splitlines()
    texts = [json.loads(row)["text"][:400] for row in rows]
    results = Results("engine", fresh=options.fresh)
    settings = {"sequences": list(SEQUENCES), "rounds": options.rounds, "tokens": options.tokens}
    found = results.once("alone", settings, lambda: measure(texts, options.rounds, options.tokens))
    shown = [
        {
            "sequences": row["sequences"],
            "engine tokens/s": row["engine"],
            "bare tokens/s": row["bare"],
            "ratio": row["ratio"],
            "of all rounds": f"{min(row['ratios']):.3f} to {max(row['ratios']):.3f}",
        }
        for row in found["rows"]
    ]
    show(f"Engine / bare llama_decode, weights {found['weights']} (must {MUST}, aim {AIM})", shown)
    return 0 if all(row["ratio"] >= MUST for row in found["rows"]) else 1


def measure(texts: list[str], rounds: int, tokens: int) -> Row:
    """Tokens generated a second, prefill included, of both, in turns."""
    from bench.serving.bare import Bare
    from rag.build import model_file, open_model

    plain = load()
    # Without an adapter on either side, so that both evaluate the same weights.
    # Room for the largest batch, so that both evaluate the same one.
    room = {"parallel": max(SEQUENCES), "memory_tokens": 2 * max(SEQUENCES) * (256 + tokens)}
    model_settings = plain.model.model_copy(update={"adapter": "none", "adapters": {}, **room})
    settings = plain.model_copy(update={"model": model_settings})
    chosen = weights(settings)
    threads = len(os.sched_getaffinity(0))
    bare = Bare(chosen.path, sequences=max(SEQUENCES), tokens=256 + tokens, threads=threads)
    model = open_model(settings)
    template = model_file(settings).template
    supply = iter(range(10**9))
    rows = []
    try:
        for sequences in SEQUENCES:
            taken: list[list[float]] = []
            for turn in range(rounds + 1):
                # Others every time, so that nothing evaluated before is of use.
                said = [texts[next(supply) % len(texts)] for _ in range(sequences)]
                turns = [_bare(bare, template, said, tokens), _engine(model, said, tokens)]
                if turn:  # the first one warms both
                    taken.append([turns[1][0] / turns[1][1], turns[0][0] / turns[0][1], *map(float, turns[1])])
            engine = sum(row[0] for row in taken) / rounds
            baseline = sum(row[1] for row in taken) / rounds
            rows.append(
                {
                    "sequences": sequences,
                    "engine": round(engine, 1),
                    "bare": round(baseline, 1),
                    "ratio": round(engine / baseline, 3),
                    "ratios": [round(row[0] / row[1], 3) for row in taken],
                }
            )
    finally:
        model.close()
        bare.close()
    return {"rows": rows, "weights": chosen.format, "threads": threads}


def messages(text: str) -> tuple[Message, ...]:
    """The prompt of a text: something that is answered at length."""
    return (Message(role="user", content=f"{text}\n\nTell this again in your own words, at length."),)


def _bare(bare: Bare, template: str, texts: list[str], tokens: int) -> tuple[int, float]:
    prompts = [
        [
            token
            for part in segments(template, messages(text))
            for token in bare.tokenize(part.text, special=part.special)
        ]
        for text in texts
    ]
    return bare.run(prompts, max_tokens=tokens)


def _engine(model: LanguageModel, texts: list[str], tokens: int) -> tuple[int, float]:
    def one(text: str) -> int:
        *_, last = model.generate(Prompt(messages=messages(text), max_tokens=tokens))
        return last.completion_tokens or 0

    with ThreadPoolExecutor(len(texts)) as threads:
        begin = time.perf_counter()
        return sum(threads.map(one, texts)), time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
