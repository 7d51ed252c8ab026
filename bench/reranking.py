"""What does a cross-encoder gain? One made from the embedder's weights, behind the setting that anyone's would stand.

None comes as a package, so one is trained here, in some ten minutes on two cores: the embedder's transformer with a
head of one score, on the questions that the shipped adapter learned from, a gold passage of each against wrong ones
that the search finds near (softmax over the list: Gao, Dai & Callan 2021, "Rethink Training of BERT Rerankers",
arXiv:2101.08751). Then the product's own adapter reorders the 24 best passages, on NQ questions kept for checking and
on CTIBench outside the report's sample; `bench.ablations --reranker DIR` tells what answers gain.

    python -m bench.reranking --suites DIR [--data DIR] [--out DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from bench.ablations import changed
from bench.contrastive import CTI, NQ, PASSAGES, TRAINED, Domain, named, outside, shown, table
from evaluation.machine import hardware
from evaluation.suites import Kind, SuiteQuestion
from rag.adapters.cross_encoder import CrossEncoder
from rag.adapters.embedding import DEFAULT_PACKAGE
from rag.build import adapter_cards, open_embedder
from rag.searching import reranked, reranker_text
from rag.settings import Settings, load
from rag.types import Passage

WRONG, BATCH, EPOCHS, RATE, MAX_TOKENS = 4, 8, 2, 5e-5, 192
"""Wrong passages of a question, questions of a step, rounds, AdamW's step, tokens of a pair that training reads."""


@dataclass(frozen=True)
class Lesson:
    """A question with texts that answer it and texts that do not."""

    question: str
    right: Sequence[str]
    wrong: Sequence[str]


def lesson(question: SuiteQuestion, near: Sequence[Passage], gold: Sequence[Passage]) -> Lesson:
    """Of what was found; a passage of another document that holds an answer is neither right nor wrong."""
    told = [answer.casefold() for answer in question.answers if question.kind is Kind.FREE]
    wrong = [
        passage
        for passage in near
        if passage.document_id not in question.gold_doc_ids and not any(a in passage.text.casefold() for a in told)
    ]
    return Lesson(question.question, [reranker_text(p) for p in gold], [reranker_text(p) for p in wrong])


def lists(lessons: Sequence[Lesson], seed: int) -> Iterator[list[tuple[str, str]]]:
    """For each lesson, in an order drawn by seed, pairs to be scored: a right one first, then WRONG others."""
    drawn = random.Random(seed)
    for taught in drawn.sample(lessons, len(lessons)):
        if taught.right and len(taught.wrong) >= WRONG:
            texts = [drawn.choice(taught.right), *drawn.sample(taught.wrong, WRONG)]
            yield [(taught.question, text) for text in texts]


def train(lessons: Sequence[Lesson], out: Path) -> list[float]:
    """Write a cross-encoder to a folder; the loss of every step, in nats."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    start = str(files(DEFAULT_PACKAGE) / "model")
    tokenizer = AutoTokenizer.from_pretrained(start)
    model = AutoModelForSequenceClassification.from_pretrained(start, num_labels=1)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    rows = [row for epoch in range(EPOCHS) for row in lists(lessons, epoch)]
    batches = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    losses = []
    for step, batch in enumerate(track(batches, description="training a cross-encoder")):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / (0.1 * len(batches))) * (1 - step / len(batches))
        questions, texts = zip(*(pair for row in batch for pair in row), strict=True)
        read = tokenizer(
            list(questions), list(texts), truncation="only_second", max_length=MAX_TOKENS, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        scores = model(**read).logits.view(len(batch), 1 + WRONG)
        loss = torch.nn.functional.cross_entropy(scores, torch.zeros(len(batch), dtype=torch.long))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has none
        optimiser.step()
        losses.append(float(loss))
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return losses


def measure(settings: Settings, suites: Path, out: Path) -> dict[str, Any]:
    """Train, unless `out` holds a cross-encoder; then reorder, with the time of the settings and with all it takes."""
    cards = adapter_cards(settings)
    trained = frozenset(known for card in cards for known in card.trained)
    checked = named(suites / NQ, frozenset(known for card in cards for known in card.checked))
    embedder = open_embedder(settings)
    domains: dict[str, Domain] = {}
    limits = settings.retrieval
    found: dict[str, Any] = {"losses": []}
    try:
        domains |= {name: Domain(settings, name, embedder) for name in (*TRAINED, CTI)}
        if not (out / "config.json").is_file():
            learned = [(domains[name], q) for name in TRAINED for q in named(suites / name, trained)]
            lessons = [
                lesson(q, domain.search(q, limit=limits.rerank_candidates), domain.search(q, gold=True))
                for domain, q in track(learned, "reading", transient=True)
            ]
            found["losses"] = train(lessons, out)
        for time_name, milliseconds in (("in time", limits.rerank_milliseconds), ("without end", 1e9)):
            reranker = CrossEncoder(str(out), milliseconds=milliseconds, offline=True)
            for name, asked in ((NQ, checked), (CTI, outside(suites / CTI))):
                pairs, seconds = [], []
                for question in track(asked, f"{name}, {time_name}", transient=True):
                    before = domains[name].search(question, limit=limits.rerank_candidates)
                    begin = time.monotonic()
                    after = reranked(question.question, before, reranker)
                    seconds.append(time.monotonic() - begin)
                    pairs.append((_hits(question, after), _hits(question, before)))
                rows = table([q.cluster for q in asked], pairs, PASSAGES)
                found[f"{name}, {time_name}"] = {"rows": rows, "p50 s": float(np.median(seconds))}
    finally:
        for domain in domains.values():
            domain.close()
        embedder.close()
    return found


def _hits(question: SuiteQuestion, found: Sequence[Passage]) -> list[bool]:
    right = [passage.document_id in question.gold_doc_ids for passage in found]
    return [any(right[:k]) for k in PASSAGES]


def main() -> int:
    """Print the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--data", type=Path, default=Path(".cache/bench"), help="where bench.retrieval ingested them")
    parser.add_argument("--out", type=Path, default=Path(".cache/cross-encoder"), help="the cross-encoder, kept")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    settings = changed(load(), {"data": {"directory": arguments.data}})
    results = measure(settings, Path(arguments.suites), arguments.out)
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "results": results}, indent=1))
        return 0
    losses = results.pop("losses")
    print(
        f"A gold document within the first k, in %: as found → reordered, the difference in points [95%] · {hardware()}"
    )
    if losses:
        print(f"loss of the first ten steps {np.mean(losses[:10]):.2f}, of the last {np.mean(losses[-10:]):.2f} nats")
    for name, result in results.items():
        print(f"\n{name}: {result['p50 s']:.2f} s for half of the questions")
        for row in result["rows"]:
            print(f"  {shown(row)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
