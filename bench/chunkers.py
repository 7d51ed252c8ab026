"""Chunkers side by side: the same documents, embedder, index and questions, cut in other ways.

They are those of `ingest`, which splits prose by `sections`: whole sentences and rows of one section, with the path of
its headings. `tokens` packs paragraphs, then sentences, then words up to the same size, headings or not. `window` is
some sentences, the last two of them again in the next chunk. `rows` splits tables apart, and is `sections` elsewhere.
Chunks count for their document, at its best chunk's rank.

    python -m bench.chunkers --suites DIR [--suite NAME ...] [--documents 4000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from bench.remembered import Memory, RememberedEmbedder
from bench.retrieval import cell, interval, score
from evaluation.machine import hardware
from ingest.chunkers import CHUNKERS, Chunker, chunks_of
from ingest.corpus import Found, open_corpus
from ingest.embedding import Ready
from ingest.progress import Meter
from ingest.target import Target
from ingest.writing import write
from rag.build import open_catalog, open_embedder, open_index
from rag.settings import DataSettings, Settings
from rag.types import Document, Filter, RetrievalMode

SUITES = ("nq_evouna", "ctibench_mcq", "mirage_pubmed", "financebench")
COMPARED = ("sections", "tokens", "window", "rows")
DEPTH = 50


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--suite", action="append", choices=SUITES)
    parser.add_argument("--documents", type=int, default=4000, help="those with answers, and others drawn by seed")
    parser.add_argument("--memory", type=Path, default=Path(".cache/chunkers.sqlite"), help="vectors, kept")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    memory = Memory(arguments.memory)
    results = [
        measure(Path(arguments.suites) / name, arguments.documents, memory) for name in arguments.suite or SUITES[:3]
    ]
    memory.close()
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "suites": results}, indent=1))
        return 0
    print(f"Chunkers: share of questions with a gold document in the first k, in % [95% interval] · {hardware()}")
    for result in results:
        print(f"\n{result['suite']}: {result['questions']} questions, {result['documents']} documents")
        print(f"  {'chunker':10} {'chunks':>8} {'hit@1':>20} {'hit@5':>20} {'nDCG@10':>20}")
        for name, row in result["chunkers"].items():
            cells = " ".join(f"{cell(row[measured]):>20}" for measured in ("hit@1", "hit@5", "ndcg@10"))
            print(f"  {name:10} {row['chunks']:8} {cells}")
    return 0


def measure(folder: Path, most: int, memory: Memory) -> dict[str, Any]:
    """Every chunker over one suite."""
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]
    asked = [row for row in rows if row["gold_doc_ids"] and row.get("use", "answerable") == "answerable"]
    gold = {document for row in asked for document in row["gold_doc_ids"]}
    documents = [item.read() for item in open_corpus(folder).documents() if isinstance(item, Found)]
    others = [document for document in documents if document.id not in gold]
    drawn = random.Random(0).sample(others, min(len(others), max(0, most - len(gold))))
    chosen = [document for document in documents if document.id in gold] + drawn
    chunkers = {name: _asked(CHUNKERS[name], chosen, asked, memory) for name in COMPARED}
    return {"suite": folder.name, "questions": len(asked), "documents": len(chosen), "chunkers": chunkers}


def _asked(chunker: Chunker, documents: list[Document], asked: list[dict[str, Any]], memory: Memory) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=DataSettings(directory=Path(folder)))
        embedder = RememberedEmbedder(open_embedder(settings), memory)
        target = Target(
            chunker.name,
            catalog=open_catalog(settings),
            embedder=embedder,
            open_index=lambda generation, make: open_index(settings, generation, create=make),
            backend="edge",
            create=True,
        )
        shown = track(documents, description=f"embed {chunker.name}", transient=True)
        ready = (Ready(document, chunker.fingerprint, chunks_of(document, chunker)) for document in shown)
        write(ready, target, Meter({}, None))
        vectors = embedder.embed([row["question"] for row in asked])
        scores = np.empty((len(asked), 3))
        for i, row in enumerate(asked):
            found = target.index.search(
                vector=vectors[i], text=row["question"], limit=DEPTH, mode=RetrievalMode.HYBRID, filter=Filter()
            )
            ranked = list(dict.fromkeys(passage.document_id for passage in found))
            scores[i] = score(ranked, set(row["gold_doc_ids"]))
        chunks = target.index.count()
        target.close()
        embedder.close()
    named = {name: interval(scores[:, column]) for column, name in enumerate(("hit@1", "hit@5", "ndcg@10"))}
    return {"chunks": chunks, **named}


if __name__ == "__main__":
    sys.exit(main())
