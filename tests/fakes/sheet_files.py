"""Spreadsheets of the formats that no Python library here writes: OpenDocument, and Excel's two binary ones.

Each holds what `office_files.write_xlsx` writes, so that all are read to the same text. Written by the
specifications: OpenDocument 1.3 part 3; [MS-XLSB] and [MS-XLS] (records), [MS-CFB] (the file that XLS lies in).
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.fakes.office_files import FACT

Cell = str | float | None | tuple[float, str | int]
"""In XLS a number may come with its format: a code, or the number of one that Excel knows."""
Sheet = tuple[str, bool, Sequence[Sequence[Cell]]]
"""Its name, whether it is hidden, its rows from the first one on."""

_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def parts(rows: int = 60) -> list[Sheet]:
    """The sheets of `office_files.write_xlsx`."""
    table: list[list[Cell]] = [["Price list"], ["part", "bar", "note"]]
    table += [[f"T-{1000 + row}", 3.5 if row else 4.0, "opens by a quarter turn"] for row in range(rows)]
    return [("Parts", False, [*table, [], [FACT]]), ("Secret", True, [["hidden words"]])]


def write_ods(path: Path) -> None:
    """As LibreOffice does: equal rows and cells said once with a count, the empty ones to the sheet's end as well."""
    path.write_bytes(ods("".join(map(_ods_table, parts()))))


def ods(tables: str) -> bytes:
    """A file with such tables; the style `hidden` hides one."""
    names = "".join(
        f' xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for prefix, name in (("office", "office"), ("table", "table"), ("text", "text"), ("style", "style"))
    )
    names += ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    content = (
        f'<office:document-content{names} office:version="1.3"><office:automatic-styles>'
        '<style:style style:name="hidden" style:family="table"><style:table-properties table:display="false"/>'
        "</style:style></office:automatic-styles><office:body><office:spreadsheet>"
        f"{tables}</office:spreadsheet></office:body></office:document-content>"
    )
    mime = "application/vnd.oasis.opendocument.spreadsheet"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", mime, zipfile.ZIP_STORED)
        archive.writestr("content.xml", content)
        archive.writestr(
            "META-INF/manifest.xml",
            '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
            f'<m:file-entry m:full-path="/" m:media-type="{mime}"/></m:manifest>',
        )
    return out.getvalue()


def _ods_table(sheet: Sheet) -> str:
    name, hidden, rows = sheet
    style = ' table:style-name="hidden"' if hidden else ""
    lines = "".join(f"<table:table-row>{''.join(map(ods_cell, row)) or ods_cell(None)}{_REST}" for row in rows)
    end = f'<table:table-row table:number-rows-repeated="{1_048_576 - len(rows)}">{ods_cell(None)}{_REST}'
    return f'<table:table table:name="{name}"{style}>{lines}{end}</table:table>'


_REST = '<table:table-cell table:number-columns-repeated="16000"/></table:table-row>'


def ods_cell(cell: Cell, told: str = "") -> str:
    """A cell, with other attributes where they are told."""
    if cell is None:
        return f"<table:table-cell {told}/>"
    kind = "string" if isinstance(cell, str) else f'float" office:value="{cell:g}'
    text = escape(cell) if isinstance(cell, str) else f"{cell:g}"
    kinds = "" if "value-type" in told else f'office:value-type="{kind}"'
    return f"<table:table-cell {kinds} {told}><text:p>{text}</text:p></table:table-cell>"


def write_xlsb(path: Path) -> None:
    """The file of the sheets above."""
    path.write_bytes(xlsb([(name, hidden, _xlsb_sheet(rows)) for name, hidden, rows in parts()]))


def xlsb(sheets: Sequence[tuple[str, bool, bytes]]) -> bytes:
    """A part with the sheets' names and one for each sheet, its texts in its cells."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    relations = "".join(
        f'<Relationship Id="rId{i}" Type="{kind}" Target="worksheets/sheet{i}.bin"/>' for i in range(1, len(sheets) + 1)
    )
    names = b"".join(
        record12(0x9C, struct.pack("<II", hidden, i) + _wide(f"rId{i}") + _wide(name))
        for i, (name, hidden, _) in enumerate(sheets, start=1)
    )
    book = record12(0x83) + record12(0x8F) + names + record12(0x90) + record12(0x84)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.bin", book)
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}'
            "</Relationships>",
        )
        for i, (_, _, cells) in enumerate(sheets, start=1):
            dimensions = record12(0x94, struct.pack("<4I", 0, 99, 0, 9))
            sheet = record12(0x81) + dimensions + record12(0x91) + cells + record12(0x92) + record12(0x82)
            archive.writestr(f"xl/worksheets/sheet{i}.bin", sheet)
    return out.getvalue()


def _xlsb_sheet(rows: Sequence[Sequence[Cell]]) -> bytes:
    return b"".join(
        xlsb_row(number) + b"".join(xlsb_cell(column, cell) for column, cell in enumerate(row))
        for number, row in enumerate(rows)
        if row
    )


def xlsb_row(number: int) -> bytes:
    """The head of a row, from 0."""
    return record12(0x00, struct.pack("<II", number, 0) + bytes(9))


def xlsb_cell(column: int, cell: Cell) -> bytes:
    """A cell of the row whose head stands before it."""
    where = struct.pack("<II", column, 0)
    if isinstance(cell, str):
        return record12(0x06, where + _wide(cell))
    return record12(0x05, where + struct.pack("<d", cell))


def record12(kind: int, data: bytes = b"") -> bytes:
    """[MS-XLSB] 2.1.4: its type in one byte or two, its size in seven bits a byte."""
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size = len(data)
    while size > 0x7F:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + data


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def write_xls(path: Path) -> None:
    """The file of the sheets above."""
    path.write_bytes(xls(parts()))


def xls(
    sheets: Sequence[Sheet],
    *,
    merged: Sequence[tuple[int, int, int, int]] = (),
    codepage: int = 1200,
    records: bytes = b"",
    names: Sequence[tuple[str, bytes]] = (),
    wide: bool = False,
) -> bytes:
    """Excel 97's: the records of a workbook as one stream in a compound file.

    merged: (first row, last row, first column, last column) from 0 of ranges, in every sheet;
    records: at the end of every sheet; names: of the workbook, with their formulas;
    wide: texts of two bytes a character.
    """
    codes = list(dict.fromkeys(c[1] for _, _, rows in sheets for row in rows for c in row if isinstance(c, tuple)))
    ranges = struct.pack("<H", len(merged)) + b"".join(struct.pack("<4H", *places) for places in merged)
    bodies = [
        _xls_sheet(rows, codes, wide=wide) + record8(0xE5, ranges) + records + record8(0x0A) for _, _, rows in sheets
    ]
    head = record8(0x809, struct.pack("<HHHHII", 0x600, 0x5, 0, 0, 0, 6)) + record8(0x42, struct.pack("<H", codepage))
    styles = record8(0xE0, bytes(20))
    for number, code in enumerate(codes, start=164):
        if isinstance(code, str):
            head += record8(0x41E, struct.pack("<H", number) + _short(code, "<HB", wide=True))
        styles += record8(0xE0, struct.pack("<HH", 0, number if isinstance(code, str) else code) + bytes(16))
    for name, formula in names:
        told = struct.pack("<HBBHHH4B", 0, 0, len(name), len(formula), 0, 0, 0, 0, 0, 0)
        styles += record8(0x18, told + b"\x00" + name.encode() + formula)
    head += styles
    titles = [_short(name, "<BB") for name, _, _ in sheets]
    at = len(head) + sum(4 + 6 + len(title) for title in titles) + 4
    for (_, hidden, _), title, body in zip(sheets, titles, bodies, strict=True):
        head += record8(0x85, struct.pack("<IBB", at, hidden, 0) + title)
        at += len(body)
    return _compound("Workbook", head + record8(0x0A) + b"".join(bodies))


def _xls_sheet(rows: Sequence[Sequence[Cell]], codes: Sequence[str | int], *, wide: bool) -> bytes:
    out = record8(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 6))
    out += record8(0x200, struct.pack("<IIHHH", 0, len(rows), 0, max(map(len, rows)), 0))
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            value, style = (cell[0], 1 + codes.index(cell[1])) if isinstance(cell, tuple) else (cell, 0)
            where = struct.pack("<HHH", number, column, style)
            if isinstance(value, str):
                out += record8(0x204, where + _short(value, "<HB", wide=wide))
            elif value is not None:
                out += record8(0x203, where + struct.pack("<d", value))
    return out


def record8(kind: int, data: bytes = b"") -> bytes:
    """A record of XLS: its type, its size, what is in it."""
    return struct.pack("<HH", kind, len(data)) + data


def _short(text: str, head: str, *, wide: bool = False) -> bytes:
    """A text of one byte a character, or two, its length and a flag in front."""
    return struct.pack(head, len(text), wide) + text.encode("utf-16-le" if wide else "latin-1")


def _compound(name: str, stream: bytes) -> bytes:
    """[MS-CFB] version 3: a header, the allocation table, the directory, and one stream that is no short one."""
    stream = stream.ljust(4096, b"\x00")
    body = [stream[i : i + _SECTOR].ljust(_SECTOR, b"\x00") for i in range(0, len(stream), _SECTOR)]
    tables = -(-(len(body) + 2) // (_SECTOR // 4 - 1))
    table = [_FAT] * tables + [_END] + [tables + 2 + i for i in range(len(body) - 1)] + [_END]
    table += [_FREE] * (tables * _SECTOR // 4 - len(table))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<9I", 0, tables, tables, 0, 4096, _END, 0, _END, 0)
    head += struct.pack("<109I", *range(tables), *[_FREE] * (109 - tables))
    entries = _entry("Root Entry", 5, 1, _END, 0) + _entry(name, 2, _FREE, tables + 1, len(stream))
    directory = entries + 2 * (bytes(68) + struct.pack("<III", _FREE, _FREE, _FREE) + bytes(48))
    return head + struct.pack(f"<{len(table)}I", *table) + directory + b"".join(body)


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    wide = (name + "\x00").encode("utf-16-le")
    links = struct.pack("<HBBIII", len(wide), kind, 1, _FREE, _FREE, child)
    return wide.ljust(64, b"\x00") + links + bytes(36) + struct.pack("<IQ", start, size)
