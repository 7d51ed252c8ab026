"""How long, how hard and on what to tune: recipes side by side on questions that none of them saw.

`write` makes the examples once, as `understudy tune suite` would for the shipped adapter, and as many again from
questions made without labels; `sweep` trains a recipe after the other on them, on a GPU where there is one, and scores
each on the examples of the questions kept for checking. It needs torch, transformers, peft and gguf alone, so that it
runs on a machine without the product's other parts; `understudy tune check` then asks the questions themselves.

    python -m bench.tuning write --suites DIR --out FILE [--made N]
    python -m bench.tuning sweep FILE --base MODEL.gguf --out DIR [--only NAME ...] [--workers N] [--json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from tuning import gguf_adapter
from tuning.training import Recipe, Tokens, Trained, device_of, hardware_of, train

SUITES = {"nq_evouna": 200, "mirage_pubmed": 30}
"""Suites that the shipped adapter learned from, and their questions kept for checking."""
DEAL_SEED, REPORT, TASKS, LONGEST = 1, 300, ("pubmedqa",), 640
LESSONS = ("span", "refusal", "choice", "polar")


@dataclass(frozen=True)
class Trial:
    """A recipe, and whether the questions made without labels are learned from too."""

    recipe: Recipe
    made: bool = False


def _trial(steps: int, batch: int = 8, rate: float = 5e-4, *, seed: int = 0, made: bool = False, **more: Any) -> Trial:
    return Trial(Recipe(steps=steps, batch=batch, learning_rate=rate, seed=seed, **more), made)


TRIALS = {
    "shipped recipe": _trial(200),
    "another seed": _trial(200, seed=1),
    "half as long": _trial(100),
    "twice as long": _trial(400),
    "four times as long": _trial(800),
    "slower": _trial(400, rate=2e-4),
    "large batches": _trial(200, 32),
    "large batches, faster": _trial(200, 32, 1e-3),
    "large batches, more dropout": _trial(200, 32, dropout=0.2),
    "made questions too": _trial(400, made=True),
    "made questions too, large batches": _trial(200, 32, made=True),
    "made questions too, twice as long": _trial(400, 32, made=True),
    "made questions too, slower": _trial(400, 32, 2e-4, made=True),
}


def write(suites: Path, out: Path, made: int) -> int:
    """Examples as token ids: {"train", "made", "check"} lists of {lesson, prompt, answer}, "refusal" ids, gzipped."""
    from evaluation.suites import read_suite
    from rag.build import build_pipeline, model_file, open_documents
    from rag.settings import load
    from tuning.examples import Example, Labelled, build
    from tuning.rendering import render
    from tuning.suites import Deal, beside, deal

    settings = load()
    settings = settings.model_copy(
        update={"model": settings.model.model_copy(update={"adapter": "none", "adapters": {}})}
    )
    deals: dict[str, Deal] = {}
    for name, check in SUITES.items():
        suite, _ = read_suite(suites / name)
        tasks = [task for task in TASKS if task in {question.task for question in suite.used()}]
        deals[name.replace("_", "-")] = deal(
            suite, report=REPORT, report_seed=0, check=check, seed=DEAL_SEED, tasks=tasks
        )
    first = next(iter(deals))
    more = beside(deals[first], open_documents(settings, first), limit=made, seed=0)
    pipeline = build_pipeline(settings)
    found: dict[str, list[Example]] = {"train": [], "made": [], "check": []}

    def add(part: str, domain: str, asked: Sequence[Labelled], hidden: frozenset[str]) -> None:
        task = bar.add_task(f"{part}, {domain}", total=len(asked))
        found[part] += build(
            pipeline, domain, asked, seed=0, hidden=hidden,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip

    try:
        with Progress() as bar:
            for domain, dealt in deals.items():
                add("train", domain, dealt.train, dealt.hidden)
                add("check", domain, dealt.check, frozenset())
            add("made", first, more.train, more.hidden)
    finally:
        pipeline.close()
    file = model_file(settings)
    rows: dict[str, Any] = {}
    for part, examples in found.items():
        rows[part] = [
            {"lesson": lesson, "prompt": prompt, "answer": answer}
            for lesson in LESSONS
            for prompt, answer in render(
                [example for example in examples if example.lesson == lesson],
                file.path,
                file.template,
                longest=LONGEST,
            )
        ]
    rows["refusal"] = next(row["answer"] for row in rows["check"] if row["lesson"] == "refusal")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(gzip.compress(json.dumps(rows).encode()))
    print({part: len(some) for part, some in rows.items()}, file=sys.stderr)
    return 0


def sweep(data: Path, base: Path, out: Path, names: Sequence[str], workers: int) -> list[dict[str, Any]]:
    """Train and score the named trials, several at once; their adapters go to <out>/<name>.gguf."""
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with Progress() as bar, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        task = bar.add_task("trials", total=len(names))
        waiting = [pool.submit(tried, data, base, out, name) for name in names]
        for done in as_completed(waiting):
            rows.append(done.result())
            bar.advance(task)
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # what is cut off later has told so far
    return sorted(rows, key=lambda row: names.index(row["trial"]))


def tried(data: Path, base: Path, out: Path, name: str) -> dict[str, Any]:
    """One trial, trained and scored; its adapter stays."""
    rows = json.loads(gzip.decompress(data.read_bytes()))
    trial = TRIALS[name]
    recipe = trial.recipe
    learned: list[Tokens] = [
        (row["prompt"], row["answer"]) for part in ("train", *(["made"] if trial.made else [])) for row in rows[part]
    ]
    began = time.monotonic()
    place = out / name.replace(",", "").replace(" ", "-")
    trained = train(base, learned, recipe, checkpoint=place.with_suffix(".pt"))
    seconds = time.monotonic() - began
    gguf_adapter.write(
        place.with_suffix(".gguf"), trained.pairs, architecture=trained.architecture, alpha=recipe.alpha,
        heads=trained.heads, kv_heads=trained.kv_heads, name=name, licence="",
    )  # fmt: skip
    place.with_suffix(".pt").unlink()
    return {
        "trial": name,
        "device": hardware_of(device_of()) or "cpu",
        "recipe": asdict(recipe),
        "examples": len(learned),
        "seconds": seconds,
        "loss": float(np.mean(trained.losses[-20:])),
        "losses": [round(loss, 3) for loss in trained.losses],
        **score(base, trained, recipe, rows["check"], rows["refusal"]),
    }


def score(
    base: Path, trained: Trained, recipe: Recipe, check: Sequence[dict[str, Any]], refusal: list[int]
) -> dict[str, Any]:
    """Of each lesson: examples, nats a token, share written whole if the likeliest token is taken at every step.

    "refusing": the chance that a prompt to be refused has a likelier refusal than one that holds its answer (AUC).
    """
    from transformers import AutoModelForCausalLM

    device = device_of()
    model = AutoModelForCausalLM.from_pretrained(base.parent, gguf_file=base.name, dtype=torch.float32)
    with torch.no_grad():
        for (layer, projection), (a, b) in trained.pairs.items():
            block = model.model.layers[layer]
            part = getattr(block.self_attn if "attn" in gguf_adapter.TENSORS[projection] else block.mlp, projection)
            part.weight += recipe.alpha / recipe.rank * torch.from_numpy(b @ a)
        model.to(device).eval()
        found = [_written(model, row["prompt"], row["answer"], device) for row in check]
        refused = {
            lesson: [_written(model, row["prompt"], refusal, device)[0] for row in check if row["lesson"] == lesson]
            for lesson in ("span", "refusal")
        }
    by_lesson = {
        lesson: [one for one, row in zip(found, check, strict=True) if row["lesson"] == lesson] for lesson in LESSONS
    }
    pairs = np.subtract.outer(np.array(refused["refusal"]), np.array(refused["span"]))
    return {
        **{
            lesson: {
                "n": len(some),
                "nats": float(np.mean([-one[0] / one[2] for one in some])),
                "whole": float(np.mean([one[1] for one in some])),
            }
            for lesson, some in by_lesson.items()
            if some
        },
        "refusing": float(np.mean((pairs > 0) + 0.5 * (pairs == 0))),
    }


def _written(model: Any, prompt: list[int], answer: list[int], device: str) -> tuple[float, bool, int]:
    """Log-probability of an answer in nats, whether each of its tokens is the likeliest, and how many there are."""
    ids = torch.tensor([prompt + answer], device=device)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(answer) + 1).logits[0, :-1].float()
    wanted = ids[0, len(prompt) :]
    logs = torch.log_softmax(logits, -1)[torch.arange(len(answer)), wanted.to(logits.device)]
    return float(logs.sum()), bool((logits.argmax(-1) == wanted).all()), len(answer)


def main() -> int:
    """The command line; exit status 0, or an error that ends it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="make the examples")
    writing.add_argument("--suites", type=Path, required=True)
    writing.add_argument("--out", type=Path, required=True)
    writing.add_argument("--made", type=int, default=1000, help="questions made from the first suite's documents")
    sweeping = commands.add_parser("sweep", help="train and score")
    sweeping.add_argument("data", type=Path)
    sweeping.add_argument("--base", type=Path, required=True, help="the GGUF to tune")
    sweeping.add_argument("--out", type=Path, required=True, help="folder of the adapters")
    sweeping.add_argument("--only", nargs="+", choices=tuple(TRIALS), default=list(TRIALS))
    sweeping.add_argument("--workers", type=int, default=1, help="trials at once; more than one pays on a GPU alone")
    sweeping.add_argument("--json", action="store_true", help="print JSON in place of a table")
    given = parser.parse_args()
    if given.command == "write":
        return write(given.suites, given.out, given.made)
    rows = sweep(given.data, given.base, given.out, given.only, given.workers)
    if given.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        lessons = " · ".join(
            f"{lesson} {row[lesson]['whole']:.1%} ({row[lesson]['nats']:.2f})" for lesson in LESSONS if lesson in row
        )
        print(f"{row['trial']:34} {row['seconds']:5.0f} s · loss {row['loss']:.2f} · {lessons} · {row['refusing']:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
