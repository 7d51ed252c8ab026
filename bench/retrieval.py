"""Retrieval over real corpora: hit@1, hit@5 and nDCG@10 of each mode, with intervals, through the real index.

Each suite is ingested into a domain of a data directory of its own (kept, so that a second run embeds nothing),
and every question that has a gold document is searched in every mode. Chunks count for their document, at its
best chunk's rank. Options of a question are hidden from the retriever.

    python -m bench.retrieval --suites DIR [--data DIR] [--suite NAME ...] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from evaluation.machine import hardware
from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import Target
from rag.build import open_catalog, open_embedder, open_index
from rag.settings import DataSettings, Settings
from rag.types import Filter, RetrievalMode

SUITES = ("nq_evouna", "ctibench_mcq", "mirage_pubmed")
MODES = (RetrievalMode.DENSE, RetrievalMode.BM25, RetrievalMode.RRF, RetrievalMode.HYBRID)
DEPTH = 50
RESAMPLES = 2000


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--data", type=Path, default=Path(".cache/bench"), help="where the domains are kept")
    parser.add_argument("--suite", action="append", choices=SUITES)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    settings = Settings(data=DataSettings(directory=arguments.data))
    results = [measure(settings, Path(arguments.suites) / name) for name in arguments.suite or SUITES]
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "suites": results}, indent=1))
        return 0
    print(f"Retrieval: share of questions with a gold document in the first k, in % [95% interval] · {hardware()}")
    for result in results:
        print(f"\n{result['suite']}: {result['questions']} questions, {result['chunks']} chunks")
        print(f"  {'mode':8} {'hit@1':>20} {'hit@5':>20} {'nDCG@10':>20} {'ms p50':>8}")
        for mode, row in result["modes"].items():
            cells = " ".join(f"{cell(row[name]):>20}" for name in ("hit@1", "hit@5", "ndcg@10"))
            print(f"  {mode:8} {cells} {row['ms_p50']:8.2f}")
    return 0


def measure(settings: Settings, folder: Path) -> dict[str, Any]:
    """Every mode over one suite."""
    embedder = open_embedder(settings)
    corpus = open_corpus(folder)
    target = Target(
        folder.name.replace("_", "-"),
        catalog=open_catalog(settings),
        embedder=embedder,
        open_index=lambda generation, make: open_index(settings, generation, create=make),
        backend="edge",
        create=True,
    )
    apply(corpus, target)
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]
    asked = [row for row in rows if row["gold_doc_ids"] and row.get("use", "answerable") == "answerable"]
    vectors = embedder.embed([row["question"] for row in asked])
    modes: dict[str, Any] = {}
    for mode in MODES:
        scores = np.empty((len(asked), 3))
        times = []
        for i, row in enumerate(track(asked, description=f"{folder.name} {mode.value}", transient=True)):
            begin = time.perf_counter()
            found = target.index.search(
                vector=vectors[i], text=row["question"], limit=DEPTH, mode=mode, filter=Filter()
            )
            times.append(time.perf_counter() - begin)
            documents = list(dict.fromkeys(passage.document_id for passage in found))
            scores[i] = score(documents, set(row["gold_doc_ids"]))
        modes[mode.value] = {
            **{name: interval(scores[:, column]) for column, name in enumerate(("hit@1", "hit@5", "ndcg@10"))},
            "ms_p50": float(np.median(times) * 1000),
        }
    chunks = target.index.count()
    target.close()
    embedder.close()
    return {"suite": folder.name, "questions": len(asked), "chunks": chunks, "modes": modes}


def score(documents: list[str], gold: set[str]) -> tuple[float, float, float]:
    """(hit@1, hit@5, nDCG@10) of one ranking of documents."""
    gains = [document in gold for document in documents[:10]]
    discounts = 1 / np.log2(np.arange(2, 12))
    ideal = discounts[: min(10, len(gold))].sum()
    return float(any(gains[:1])), float(any(gains[:5])), float((discounts[: len(gains)] * gains).sum() / ideal)


def interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    """Mean and 95% bootstrap interval over questions, in %."""
    generator = np.random.default_rng(0)
    means = np.array([values[generator.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)])
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": 100 * float(values.mean()), "low": 100 * float(low), "high": 100 * float(high)}


def cell(value: dict[str, float]) -> str:
    """A mean with its interval, to be read."""
    return f"{value['mean']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


if __name__ == "__main__":
    sys.exit(main())
