"""OpenDocument spreadsheets (ODS) to the cells of their sheets; hidden sheets and comments are left out.

Read as XML, row by row: calamine says no percentages and no currencies, looks for a missing end forever, and takes
gigabytes for a thousand cells that are said once with a count. By OpenDocument 1.3 part 3, 9.1 and 19.385.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ingest import archives
from ingest.office_properties import properties
from ingest.readers import Extracted
from ingest.sheet_extent import MAX_COLUMNS, MAX_ROWS
from ingest.sheet_formats import Format
from ingest.sheet_rows import MAX_CELLS, Place, Sheet, sections
from rag.errors import UnreadableDocument

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_SPACES = (f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break")
_LENGTH = re.compile(r"PT(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:[.,]\d*)?S)?")
_PERCENT = Format("", "%", 100, 1, None)

Value = str | float | bool | date | time | timedelta


@dataclass(slots=True)
class _Filled:
    """The cells of a sheet that hold something, by row and column from 0."""

    name: str
    rows: dict[int, dict[int, Value]] = field(default_factory=dict)
    formats: dict[int, dict[int, Format]] = field(default_factory=dict)
    merged: list[tuple[Place, Place]] = field(default_factory=list)
    height: int = 0
    left: int = MAX_COLUMNS
    end: int = 0

    @property
    def cells(self) -> int:
        """Of the rectangle around all that hold something, from the first row and column on."""
        return (max(self.rows, default=-1) + 1) * self.end

    def sheet(self) -> Sheet:
        """All of its cells, the empty ones between others included."""
        none: dict[int, Value] = {}
        places = range(self.left, self.end)
        found = (self.rows.get(number, none) for number in range(max(self.rows, default=-1) + 1))
        rows = ([row.get(place, "") for place in places] for row in found)
        return Sheet(self.name, rows, min(self.left, self.end), self.merged, self.formats.items())


def read_ods(path: Path) -> Extracted:
    """Rows as `| a | b |` under `## sheet, rows 2 to 20`, percentages and currencies as such."""
    with archives.bounded(path, kind="spreadsheet (.ods)", holds="content.xml") as archive:
        if "META-INF/manifest.xml" in archive.NameToInfo:
            with archive.open("META-INF/manifest.xml") as part:
                if b"encryption-data" in part.read(1 << 20):
                    raise UnreadableDocument("the spreadsheet is encrypted and needs a password")
        texts, cells = list[str](), 0
        try:
            for filled in _sheets(archive):
                cells += filled.cells
                if cells > MAX_CELLS:
                    raise UnreadableDocument(f"its sheets have more than {MAX_CELLS:,} cells: export them as CSV")
                texts += sections(filled.sheet())
        except (SyntaxError, ValueError, OverflowError) as error:  # lxml's XMLSyntaxError is a SyntaxError
            raise UnreadableDocument(f"the spreadsheet is damaged: {error}") from error
    return Extracted("\n\n".join(texts), *properties(path))


def _sheets(archive: zipfile.ZipFile) -> Iterator[_Filled]:
    """The sheets that are shown, in the file's order."""
    from lxml import etree

    style, table, row = tags = (f"{_STYLE}style", f"{_TABLE}table", f"{_TABLE}table-row")
    hidden: set[str] = set()
    filled, depth = _Filled(""), 0  # a cell may hold a table, which is left out
    with archive.open("content.xml") as part:
        events = etree.iterparse(part, events=("start", "end"), tag=tags, resolve_entities=False, no_network=True)
        for event, element in events:
            begins = event == "start"
            if element.tag == table:
                depth += 1 if begins else -1
                if begins and depth == 1:
                    filled = _Filled(element.get(f"{_TABLE}name", ""))
                elif depth == 0 and element.get(f"{_TABLE}style-name") not in hidden:
                    yield filled
            elif element.tag == style and not begins:
                shown = element.find(f"{_STYLE}table-properties")
                if shown is not None and shown.get(f"{_TABLE}display") == "false":
                    hidden.add(element.get(f"{_STYLE}name", ""))
            elif element.tag == row and not begins and depth == 1:
                _add(filled, element)
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]


def _add(filled: _Filled, row: Any) -> None:
    """A row, or several that are said once. Raises UnreadableDocument where no sheet has so many."""
    times = _count(row, "number-rows-repeated")
    values, formats, column = dict[int, Value](), dict[int, Format](), 0
    spans: list[tuple[int, int, int]] = []
    for cell in row.iterchildren(*_CELLS):
        count = _count(cell, "number-columns-repeated")
        value = "" if cell.tag == _CELLS[1] else _value(cell)
        if value != "":
            if column + count > MAX_COLUMNS or filled.height + times > MAX_ROWS:
                raise UnreadableDocument("the spreadsheet is damaged: a cell lies beyond any row or column")
            places = range(column, column + count)
            values.update(dict.fromkeys(places, value))
            if (form := _format(cell)) is not None:
                formats.update(dict.fromkeys(places, form))
            down, right = _count(cell, "number-rows-spanned"), _count(cell, "number-columns-spanned")
            if count == 1 and (down > 1 or right > 1):
                spans.append((column, down, min(right, MAX_COLUMNS)))
        column += count
    if values:
        filled.left, filled.end = min(filled.left, min(values)), max(filled.end, max(values) + 1)
    for number in range(filled.height, filled.height + times) if values else ():
        filled.rows[number] = values
        if formats:
            filled.formats[number] = formats
        filled.merged += [((number, at), (number + down - 1, at + right - 1)) for at, down, right in spans]
    filled.height += times


def _count(element: Any, name: str) -> int:
    return max(1, int(element.get(f"{_TABLE}{name}", "1")))


def _value(cell: Any) -> Value:
    kind, told = cell.get(f"{_OFFICE}value-type"), cell.get(f"{_OFFICE}value")
    if kind in ("float", "percentage", "currency") and told:
        return float(told)
    if kind == "boolean":
        return bool(cell.get(f"{_OFFICE}boolean-value") == "true")
    if kind == "date":
        return _day(cell.get(f"{_OFFICE}date-value", "")) or _said(cell)
    if kind == "time" and (parts := _LENGTH.match(cell.get(f"{_OFFICE}time-value", ""))):
        hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return length if length >= timedelta(days=1) else (datetime.min + length).time()
    return cell.get(f"{_OFFICE}string-value") or _said(cell)


def _format(cell: Any) -> Format | None:
    kind, currency = cell.get(f"{_OFFICE}value-type"), cell.get(f"{_OFFICE}currency", "")
    if kind == "percentage":
        return _PERCENT
    return Format("", f" {currency[:10]}", 1, 1, None) if kind == "currency" and currency.strip() else None


def _day(told: str) -> date | None:
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return None
    return moment if moment.time() != time() else moment.date()


def _said(cell: Any) -> str:
    return " ".join(_words(paragraph) for paragraph in cell.iterchildren(f"{_TEXT}p", f"{_TEXT}h"))


def _words(element: Any) -> str:
    said = element.text or ""
    for child in element:
        if child.tag in _SPACES:
            said += " "
        elif isinstance(child.tag, str):  # else a comment
            said += _words(child)
        said += child.tail or ""
    return said
