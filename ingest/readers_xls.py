"""Excel 97's spreadsheets (XLS) to the cells of their sheets, by xlrd; hidden sheets are left out.

By another library than the rest: it gives the formats of numbers, and what is damaged raises. Knows no other format.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, cast

from ingest import archives
from ingest.readers import Extracted
from ingest.sheet_formats import Format, parsed
from ingest.sheet_rows import MAX_CELLS, Sheet, sections
from rag.errors import UnreadableDocument

_VISIBLE = 0
_LENGTH = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
"""Begins the format of a length of time: hours beyond a day."""


def read_xls(path: Path) -> Extracted:
    """Rows as `| a | b |` under `## sheet, rows 2 to 20`, numbers as their formats show them."""
    import xlrd
    from xlrd.compdoc import CompDocError

    with path.open("rb") as file:
        if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):  # as many programs export
            raise UnreadableDocument("the file is a web page or XML by its content, not what .xls says: rename it")
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as silent:
            options = dict.fromkeys(("formatting_info", "ragged_rows", "on_demand", "ignore_workbook_corruption"), True)
            with xlrd.open_workbook(str(path), logfile=silent, **options) as book:
                return Extracted("\n\n".join(_sections(book)))
    except (xlrd.XLRDError, CompDocError, struct.error, *archives.DAMAGED) as error:
        if "encrypted" in str(error):
            raise UnreadableDocument("the spreadsheet is encrypted and needs a password") from error
        raise UnreadableDocument(f"the spreadsheet is damaged: {archives.told(error)}") from error


def _sections(book: Any) -> Iterator[str]:
    formats = _Formats(book)
    cells = 0
    for index in range(book.nsheets):
        sheet = book.sheet_by_index(index)
        if sheet.visibility == _VISIBLE:
            cells += sheet.nrows * sheet.ncols
            if cells > MAX_CELLS:
                raise UnreadableDocument(f"its sheets have more than {MAX_CELLS:,} cells: export them as CSV")
            yield from sections(_sheet(sheet, formats))
        book.unload_sheet(index)


def _sheet(sheet: Any, formats: _Formats) -> Sheet:
    rows = [[formats.value(cell) for cell in sheet.row(number)] for number in range(sheet.nrows)]
    filled = [[i for i, cell in enumerate(row) if cell != ""] for row in rows]
    left = min((places[0] for places in filled if places), default=0)
    end = max((places[-1] + 1 for places in filled if places), default=0)
    merged = [((top, first), (bottom - 1, last - 1)) for top, bottom, first, last in sheet.merged_cells]
    return Sheet(
        sheet.name,
        [row[left:end] + [""] * (end - max(left, len(row))) for row in rows],
        left=left,
        merged=merged,
        formats=((number, formats.of(sheet.row(number))) for number in range(sheet.nrows)),
    )


class _Formats:
    """The formats of a workbook's cells, each looked at once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._known: dict[int, tuple[Format | None, bool]] = {}

    def of(self, cells: list[Any]) -> dict[int, Format]:
        """By column, where a number says more by its format."""
        import xlrd

        found = ((i, self._look(cell.xf_index)[0]) for i, cell in enumerate(cells) if cell.ctype == xlrd.XL_CELL_NUMBER)
        return {i: form for i, form in found if form is not None}

    def value(self, cell: Any) -> str | float | bool | date | time | timedelta:
        """What a cell holds; an empty text where it holds nothing or an error."""
        import xlrd

        if cell.ctype in (xlrd.XL_CELL_TEXT, xlrd.XL_CELL_NUMBER):
            return cast("str | float", cell.value)
        if cell.ctype == xlrd.XL_CELL_BOOLEAN:
            return bool(cell.value)
        return self._moment(cell) if cell.ctype == xlrd.XL_CELL_DATE else ""

    def _moment(self, cell: Any) -> float | date | time | timedelta:
        """A day, a time of the day, both, or how long; the number where no calendar has it."""
        import xlrd

        days: float = cell.value
        if self._look(cell.xf_index)[1]:
            return timedelta(days=days)
        try:
            moment: datetime = xlrd.xldate_as_datetime(days, self._book.datemode)
        except (OverflowError, ValueError):
            return days
        if 0 <= days < 1:
            return moment.time()
        return moment if days % 1 else moment.date()

    def _look(self, index: int) -> tuple[Format | None, bool]:
        """(how its numbers are shown, whether they are lengths of time) of a cell's format."""
        import xlrd.formatting

        if index not in self._known:
            styles = self._book.xf_list
            form = self._book.format_map.get(styles[index].format_key) if index < len(styles) else None
            code, number = (form.format_str or "", form.format_key) if form else ("", 0)
            # xlrd fills in dollars for what a file names by number alone and Excel shows in the machine's own money
            dollars = "$" in code and code == xlrd.formatting.std_format_strings.get(number)
            self._known[index] = None if dollars else parsed(code), bool(_LENGTH.match(code))
        return self._known[index]
