"""Mutations of the zoo's files, read in the limited process: does a reader crash, hang, or give what cannot be stored?

Each format gets its share of the time. A mutation cuts, repeats, swaps or overwrites bytes; in a zip also those of one
unpacked part, so that what is behind the checksums is reached. What a reader did not survive is kept under --keep.

    python -m bench.fuzz_readers [--minutes 10] [--suffix .pdf ...] [--seed 0] [--keep DIR] [--json]
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from evaluation.machine import hardware
from ingest.chunkers import chunks_of
from ingest.corpus import Found, Unreadable, open_corpus
from ingest.reading_process import ReadingProcess
from rag.errors import UnreadableDocument
from rag.types import Document
from tests.fakes import zoo

SECONDS, MEGABYTES = 20.0, 1024
"""For one file; so much of both is what a mutation may take without being a finding."""
MAX_BYTES = 300_000
"""Of a file that is mutated: larger ones cost time and find nothing more."""
KEPT = 100
"""Findings of a kind that are kept of each format."""
MAX_UNPACKED_BYTES = 2_000_000
"""Of an archive one of whose parts is mutated."""
TOKENS = [
    b"\x00",
    b"\xff\xff\xff\xff",
    b"<" * 200,
    b"(" * 200,
    b"[" * 500,
    b"99999999999",
    b"-1",
    b"%s",
    b"]]>",
    b"\n\n",
]


def main() -> int:
    """Print what became of the mutations; the exit status is 1 where a reader did not survive one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each format")
    parser.add_argument("--suffix", action="append", choices=sorted(zoo.samples()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(".cache/fuzz"), help="where findings are kept")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [
        fuzz(suffix, 60 * arguments.minutes, arguments.seed, arguments.keep)
        for suffix in arguments.suffix or zoo.samples()
    ]
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "formats": rows}, indent=1))
    else:
        print(f"Readers fuzzed · {hardware()}")
        for row in rows:
            print("  ".join(f"{name} {value}" for name, value in row.items()))
    return 1 if any(row["crashed"] or row["hung"] or row["wrong"] for row in rows) else 0


def fuzz(suffix: str, seconds: float, seed: int, keep: Path) -> dict[str, Any]:
    """What became of the mutations of one format."""
    dice = random.Random(f"{seed}{suffix}")
    stock = [data for name, data in zoo.files() if name.endswith(suffix) and 0 < len(data) < MAX_BYTES]
    stock.insert(0, zoo.samples()[suffix])
    became: Counter[str] = Counter()
    slowest, begin = 0.0, time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ReadingProcess(seconds=SECONDS, megabytes=MEGABYTES)) as reading,
    ):
        path = Path(folder) / f"a{suffix}"
        while time.monotonic() - begin < seconds:
            data = mutated(stock[0] if dice.random() < 0.5 else dice.choice(stock), dice, suffix)
            path.write_bytes(data)
            started = time.monotonic()
            outcome = outcome_of(path, reading)
            slowest = max(slowest, time.monotonic() - started)
            became[outcome] += 1
            if outcome in ("crashed", "hung", "wrong") and became[outcome] <= KEPT:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{outcome}-{became[outcome]}{suffix}").write_bytes(data)
            if not became.total() % 200:
                print(f"{suffix}: {became.total()} mutations", end="\r", file=sys.stderr)
    told = {name: became[name] for name in ("read", "refused", "memory", "crashed", "hung", "wrong")}
    return {"format": suffix, "mutations": became.total(), **told, "slowest s": round(slowest, 2)}


def mutated(data: bytes, dice: random.Random, suffix: str) -> bytes:
    """The bytes changed in some places; of an archive, half of the time, those of one of its parts."""
    if suffix in (".docx", ".pptx", ".xlsx", ".xlsb", ".ods", ".epub") and dice.random() < 0.7:
        return _within(data, dice)
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        _mutate(out, dice)
    return bytes(out)


def _within(data: bytes, dice: random.Random) -> bytes:
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            names = old.namelist()
            if len(names) > 500 or sum(part.file_size for part in old.infolist()) > MAX_UNPACKED_BYTES:
                return data[: dice.randrange(len(data))]
            chosen = dice.choice(names)
            for name in names:
                part = bytearray(old.read(name))
                if name == chosen:
                    for _ in range(dice.choice((1, 2, 8))):
                        _mutate(part, dice)
                new.writestr(name, bytes(part))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        return data[::-1]  # an animal of the zoo that no library opens
    return out.getvalue()


def _mutate(out: bytearray, dice: random.Random) -> None:
    if not out:
        out += dice.choice(TOKENS)
        return
    at = dice.randrange(len(out))
    size = min(dice.choice((1, 4, 16, 256, 4096)), len(out) - at)
    match dice.randrange(7):
        case 0:
            out[at] = dice.randrange(256)
        case 1:
            out[at] ^= 1 << dice.randrange(8)
        case 2:
            del out[at : at + size]
        case 3:
            out[at:at] = out[at : at + size] * dice.choice((1, 2, 50))
        case 4:
            out[at:at] = dice.choice(TOKENS) * dice.choice((1, 1, 100))
        case 5:
            other = dice.randrange(len(out))
            out[at : at + size] = out[other : other + size]
        case 6:
            out[at : at + size] = dice.randbytes(size)


def outcome_of(path: Path, reading: ReadingProcess) -> str:
    """read, refused, memory, crashed, hung, or wrong: a text that no store takes, or chunks that are no spans of it."""
    outcome = "refused"
    for item in open_corpus(path, reading=reading).documents():
        try:
            if isinstance(item, Found):
                if not _sound(item.read()):
                    return "wrong"
                outcome = "read"
            elif isinstance(item, Unreadable) and not item.reason.strip():
                return "wrong"
        except UnreadableDocument as error:
            if "took longer" in str(error):
                return "hung"
            if "crashed" in str(error):
                return "crashed"
            if "memory" in str(error):
                outcome = "memory"
            elif "its reader failed" in str(error):
                return "wrong"  # its own reader did not know what was wrong
    return outcome


def _sound(document: Document) -> bool:
    text = document.text
    if not text.strip() or {"\x00", "\r"} & set(text):
        return False
    text.encode("utf-8")
    if any(not 0 <= place.start < place.end <= len(text) for place in document.layout):
        return False
    chunks = chunks_of(document) if len(text) < 300_000 else []
    spans = all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    return spans and all(a.end <= b.start for a, b in pairwise(chunks))


if __name__ == "__main__":
    sys.exit(main())
