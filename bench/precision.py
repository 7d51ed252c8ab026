"""What the embedder's fast arithmetic costs: recall@10 against float32, on the same passages and questions.

The default runs in OpenVINO, in bfloat16 where the processor has it; torch runs the same weights in float32. Recall is
the share of the ten nearest passages by float32 that are among the ten nearest by the other.

    python -m bench.precision --suites DIR [--suite nq_evouna] [--documents N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.progress import track

from evaluation.machine import hardware
from ingest.chunkers import chunks_of
from ingest.corpus import Found, open_corpus
from ingest.embedding import embedded_text
from rag.build import open_embedder
from rag.settings import Settings, load

if TYPE_CHECKING:
    from rag.protocols import Vectors

NEAREST = 10
GROUP = 256
MUST = 0.99


def main() -> int:
    """Print the figures, or JSON; exit status 1 where the must is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--suite", default="nq_evouna", help="whose corpus and questions")
    parser.add_argument("--documents", type=int, default=0, help="the first N documents; 0: all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    folder = Path(arguments.suites) / arguments.suite
    result = {"suite": folder.name, **measure(folder, arguments.documents, load()), "hardware": hardware()}
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        print(
            f"{result['suite']}: {result['passages']} passages, {result['questions']} questions · {result['hardware']}"
        )
        print(f"  recall@{NEAREST} against float32: {result['recall@10']:.4f}  (must {MUST})")
        print(f"  smallest cosine of a vector with its float32 self: {result['least cosine']:.5f}")
        print(f"  passages/s: {result['passages/s']} in float32 {result['float32 passages/s']}")
    return 0 if result["recall@10"] >= MUST else 1


def measure(folder: Path, documents: int, settings: Settings) -> dict[str, Any]:
    """Embed everything twice and compare."""
    found = [item.read() for item in open_corpus(folder).documents() if isinstance(item, Found)]
    texts = [embedded_text(document, chunk) for document in found[: documents or None] for chunk in chunks_of(document)]
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]
    questions = [row["question"] for row in rows]
    fast, fast_rate = _embedded(settings, "openvino", texts, questions)
    whole, whole_rate = _embedded(settings, "torch", texts, questions)
    return {
        "passages": len(texts),
        "questions": len(questions),
        "recall@10": recall(whole, fast, asked=len(questions)),
        "least cosine": float(np.einsum("ij,ij->i", whole, fast).min()),
        "passages/s": round(fast_rate, 1),
        "float32 passages/s": round(whole_rate, 1),
    }


def recall(whole: Vectors, other: Vectors, *, asked: int) -> float:
    """Share of the nearest that both know; (n, d) rows, the first `asked` of them questions, the rest passages."""
    shared = 0
    for start in range(0, asked, GROUP):
        pair = [rows[start : min(start + GROUP, asked)] @ rows[asked:].T for rows in (whole, other)]
        near = [np.argpartition(-scores, NEAREST - 1, axis=1)[:, :NEAREST].tolist() for scores in pair]
        shared += sum(len(set(a) & set(b)) for a, b in zip(*near, strict=True))
    return round(shared / (NEAREST * asked), 4)


def _embedded(
    settings: Settings, backend: Literal["openvino", "torch"], texts: list[str], questions: list[str]
) -> tuple[Vectors, float]:
    """(questions + texts, d) float32 unit rows, and passages a second."""
    changed = settings.embedder.model_copy(update={"backend": backend})
    embedder = open_embedder(settings.model_copy(update={"embedder": changed}))
    asked = embedder.embed(questions)
    groups = track(range(0, len(texts), GROUP), backend, transient=True, disable=not sys.stderr.isatty())
    begin = time.perf_counter()
    rows = [embedder.embed(texts[start : start + GROUP]) for start in groups]
    seconds = time.perf_counter() - begin
    embedder.close()
    return np.concatenate([asked, *rows]), len(texts) / seconds


if __name__ == "__main__":
    sys.exit(main())
