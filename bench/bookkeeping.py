"""What ingestion costs beside embedding: nothing changed in 10,000 files, one changed, and 10,000 chunks deleted.

Real files, the real embedded index and documents, vectors drawn at random by text: the figures are the bookkeeping
alone. Each is the median of three, from opening the domain to closing it; a process's start is not in it.

    python -m bench.bookkeeping [--documents 10000] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.machine import hardware
from ingest.corpus import open_corpus
from ingest.deleting import delete_domain
from ingest.opening import open_target
from ingest.removal import matching, remove
from ingest.run import apply
from ingest.target import Target
from ingest.verifying import verify
from rag.protocols import Tokenized, Vectors
from rag.settings import DataSettings, Settings

TURNS = 3
PARTS = 10
"""Chunks of each document that is deleted."""

MUST_UNCHANGED, AIM_UNCHANGED, MUST_CHANGED, MUST_DELETED = 5.0, 2.0, 2.0, 1.0
"""Seconds."""


class Synthetic:
    """A unit vector drawn at random for each text, the same for the same text."""

    dimensions = 384
    name = "synthetic"
    weights_sha256 = fingerprint = "0" * 64

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, 384) float32."""
        rows = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(self.dimensions) for text in texts]
        drawn = np.array(rows, np.float32).reshape(-1, self.dimensions)
        unit: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return unit

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """By their letters."""
        return [Tokenized(text, len(text)) for text in texts]

    def embed_parts(self, texts: Sequence[Tokenized]) -> Iterator[tuple[Sequence[int], Vectors]]:
        """By `embed`."""
        yield range(len(texts)), self.embed([item.text for item in texts])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """About a token for four characters."""
        return [len(text) // 4 for text in texts]

    def close(self) -> None:
        """Nothing to release."""


@contextmanager
def opened(settings: Settings, domain: str) -> Iterator[Target]:
    """The domain, open for writing."""
    with closing(open_target(settings, domain, Synthetic(), create=True)) as target:
        yield target


def bring_in(settings: Settings, domain: str, source: Path) -> int:
    """Apply a corpus; the chunks that were embedded."""
    with opened(settings, domain) as target:
        return apply(open_corpus(source), target).chunks


def timed(act: Callable[[], Any]) -> float:
    """Seconds."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def unchanged_and_changed(folder: Path, settings: Settings, documents: int) -> dict[str, float]:
    """A folder of files of one chunk each: applied again as it is, and with one file written anew."""
    source = folder / "files"
    for number in range(documents):
        path = source / f"{number // 500:03}" / f"{number:06}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Valve {number}\n\nValve {number} opens at {number % 97} bar.\n", "utf-8")
    result = {"first": timed(lambda: bring_in(settings, "files", source))}
    result["unchanged"] = statistics.median(timed(lambda: bring_in(settings, "files", source)) for _ in range(TURNS))
    turns = []
    for turn in range(TURNS):
        path.write_text(f"# Valve {documents}\n\nIt was replaced {turn + 1} times.\n", "utf-8")
        turns.append(timed(lambda: bring_in(settings, "files", source)))
    result["changed"] = statistics.median(turns)
    check(settings, "files", documents)
    return result


def deleted(folder: Path, settings: Settings, chunks: int) -> dict[str, float]:
    """So many of a domain's chunks deleted by id and by a filter, and then the whole domain."""
    gone = chunks // PARTS
    documents = gone + gone * 9 // 10  # below 20,000 chunks, from where the index builds a graph
    rows = [
        {
            "doc_id": f"d{number}",
            "title": f"Line {number}",
            "gone": number < gone,
            "text": "\n\n".join(f"## Part {part}\n\nPart {part} of line {number} is checked." for part in range(PARTS)),
        }
        for number in range(documents)
    ]
    source = folder / "rows.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    result: dict[str, float] = {}

    def by(choose: Callable[[Target], list[str]]) -> float:
        turns = []
        for _ in range(TURNS):
            bring_in(settings, "rows", source)
            begin = time.perf_counter()
            with opened(settings, "rows") as target:
                done = remove(target, choose(target))
            turns.append(time.perf_counter() - begin)
            if done.chunks != chunks:
                raise SystemExit(f"{done.chunks} chunks were deleted, not {chunks}")
            check(settings, "rows", documents - gone)
        return statistics.median(turns)

    result["delete_documents"] = by(lambda _: [f"d{number}" for number in range(gone)])
    result["delete_filter"] = by(lambda target: matching(target, {"gone": "true"}))
    turns = []
    for _ in range(TURNS):
        bring_in(settings, "rows", source)
        turns.append(timed(lambda: delete_domain(settings, "rows")))
    result["delete_domain"] = statistics.median(turns)
    return result


def check(settings: Settings, domain: str, documents: int) -> None:
    """End where a domain is not what it should be."""
    with opened(settings, domain) as target:
        problems = verify(target) if documents < 5000 else []  # it reads every document
        held, stored = target.index.count(), target.store.counts()
    if problems or stored != (documents, held):
        raise SystemExit(f"{domain}: {stored} stored, {held} in the index, {problems[:3]}")


def main() -> int:
    """Print the table, or JSON; exit status 1 when a must is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(data=DataSettings(directory=folder / "data"))
        result = unchanged_and_changed(folder, settings, arguments.documents)
        result |= deleted(folder, settings, arguments.documents)
    if arguments.json:
        print(json.dumps({**result, "documents": arguments.documents, "hardware": hardware()}, indent=1))
    else:
        show(result, arguments.documents)
    limits = [("unchanged", MUST_UNCHANGED), ("changed", MUST_CHANGED)]
    limits += [(name, MUST_DELETED) for name in result if name.startswith("delete")]
    return 0 if all(result[name] <= limit for name, limit in limits) else 1


def show(result: dict[str, float], count: int) -> None:
    """A table for people."""
    whole = count * 19 // 10
    print(f"bookkeeping, synthetic vectors, {hardware()}")
    rows = [
        (f"{count:,} new files", "first", ""),
        (f"nothing changed in {count:,} files", "unchanged", f"must {MUST_UNCHANGED:g}, aim {AIM_UNCHANGED:g}"),
        (f"one changed of {count:,} files", "changed", f"must {MUST_CHANGED:g}"),
        (f"{count:,} of {whole:,} chunks deleted by document", "delete_documents", f"must {MUST_DELETED:g}"),
        (f"{count:,} of {whole:,} chunks deleted by filter", "delete_filter", f"must {MUST_DELETED:g}"),
        (f"a domain of {whole:,} chunks deleted", "delete_domain", f"must {MUST_DELETED:g}"),
    ]
    for told, name, limit in rows:
        print(f"  {told:<45} {result[name]:7.2f} s  {limit}")


if __name__ == "__main__":
    raise SystemExit(main())
