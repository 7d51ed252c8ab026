"""PDF and DOCX to text. Knows no other format."""

from __future__ import annotations

import logging
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest.cleaning import clean
from ingest.readers import Extracted
from rag.errors import UnreadableDocument

EDGE_LINES = 2
"""Lines at the top and bottom of a page that may be running heads."""

MAX_UNPACKED_BYTES = 500 * 1024 * 1024
"""Bytes that a DOCX may unpack to; more is a bomb."""


def read_pdf(path: Path) -> Extracted:
    """The text of all pages, running heads and page numbers removed. Scanned pages have none and are reported."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableDocument("the PDF is encrypted and needs a password")
        pages = [clean(page.extract_text()).split("\n") for page in reader.pages]
        told = reader.metadata.title if reader.metadata else None
    except (PyPdfError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        # pypdf raises these, too, on damaged files
        raise UnreadableDocument(f"the PDF is damaged or truncated: {error}") from error
    except (NotImplementedError, ImportError) as error:
        raise UnreadableDocument(f"the PDF is encrypted in a way that cannot be read: {error}") from error
    if not any(line.strip() for page in pages for line in page):
        raise UnreadableDocument(f"none of the {len(pages)} pages holds text (scanned?): it needs OCR first")
    bodies = ["\n".join(line.rstrip() for line in page).strip("\n") for page in _without_running_heads(pages)]
    text = "\n\n".join(body for body in bodies if body)
    title = clean(str(told)).strip() if told and str(told).strip().casefold() not in ("untitled", "(anonymous)") else ""
    return Extracted(text, title or _first_line(text))


def _without_running_heads(pages: Sequence[list[str]]) -> Iterator[list[str]]:
    """Pages without lines that stand, but for their numbers, at the same edge of most pages."""

    def shape(line: str) -> str:
        return re.sub(r"\d+", "#", line.strip().casefold())

    trimmed = [[line for line in page if line.strip()] for page in pages]
    edges = Counter(
        key for page in trimmed for key in {shape(line) for line in (*page[:EDGE_LINES], *page[-EDGE_LINES:])}
    )
    least = max(2, (len(pages) + 1) // 2)
    for page in trimmed:
        last = len(page) - EDGE_LINES
        yield [
            line
            for place, line in enumerate(page)
            if not ((place < EDGE_LINES or place >= last) and len(pages) > 1 and edges[shape(line)] >= least)
        ]


def _first_line(text: str) -> str:
    first = text.strip().split("\n", 1)[0].strip()
    return first if len(first) <= 120 else ""


def read_docx(path: Path) -> Extracted:
    """Paragraphs and tables in their order; headings as Markdown headings, table rows as `| a | b |`."""
    import docx
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "word/document.xml" not in names:
                raise UnreadableDocument("the file is a zip archive, but no DOCX (it has no word/document.xml)")
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise UnreadableDocument("the file unpacks to more than 500 MiB")
        document = docx.Document(str(path))
        blocks = list(document.iter_inner_content())
    except zipfile.BadZipFile as error:
        raise UnreadableDocument(f"the file is no DOCX, or a damaged one: {error}") from error
    except (PackageNotFoundError, KeyError, ValueError, AttributeError, SyntaxError, OSError) as error:
        # lxml's XMLSyntaxError is a SyntaxError
        raise UnreadableDocument(f"the DOCX is damaged: {error}") from error
    lines: list[str] = []
    title = clean(document.core_properties.title or "").strip()
    for block in blocks:
        if isinstance(block, Table):
            rows = [[clean(cell.text).replace("\n", " ").strip() for cell in row.cells] for row in block.rows]
            lines += ["", *(f"| {' | '.join(cells)} |" for cells in rows if any(cells)), ""]
            continue
        text = clean(block.text).strip()
        if not text:
            continue
        style = (block.style.name if block.style is not None else "") or ""
        level = re.fullmatch(r"Heading ([1-6])", style)
        if style == "Title" or level:
            depth = int(level[1]) if level else 1
            title = title or (text if style == "Title" else "")
            lines += ["", f"{'#' * depth} {text}", ""]
        elif style.startswith("List"):
            lines.append(f"- {text}")
        else:
            lines += ["", text]
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    first = re.search(r"^# (.+)$", body, re.MULTILINE)
    return Extracted(body, title or (first[1] if first else ""))
