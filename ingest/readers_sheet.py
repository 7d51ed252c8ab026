"""Spreadsheets to text: every sheet's rows, some at a time under a heading, each time with the header row.

So whatever chunk a row lands in, it stands under its columns' names. Knows no other format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ingest import archives
from ingest.cleaning import clean
from ingest.readers import Extracted
from rag.errors import UnreadableDocument

BLOCK_WORDS = 100
"""Words of the rows under one heading: with the header row about a chunk."""
MAX_CELLS = 2_000_000
"""Cells of one workbook, the empty ones between others counted; more is no document but a data set."""
MAX_EXTENT = 20_000_000
"""Cells of the rectangle around all that are filled: calamine holds it whole, some 25 bytes for each."""
_CELL = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
_PARTS = {".xlsx": "xl/workbook.xml", ".xlsb": "xl/workbook.bin", ".ods": "content.xml"}


def read_sheet(path: Path) -> Extracted:
    """Rows as `| a | b |` under `## sheet, rows 2 to 20`; hidden sheets are left out."""
    import python_calamine as calamine

    suffix = path.suffix.lower()
    if suffix in _PARTS:
        archives.check(path, kind=f"spreadsheet ({suffix})", holds=_PARTS[suffix])
    if suffix == ".xlsx":
        _check_extent(path)
    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        texts: list[str] = []
        cells = 0
        for about in book.sheets_metadata:
            visible = about.visible == calamine.SheetVisibleEnum.Visible
            if about.typ != calamine.SheetTypeEnum.WorkSheet or not visible:
                continue
            sheet = book.get_sheet_by_name(about.name)
            cells += sheet.total_height * sheet.total_width
            if cells > MAX_CELLS:
                raise UnreadableDocument(f"its sheets have more than {MAX_CELLS:,} cells: export them as CSV")
            texts += _sections(clean(about.name), sheet.iter_rows())
    except calamine.PasswordError as error:
        raise UnreadableDocument("the spreadsheet is encrypted and needs a password") from error
    except (calamine.CalamineError, calamine.ZipError, calamine.XmlError) as error:
        raise UnreadableDocument(f"the spreadsheet is damaged: {error}") from error
    return Extracted("\n\n".join(texts))


def _check_extent(path: Path) -> None:
    """Raise UnreadableDocument where cells lie so far apart that the rectangle around them takes gigabytes."""
    with archives.bounded(path, kind="spreadsheet (.xlsx)", holds=_PARTS[".xlsx"]) as archive:
        for name in archive.namelist():
            if not name.startswith("xl/worksheets/"):
                continue
            rows, columns, rest = 0, 0, b""
            with archive.open(name) as part:
                while block := part.read(1 << 20):
                    for found in _CELL.finditer(rest + block):
                        columns = max(columns, _column(found[1]))
                        rows = max(rows, int(found[2]))
                    rest = block[-64:]
            if rows * columns > MAX_EXTENT:
                raise UnreadableDocument(f"its cells lie in {rows:,} rows and {columns:,} columns: export them as CSV")


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number


def _sections(name: str, rows: Iterator[Sequence[Any]]) -> Iterator[str]:
    """The rows of one sheet in sections; an empty row ends a table, the next one begins with its own header."""
    header: list[str] = []
    held: list[tuple[int, str]] = []
    size = 0
    for number, row in enumerate(rows, start=1):
        cells = [_text(cell) for cell in row]
        if not any(cells):
            if header:
                yield _section(name, header, held)
            header, held, size = [], [], 0
            continue
        if not header:
            header = cells
            continue
        if not held and sum(map(bool, header)) == 1 < sum(map(bool, cells)):
            yield _section(name, header, [])  # a caption above the header row
            header = cells
            continue
        line = _line(cells, header)
        if held and size + len(line.split()) > BLOCK_WORDS:
            yield _section(name, header, held)
            held, size = [], 0
        held.append((number, line))
        size += len(line.split())
    if header:
        yield _section(name, header, held)


def _section(name: str, header: list[str], held: list[tuple[int, str]]) -> str:
    if not held:
        return f"## {name}\n\n" + ", ".join(cell for cell in header if cell)  # a lone row is a caption
    lines = [_line(header, header), *(line for _, line in held)]
    last = held[-1][0]
    where = f"row {last}" if held[0][0] == last else f"rows {held[0][0]} to {last}"
    return f"## {name}, {where}\n\n" + "\n".join(lines)


def _line(cells: Sequence[str], header: Sequence[str]) -> str:
    used = max((i + 1 for i, name in enumerate(header) if name), default=0)
    used = max(used, max((i + 1 for i, cell in enumerate(cells) if cell), default=0))
    return f"| {' | '.join(cells[:used])} |"


def _text(cell: Any) -> str:
    """A cell as a person sees it: no `.0` behind a whole number, no time behind a date."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15g}"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="minutes")
    if isinstance(cell, date | time | timedelta):
        return str(cell)
    return " ".join(clean(str(cell)).replace("|", "/").split())
