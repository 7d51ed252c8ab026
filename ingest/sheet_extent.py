"""How far the cells of a workbook reach, looked at before a library holds the rectangle around them.

calamine asks for the memory of that rectangle, and of as many texts as a file says it shares, however many that are;
where there is not so much its process dies. Knows no reader.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from typing import cast

from ingest.sheet_formats import column
from rag.errors import UnreadableDocument

MAX_EXTENT = 20_000_000
"""Cells of the rectangle around all that are filled, some 32 bytes for each."""
MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
"""Of a sheet, by the format."""

_SHEETS, _SHARED = "xl/worksheets/", "xl/sharedstrings.xml"
_CELL = re.compile(rb"""(?<![\w:])r\s*=\s*["']([A-Za-z]{1,4})(\d{0,8})""")
"""Where a cell stands, as far as is needed to see that no sheet has it."""
_COUNT = re.compile(rb"""[cC]ount\s*=\s*["'](\d+)""")
_HEAD = 1 << 16
"""Bytes in which the first of the texts begins."""
_ROW, _CELLS, _END = 0x00, range(0x02, 0x0B), 0x92
"""Records of XLSB: the head of a row, the cells in it that hold something, the last ([MS-XLSB] 2.3.1)."""


def check_xml(archive: zipfile.ZipFile) -> None:
    """For XLSX. Raises UnreadableDocument where its cells, or the texts they share, would take gigabytes."""
    for name in _sheets(archive):
        rows, columns, rest = 0, 0, b""
        with archive.open(name) as part:
            while block := part.read(1 << 20):
                for found in _CELL.finditer(rest + block):
                    columns = max(columns, column(found[1].upper()))
                    rows = max(rows, int(found[2] or 0))
                rest = block[-64:]
        _check_extent(rows, columns)
    texts = next((part for part in archive.infolist() if part.filename.lower() == _SHARED), None)
    if texts is None:
        return
    with archive.open(texts) as part:
        begin, first, _ = part.read(_HEAD).partition(b"<si")
    if not first and texts.file_size > _HEAD:
        raise UnreadableDocument("the spreadsheet is damaged: its texts do not begin")
    if any(len(count) > 12 or int(count) > 1000 + texts.file_size for count in _COUNT.findall(begin)):
        raise UnreadableDocument("the spreadsheet is damaged: it says that it has more texts than bytes")


def check_binary(archive: zipfile.ZipFile) -> None:
    """For XLSB. Raises UnreadableDocument where its cells would take gigabytes."""
    for name in _sheets(archive):
        row, rows, columns = 0, 0, 0
        with archive.open(name) as part:
            for kind, data in _records(BufferedReader(cast(RawIOBase, part))):
                if (kind == _ROW or kind in _CELLS) and len(data) < 4:
                    raise UnreadableDocument("the spreadsheet is damaged: a record ends too early")
                if kind == _ROW:
                    row = int.from_bytes(data, "little") + 1
                elif kind in _CELLS:
                    rows, columns = max(rows, row), max(columns, int.from_bytes(data, "little") + 1)
        _check_extent(rows, columns)


def _records(part: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """(type, its first four bytes) of each record, up to the last of a sheet's cells ([MS-XLSB] 2.1.4)."""
    while head := part.read(1):
        kind = head[0]
        if kind & 0x80:
            kind = kind & 0x7F | (part.read(1) or b"\x00")[0] << 7
        size = 0
        for shift in (0, 7, 14, 21):
            digit = (part.read(1) or b"\x00")[0]
            size |= (digit & 0x7F) << shift
            if not digit & 0x80:
                break
        if kind == _END:
            return
        yield kind, part.read(size)[:4]


def _sheets(archive: zipfile.ZipFile) -> list[str]:
    """The parts with cells; calamine finds them in any case of letters and with either slash."""
    names = ((name, name.lower().replace("\\", "/")) for name in archive.namelist())
    return [name for name, plain in names if plain.startswith(_SHEETS) and not plain.endswith(".rels")]


def check_place(rows: int, columns: int) -> None:
    """Raise UnreadableDocument where no sheet has so many rows or columns."""
    if rows > MAX_ROWS or columns > MAX_COLUMNS:
        raise UnreadableDocument("the spreadsheet is damaged: a cell lies beyond any row or column")


def _check_extent(rows: int, columns: int) -> None:
    check_place(rows, columns)
    if rows * columns > MAX_EXTENT:
        raise UnreadableDocument(f"its cells lie in {rows:,} rows and {columns:,} columns: export them as CSV")
