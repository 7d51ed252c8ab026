"""PDF libraries side by side on pages whose truth is known: reading order, rows of tables, and time a page.

Ours reads characters with PDFium; pypdf and pdfplumber read as their manuals say first. Needs the extra `bench`.

    python -m bench.pdf [--json]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from statistics import median

from evaluation.machine import hardware
from ingest.readers_pdf import read_pdf
from tests.fakes import pdf_files

ROUNDS = 5

Reads = Callable[[Path], str]


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(name, read, Path(folder)) for name, read in READERS.items()]
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "libraries": rows}, indent=1))
        return 0
    print(f"PDF libraries on generated pages · {hardware()}")
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    return 0


def measure(name: str, read: Reads, folder: Path) -> dict[str, str | float]:
    """Shares of words in order and of rows found, in %, and milliseconds a page."""
    row: dict[str, str | float] = {"library": name}
    path = folder / "a.pdf"
    seconds: list[float] = []

    def text(pages: int) -> str:
        begin = time.perf_counter()
        texts = [read(path) for _ in range(ROUNDS)]
        seconds.append((time.perf_counter() - begin) / ROUNDS / pages)
        return texts[-1]

    for count, mixed in ((1, False), (2, False), (2, True), (3, True)):
        told = pdf_files.columns(path, count=count, mixed=mixed)
        row[f"order, {count} columns{' mixed' if mixed else ''}"] = _order(told, text(2))
    row["order, turned page"] = _order([pdf_files.rotated(path)], text(1))
    for kind, write in (("ruled", pdf_files.ruled_table), ("open", pdf_files.open_table)):
        table = write(path)
        row[f"rows, {kind} table"] = _rows(table, text(1))
    row["ms a page"] = round(median(seconds) * 1000, 1)
    return row


def _order(told: Sequence[str], text: str) -> float:
    """Of the words told, those that stand in the text in the same order."""
    wanted, found = " ".join(told).split(), text.split()
    matched = SequenceMatcher(None, wanted, found, autojunk=False).get_matching_blocks()
    return round(100 * sum(block.size for block in matched) / len(wanted), 1)


def _rows(table: Sequence[Sequence[str]], text: str) -> float:
    """Of the rows, those whose cells all stand in one line, parted."""
    lines = [" ".join(line.replace("|", " | ").split()) for line in text.splitlines()]
    wanted = [" | ".join(cell for cell in row if cell) for row in table]
    return round(100 * sum(any(row in line for line in lines) for row in wanted) / len(wanted), 1)


def _ours(path: Path) -> str:
    return read_pdf(path).text


def _pypdf(path: Path) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def _pdfplumber(path: Path) -> str:
    import pdfplumber

    with pdfplumber.open(path) as document:
        texts = []
        for page in document.pages:
            texts.append(page.extract_text())
            for table in page.extract_tables():
                texts += [" | ".join((cell or "").replace("\n", " ") for cell in row) for row in table]
        return "\n".join(texts)


READERS: dict[str, Reads] = {"ours (pypdfium2)": _ours, "pypdf": _pypdf, "pdfplumber": _pdfplumber}


if __name__ == "__main__":
    sys.exit(main())
