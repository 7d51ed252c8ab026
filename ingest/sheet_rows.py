"""The cells of a sheet to text, whatever its format: its rows some at a time, each time under the header row.

So whatever chunk a row lands in, it stands under its columns' names. A merged cell is said in each row and column that
it spans, numbers as their formats show them. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from ingest.cleaning import clean
from ingest.office_tables import MAX_HEADER_ROWS, Row, below, continues, is_number, one_header, repeated
from ingest.sheet_formats import Format
from rag.errors import UnreadableDocument

BLOCK_WORDS = 100
"""Words of the rows under one heading: with the header row about a chunk."""
MAX_CELLS = 2_000_000
"""Cells of one workbook, the empty ones between others counted; more is no document but a data set."""

_BLANK = Row(())

Value = str | float | bool | date | time | timedelta
"""What a cell holds; an empty text where that is nothing."""
Place = tuple[int, int]
"""(row, column) from 0."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a sheet holds, as its library gives it."""

    name: str
    rows: Iterable[Sequence[Any]]
    """From the sheet's first row on, each from column `left` on; an empty cell is an empty text."""
    left: int = 0
    merged: Sequence[tuple[Place, Place]] = ()
    """The first and the last cell of each range."""
    formats: Iterable[tuple[int, dict[int, Format]]] = ()
    """(row, {column: format}) in their order, where a number says more by its format."""


def check_size(cells: int) -> None:
    """Raise UnreadableDocument where the sheets of a workbook have more cells than are read."""
    if cells > MAX_CELLS:
        raise UnreadableDocument(f"its sheets have more than {MAX_CELLS:,} cells: export them as CSV")


def sections(sheet: Sheet) -> Iterator[str]:
    """The rows of one sheet under headings. An empty row ends a table, and the next one begins with its own header.

    Unless it goes on as it was: a row of data, as wide, below a header of names.
    """
    header: list[Row] = []
    kept: list[Row] = []  # the header of the table above an empty row
    held: list[tuple[int, str]] = []
    name, size = clean(sheet.name), 0
    for number, (row, data) in enumerate(_rows(sheet), start=1):
        if not any(row.cells):
            if header:
                yield _section(name, header, held)
                kept = header if held and not any(map(is_number, header[-1].cells)) else []
            header, held, size = [], [], 0
            continue
        if not header and kept and data and _reach(kept[-1]) == _reach(row):
            header = kept
        elif not header:
            header = [row]
            continue
        elif not held and len(header) < MAX_HEADER_ROWS and continues(header[-1], row):
            header.append(row)
            continue
        elif not held and sum(map(bool, header[0].cells)) == 1 < sum(map(bool, row.cells)):
            yield _section(name, header, [])  # a caption above the header row
            header = [row]
            continue
        line = _line(below(header, row), header)
        if held and size + len(line.split()) > BLOCK_WORDS:
            yield _section(name, header, held)
            held, size = [], 0
        held.append((number, line))
        size += len(line.split())
    if header:
        yield _section(name, header, held)


def _rows(sheet: Sheet) -> Iterator[tuple[Row, bool]]:
    """Every row from the sheet's first on, and whether a number or a day is in it."""
    left, formatted = sheet.left, iter(sheet.formats)
    ranges = sorted(sheet.merged, reverse=True)
    budget = MAX_CELLS
    above: dict[int, tuple[int, str]] = {}  # by column: the last row that a merged cell spans, and what it says
    number, forms = next(formatted, (-1, {}))
    for row, cells in enumerate(sheet.rows):
        if not above and cells.count("") == len(cells):
            yield _BLANK, False  # a sheet may have a million
            continue
        while 0 <= number < row:
            number, forms = next(formatted, (-1, {}))
        shown = forms if number == row else {}
        texts = [_text(cell, shown.get(left + i)) for i, cell in enumerate(cells)]
        alone = sum(map(bool, texts)) == 1
        repeats: set[int] = set()
        whole = False
        for i, (last, text) in list(above.items()):
            if last < row:
                del above[i]
            else:
                texts[i] = text
        while ranges and ranges[-1][0][0] <= row and budget > 0:
            (top, first), (bottom, end) = ranges.pop()
            places = range(max(0, first - left), min(len(texts), end - left + 1))
            budget -= len(places)
            if top < row or not places or not texts[places[0]]:
                continue
            if len(places) > 1 and alone and first <= left:
                whole = True
                continue
            text = repeated(texts[places[0]])
            texts[places[0] + 1 : places[-1] + 1] = [text] * (len(places) - 1)
            repeats.update(places[1:])
            if bottom > row:
                above.update(dict.fromkeys(places, (bottom, text)))
        yield Row(texts, frozenset(repeats), whole), any(map(_is_data, cells))


def _is_data(cell: Any) -> bool:
    if isinstance(cell, str | bool):
        return False
    return not (isinstance(cell, float | int) and 1900 <= cell < 2100)  # a year is a name as well


def _section(name: str, header: Sequence[Row], held: list[tuple[int, str]]) -> str:
    cells = one_header(header)
    if not held:
        return f"## {name}\n\n" + ", ".join(filter(None, cells))  # a lone row is a caption
    lines = [_line(cells, header), *(line for _, line in held)]
    last = held[-1][0]
    where = f"row {last}" if held[0][0] == last else f"rows {held[0][0]} to {last}"
    return f"## {name}, {where}\n\n" + "\n".join(lines)


def _line(cells: Sequence[str], header: Sequence[Row]) -> str:
    used = max(_end(cells), *(_end(row.cells) for row in header))
    return f"| {' | '.join(cells[:used])} |"


def _end(cells: Sequence[str]) -> int:
    return max((i + 1 for i, cell in enumerate(cells) if cell), default=0)


def _reach(row: Row) -> tuple[int, int]:
    """The first and the last column that says something."""
    return next((i for i, cell in enumerate(row.cells) if cell), 0), _end(row.cells)


def _text(cell: Any, form: Format | None = None) -> str:
    """A cell as a person sees it: no `.0` behind a whole number, no time behind a date."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        if form is not None and abs(cell) < 1e15:
            return clean(form.show(cell)).replace("|", "/")
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15g}"
    if isinstance(cell, date | time | timedelta):
        return _moment(cell)
    return " ".join(clean(str(cell)).replace("|", "/").split())


def _moment(cell: date | time | timedelta) -> str:
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="minutes")
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(round(abs(cell.total_seconds())), 60)
        sign = "-" if cell < timedelta() else ""
        return f"{sign}{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    return cell.isoformat().removesuffix(":00") if isinstance(cell, time) else str(cell)
