"""The embedded index at 10,000, 100,000 and 1,000,000 chunks: writing, searching, recall, memory, disk, start.

Each size is a process of its own. Vectors are drawn around topics on a curved surface of few dimensions, as an
embedder's are, because a graph search in even noise says nothing about text; words are drawn by Zipf's law. A search
is what the pipeline does: dense and BM25, fused, eight passages, three of four with a filter (a tenth of the chunks, a
hundredth, one document). Recall is that of the dense ranking against every vector compared.

    python -m bench.scale [--sizes 10000 100000 1000000] [--queries 300] [--folder DIR] [--json] [--plot FILE.svg]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.progress import track

from bench.serving.plots import STYLE
from bench.serving.results import percentile, show
from evaluation.machine import hardware
from rag.adapters.edge_index import EdgeIndex
from rag.protocols import EVERYTHING, IndexedChunk, Vectors
from rag.types import Chunk, Condition, FieldType, Filter, RetrievalMode

DIMENSIONS, SURFACE, TOPICS = 384, 40, 500
WORDS, VOCABULARY, ASKED = 100, 50_000, 9
"""Words of a chunk, words that there are, and words of a question."""
PARTS = 20
"""Chunks of a document."""
BATCH = 1000
FIELDS = {"team": FieldType.KEYWORD, "year": FieldType.INTEGER}
TEAMS, YEARS = 10, 10
MUST = {10_000: 5.0, 100_000: 10.0, 1_000_000: 30.0}
AIM = {10_000: 2.0, 100_000: 4.0, 1_000_000: 12.0}
"""Milliseconds of the 95th percentile."""
MUST_RECALL = 0.98

Row = dict[str, Any]


class Drawn:
    """Chunks and questions by number: the same for the same seed, made in batches, never all in memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        chance = np.random.default_rng(0)
        self._topics = chance.standard_normal((TOPICS, SURFACE)).astype(np.float32)
        self._into = chance.standard_normal((SURFACE, DIMENSIONS)).astype(np.float32) / SURFACE**0.5
        odds = 1.0 / np.arange(1, VOCABULARY + 1)
        self._odds = np.cumsum(odds / odds.sum())
        letters = np.random.default_rng(1).integers(97, 123, (VOCABULARY, 7), np.uint8)
        self._words = [bytes(row).decode() for row in letters]

    def vectors(self, batch: int) -> Vectors:
        """(n, d) float32 unit rows of a batch."""
        chance = np.random.default_rng((2, batch))
        return self._placed(chance, min(BATCH, self.size - batch * BATCH))

    def _placed(self, chance: np.random.Generator, count: int) -> Vectors:
        near = self._topics[chance.integers(0, TOPICS, count)]
        at = near + 0.7 * chance.standard_normal((count, SURFACE)).astype(np.float32)
        rows = np.tanh(at @ self._into) + 0.05 * chance.standard_normal((count, DIMENSIONS)).astype(np.float32)
        unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def _text(self, chance: np.random.Generator, words: int) -> str:
        return " ".join(self._words[i] for i in np.searchsorted(self._odds, chance.random(words)))

    def chunks(self) -> Iterator[list[IndexedChunk]]:
        """All chunks, in batches."""
        for batch in range(-(-self.size // BATCH)):
            chance = np.random.default_rng((3, batch))
            yield [
                self._chunk(batch * BATCH + place, self._text(chance, WORDS), vector)
                for place, vector in enumerate(self.vectors(batch))
            ]

    def _chunk(self, number: int, text: str, vector: Vectors) -> IndexedChunk:
        document = number // PARTS
        start = number % PARTS * len(text)
        return IndexedChunk(
            id=str(uuid.UUID(int=number + 1)),
            document_id=f"doc-{document}",
            title=f"Document {document}",
            text_sha256="0" * 64,
            chunk=Chunk(start=start, end=start + len(text), text=text, heading=""),
            metadata={"team": f"team-{document % TEAMS}", "year": 2015 + document // TEAMS % YEARS},
            vector=vector,
        )

    def questions(self, count: int) -> Iterator[tuple[Vectors, str, Filter]]:
        """Vector, words and filter of each question."""
        chance = np.random.default_rng(4)
        for number, vector in enumerate(self._placed(chance, count)):
            yield vector, self._text(chance, ASKED), self._filter(number, chance)

    def _filter(self, number: int, chance: np.random.Generator) -> Filter:
        team = Condition(field="team", equals=f"team-{chance.integers(TEAMS)}")
        year = Condition(field="year", equals=int(2015 + chance.integers(YEARS)))
        document = f"doc-{chance.integers(max(1, self.size // PARTS))}"
        return (EVERYTHING, Filter(conditions=(team,)), Filter(conditions=(team, year)), Filter(documents=(document,)))[
            number % 4
        ]


def main() -> int:
    """Print the table, or JSON; the exit status is 1 where a must is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(MUST))
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="where the indexes are kept, so that a second run only asks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, help="draw the curves into this file")
    arguments = parser.parse_args()
    rows = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        for size in arguments.sizes:
            with kept(arguments.folder, size) as folder:
                record = folder / "written.json"
                if not record.is_file():
                    row = processes.submit(written, size, str(folder / "index")).result()
                    record.write_text(json.dumps(row), "utf-8")
                row = json.loads(record.read_text("utf-8"))
                rows.append(row | processes.submit(asked, size, str(folder / "index"), arguments.queries).result())
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "sizes": rows}, indent=1))
    else:
        show(f"Embedded index · {hardware()}", rows)
    if arguments.plot:
        plot(rows, arguments.plot)
    return 0 if all(held(row) for row in rows) else 1


@contextmanager
def kept(folder: Path | None, size: int) -> Iterator[Path]:
    """Where the index of a size is: in a folder that is kept, or in one that goes. A million chunks take some 7 GB."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="scale-") as name:
            yield Path(name)
    else:
        (folder / str(size)).mkdir(parents=True, exist_ok=True)
        yield folder / str(size)


def held(row: Row) -> bool:
    """Whether a size keeps every must."""
    most = min((must for size, must in MUST.items() if size >= row["chunks"]), default=max(MUST.values()))
    return bool(row["p95 ms"] <= most and row["recall@10"] >= MUST_RECALL)


def written(size: int, folder: str) -> Row:
    """Seconds of writing and of building the graph, and what is on the disk."""
    drawn = Drawn(size)
    writing = 0.0
    index = EdgeIndex(Path(folder), dimensions=DIMENSIONS, fields=FIELDS, create=True)
    for chunks in track(drawn.chunks(), f"{size:,} chunks", total=-(-size // BATCH), disable=not sys.stderr.isatty()):
        begin = time.perf_counter()
        index.upsert(chunks)
        writing += time.perf_counter() - begin
    begin = time.perf_counter()
    index.optimize()
    building = time.perf_counter() - begin
    index.close()
    blocks = sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*"))
    return {
        "chunks": size,
        "written/s": round(size / writing),
        "graph s": round(building, 1),
        "written/s with graph": round(size / (writing + building)),
        "disk MB": round(blocks / 1e6),
        "peak MB": _peak(),
    }


def asked(size: int, folder: str, queries: int) -> Row:
    """Seconds to open, milliseconds of a search, recall, memory: in a fresh process, as a service is after a start."""
    drawn = Drawn(size)
    before = _resident()
    begin = time.perf_counter()
    index = EdgeIndex(Path(folder), dimensions=DIMENSIONS, fields=FIELDS, create=False)
    start = time.perf_counter() - begin
    questions = list(drawn.questions(queries))
    for vector, text, chosen in questions[:20]:
        index.search(vector=vector, text=text, limit=8, filter=chosen)
    seconds: list[list[float]] = [[], [], [], []]
    for number, (vector, text, chosen) in enumerate(questions):
        begin = time.perf_counter()
        index.search(vector=vector, text=text, limit=8, filter=chosen)
        seconds[number % 4].append(time.perf_counter() - begin)
    after = _resident()
    recall = _recall(index, drawn, [vector for vector, _, _ in questions[:100]])
    index.close()
    every = [1000 * value for values in seconds for value in values]
    kinds = dict(zip(("all", "tenth", "hundredth", "document"), seconds, strict=True))
    return {
        "start s": round(start, 2),
        "p50 ms": round(statistics.median(every), 2),
        "p95 ms": percentile(every, 0.95),
        **{f"p95 {kind}": percentile([1000 * value for value in values], 0.95) for kind, values in kinds.items()},
        "recall@10": recall,
        "MB": round(after - before),
    }


def _recall(index: EdgeIndex, drawn: Drawn, vectors: list[Vectors]) -> float:
    """Share of the ten nearest of all that the dense ranking finds."""
    asked_for = np.array(vectors)
    best = np.full((len(vectors), 10), -2.0, np.float32)
    names = np.zeros((len(vectors), 10), np.int64)
    for batch in range(-(-drawn.size // BATCH)):
        scores = asked_for @ drawn.vectors(batch).T
        both = np.concatenate([best, scores], axis=1)
        numbers = np.arange(batch * BATCH, batch * BATCH + scores.shape[1])
        ids = np.concatenate([names, np.broadcast_to(numbers, scores.shape)], axis=1)
        top = np.argpartition(-both, 9, axis=1)[:, :10]
        best, names = np.take_along_axis(both, top, axis=1), np.take_along_axis(ids, top, axis=1)
    found = 0
    for vector, wanted in zip(vectors, names.tolist(), strict=True):
        hits = index.search(vector=vector, text="", limit=10, mode=RetrievalMode.DENSE, filter=EVERYTHING)
        known = {(hit.document_id, hit.start // max(1, hit.end - hit.start)) for hit in hits}
        found += sum((f"doc-{number // PARTS}", number % PARTS) in known for number in wanted)
    return round(found / (10 * len(vectors)), 4)


def _resident() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def _peak() -> int:
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def plot(rows: list[Row], path: Path) -> None:
    """Milliseconds of a search, and chunks a second, by size."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib.figure import Figure

    sizes = [row["chunks"] for row in rows]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        search, write = figure.subplots(1, 2)
        for name in ("p50 ms", "p95 ms"):
            search.plot(sizes, [row[name] for row in rows], marker="o", label=name.removesuffix(" ms"))
        search.plot(list(MUST), list(MUST.values()), color="#999", linestyle=":", label="must (p95)")
        search.set(xscale="log", yscale="log", xlabel="chunks", ylabel="milliseconds of a filtered hybrid search")
        search.legend(frameon=False)
        for name in ("written/s", "written/s with graph"):
            write.plot(sizes, [row[name] for row in rows], marker="o", label=name)
        write.set(xscale="log", xlabel="chunks", ylabel="chunks a second", ylim=(0, None))
        write.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
