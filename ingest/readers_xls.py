"""Excel 97's spreadsheets (XLS) to the cells of their sheets, by xlrd; hidden sheets are left out.

By another library than the rest: it gives the formats of numbers, and what is damaged raises. Knows no other format.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ingest.readers import Extracted
from ingest.sheet_formats import Format, parsed
from ingest.sheet_rows import Sheet, Value, check_size, sections
from ingest.xls_workbook import opened

_VISIBLE = 0
_EMPTY, _TEXT, _NUMBER, _DATE, _BOOLEAN, _ERROR, _BLANK = range(7)
_NOTHING = (_EMPTY, _ERROR, _BLANK)
"""xlrd's kinds of cells; a blank one has a format alone."""
_LENGTH = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
"""In the format of a length of time: hours beyond a day."""
_SAID = re.compile(r'"[^"]*"|\\.|;.*', re.DOTALL)
"""In a format: what is said as it stands, and the formats of other numbers behind the first."""


def read_xls(path: Path) -> Extracted:
    """Rows as `| a | b |` under `## sheet, rows 2 to 20`, numbers as their formats show them."""
    texts, cells = list[str](), 0
    with opened(path) as book:
        formats = _Formats(book)
        for index in range(book.nsheets):
            sheet = book.sheet_by_index(index)
            if sheet.visibility == _VISIBLE:
                rows, columns = _filled(sheet)
                cells += rows.stop * columns.stop
                check_size(cells)
                texts += sections(_sheet(sheet, rows, columns, formats))
            book.unload_sheet(index)
    return Extracted("\n\n".join(texts))


def _filled(sheet: Any) -> tuple[range, range]:
    """The rows and columns up to the last cell that holds something; those before and behind may be formatted."""
    left, right, below = sheet.ncols, 0, 0
    for number in range(sheet.nrows):
        places = [i for i, kind in enumerate(sheet.row_types(number)) if kind not in _NOTHING]
        if places:
            left, right, below = min(left, places[0]), max(right, places[-1] + 1), number + 1
    return range(below), range(min(left, right), right)


def _sheet(sheet: Any, rows: range, columns: range, formats: _Formats) -> Sheet:
    def cells(number: int) -> list[Value]:
        row = [formats.value(cell) for cell in sheet.row(number)[columns.start : columns.stop]]
        return row + [""] * (len(columns) - len(row))

    return Sheet(
        sheet.name,
        map(cells, rows),
        left=columns.start,
        merged=[((top, first), (bottom - 1, last - 1)) for top, bottom, first, last in sheet.merged_cells],
        formats=((number, formats.of(sheet.row(number))) for number in rows),
    )


class _Formats:
    """The formats of a workbook's cells, each looked at once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._known: dict[int, tuple[Format | None, bool]] = {}

    def of(self, cells: list[Any]) -> dict[int, Format]:
        """By column, where a number says more by its format."""
        found = ((i, self._look(cell.xf_index)[0]) for i, cell in enumerate(cells) if cell.ctype == _NUMBER)
        return {i: form for i, form in found if form is not None}

    def value(self, cell: Any) -> Value:
        """What a cell holds; an empty text where it holds nothing or an error."""
        if cell.ctype == _TEXT:
            return str(cell.value)
        if cell.ctype == _NUMBER and not self._look(cell.xf_index)[1]:
            return float(cell.value)
        if cell.ctype in (_NUMBER, _DATE):
            return self._moment(cell)
        return bool(cell.value) if cell.ctype == _BOOLEAN else ""

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
            self._known[index] = None if dollars else parsed(code), bool(_LENGTH.search(_SAID.sub("", code)))
        return self._known[index]
