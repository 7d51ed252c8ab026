"""OpenDocument spreadsheets (ODS) to the cells of their sheets; hidden sheets and comments are left out.

Read as XML, row by row: calamine says no percentages and no units, looks for a missing end forever, and takes
gigabytes for a thousand cells that are said once with a count. By OpenDocument 1.3 part 3, 9 (tables).
"""

from __future__ import annotations

import math
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
from ingest.sheet_extent import MAX_COLUMNS, check_place
from ingest.sheet_formats import Format
from ingest.sheet_rows import Place, Sheet, Value, check_size, sections
from rag.errors import UnreadableDocument

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_SPACES = (f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break")
_REPEATED, _SPANNED = (
    tuple(f"{_TABLE}number-{way}-repeated" for way in ("rows", "columns")),
    tuple(f"{_TABLE}number-{way}-spanned" for way in ("rows", "columns")),
)
_LENGTH = re.compile(r"PT(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:[.,]\d{0,12})?)S)?")
_DIGITS = re.compile(r"\d(?:[\d.,'’\s]*\d)?")
"""A number as it is shown, whatever parts its thousands and its decimals."""
_PLAIN = re.compile(r"[-−]?(?:[1-9][\d.,'’\s]*|0(?:[.,]\d*)?)")
"""One that is shown without anything that its value does not say."""
_ERRORS = ("#", "Err:")
_KIND, _VALUE = f"{_OFFICE}value-type", f"{_OFFICE}value"
_NUMBERS = ("float", "percentage", "currency")
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
MAX_DECIMALS = 16
MAX_SHOWN = 1e15
"""Beyond it a number's digits are not all told."""


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
    """Rows as `| a | b |` under `## sheet, rows 2 to 20`, numbers as they are shown."""
    _check_open(path)
    texts, cells = list[str](), 0
    with archives.bounded(path, kind="spreadsheet (.ods)", holds="content.xml") as archive:
        try:
            for filled in _sheets(archive):
                cells += filled.cells
                check_size(cells)
                texts += sections(filled.sheet())
        except (SyntaxError, ValueError, OverflowError) as error:  # lxml's XMLSyntaxError is a SyntaxError
            raise UnreadableDocument(f"the spreadsheet is damaged: {error}") from error
    return Extracted("\n\n".join(texts), *properties(path))


def _check_open(path: Path) -> None:
    """Raise UnreadableDocument where it is encrypted: then the other parts are no XML, or not there."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("META-INF/manifest.xml") as part:
            manifest = part.read(1 << 20)
    except (*archives.BROKEN, RuntimeError, OSError, KeyError):
        return  # what is wrong with it is said below
    if b"encryption-data" in manifest or b"encrypted-package" in manifest:
        raise UnreadableDocument("the spreadsheet is encrypted and needs a password")


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
                elif depth == 0 and element.get(f"{_TABLE}style-name") not in hidden and _is_sheet(element):
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


def _is_sheet(table: Any) -> bool:
    """And no copy of another file's cells, kept for a link to it."""
    above = table.getparent()
    return above is not None and above.tag == f"{_OFFICE}spreadsheet"


def _add(filled: _Filled, row: Any) -> None:
    """A row, or several that are said once. Raises UnreadableDocument where no sheet has so many."""
    times = _count(row, _REPEATED[0])
    values, formats, column = dict[int, Value](), dict[int, Format](), 0
    spans: list[tuple[int, int, int]] = []
    for cell in row.iterchildren(*_CELLS):
        count = _count(cell, _REPEATED[1])
        said = "" if cell.tag == _CELLS[1] else _said(cell)
        value = "" if cell.tag == _CELLS[1] else _value(cell, said)
        if value != "":
            check_place(filled.height + times, column + count)
            places = range(column, column + count)
            values.update(dict.fromkeys(places, value))
            if isinstance(value, float) and (form := _format(cell, value, said)) is not None:
                formats.update(dict.fromkeys(places, form))
            down, right = _count(cell, _SPANNED[0]), _count(cell, _SPANNED[1])
            if count == 1 and (down > 1 or right > 1):
                spans.append((column, down, min(right, MAX_COLUMNS)))
        column += count
    if values:
        filled.left, filled.end = min(filled.left, min(values)), max(filled.end, max(values) + 1)
        check_size((filled.height + times) * filled.end)
    for number in range(filled.height, filled.height + times) if values else ():
        filled.rows[number] = values
        if formats:
            filled.formats[number] = formats
        filled.merged += [((number, at), (number + down - 1, at + right - 1)) for at, down, right in spans]
    filled.height += times


def _count(element: Any, name: str) -> int:
    told = element.get(name)
    return max(1, int(told)) if told else 1


def _value(cell: Any, said: str) -> Value:
    """What a cell holds; an empty text where that is nothing or an error."""
    kind = cell.get(_KIND)
    if said.startswith(_ERRORS) and (kind in _NUMBERS or cell.get(_CALC) == "error"):
        return ""
    if kind in _NUMBERS:
        return _number(cell.get(_VALUE, ""), said)
    if kind == "boolean":
        told = cell.get(f"{_OFFICE}boolean-value")
        return told in ("true", "1") if told else said
    if kind == "date":
        return _day(cell.get(f"{_OFFICE}date-value", "")) or said
    if kind == "time" and (parts := _LENGTH.fullmatch(cell.get(f"{_OFFICE}time-value", ""))):
        hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in parts.groups())
        length = timedelta(seconds=round(3600 * hours + 60 * minutes + seconds))
        return length if length >= timedelta(days=1) else (datetime.min + length).time()
    return cell.get(f"{_OFFICE}string-value") or said


def _number(told: str, said: str) -> float | str:
    try:
        number = float(told)
    except ValueError:
        return said
    return number if math.isfinite(number) else said


def _format(cell: Any, value: float, said: str) -> Format | None:
    """What a number says by the way it is shown: its unit and decimals, or zeros before it; None where nothing.

    Read from the text that is shown, in whose digits the value must be found again.
    """
    percent = cell.get(_KIND) == "percentage"
    if not percent and _PLAIN.fullmatch(said):
        return None
    scale = 100 if percent else 1
    if (core := _DIGITS.search(said)) is not None and abs(value) < MAX_SHOWN:
        before, after = (part.strip("-−–()") for part in (said[: core.start()], said[core.end() :]))
        digits = re.sub(r"\D", "", core[0])
        places = [*(i for i in range(1, min(len(core[0]) - 1, MAX_DECIMALS)) if core[0][-i - 1] in ".,"), 0]
        for decimals in places:
            plain = f"{abs(value) * scale:.{decimals}f}".replace(".", "")
            zeros = len(digits) - decimals
            if plain.zfill(len(digits)) == digits and zeros > 0:
                if not before.strip() and not after.strip() and zeros == len(plain) - decimals:
                    return None
                return Format(before.lstrip(), after.rstrip(), scale, zeros, (decimals, decimals))
    if percent:
        return Format("", "%", 100, 1, None)
    currency = cell.get(f"{_OFFICE}currency", "").strip()
    return Format("", f" {currency[:10]}", 1, 1, None) if currency else None


def _day(told: str) -> date | None:
    """A day, with the time of it where one is told, to the second."""
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return None
    moment = (moment + timedelta(milliseconds=500)).replace(microsecond=0)
    return moment if moment.time() != time() else moment.date()


def _said(cell: Any) -> str:
    return " ".join(_words(paragraph) for paragraph in cell.iterchildren(f"{_TEXT}p", f"{_TEXT}h"))


def _words(element: Any) -> str:
    said: str = element.text or ""
    for child in element:
        if child.tag in _SPACES:
            said += " "
        elif isinstance(child.tag, str):  # else a comment
            said += _words(child)
        said += child.tail or ""
    return said
