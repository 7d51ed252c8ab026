"""An XLS workbook opened by xlrd so that what holds its cells decides, and nothing else that lies in the file.

xlrd reads names, notes and links of a workbook too and gives it up where it does not know one of them; on the other
hand it steps over a hole of zeros, and may go on in the next sheet. Knows no text.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ingest import archives
from rag.errors import UnreadableDocument

_OLE, _STREAM = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", (b"\x09\x00", b"\x09\x02", b"\x09\x04", b"\x09\x08")
"""How a compound file begins, and a workbook that lies in none."""
_BOF, _EOF = 0x809, 0x0A
_BIFF8 = 80
_WINDOWS = "cp1252"
"""The encoding of an older file that names none: many small programs write such, all of them under Windows."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The workbook (xlrd's Book), its sheets not loaded yet. Raises UnreadableDocument, within it too."""
    xlrd = _library()
    from xlrd.compdoc import CompDocError

    with path.open("rb") as file:
        if not file.read(8).startswith((_OLE, *_STREAM)):  # as many programs export
            raise UnreadableDocument("the file is text or a web page by its content, not what .xls says: rename it")
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as silent:
            options = dict.fromkeys(("formatting_info", "ragged_rows", "on_demand", "ignore_workbook_corruption"), True)
            book = xlrd.open_workbook(str(path), logfile=silent, **options)
            if book.codepage is None and book.biff_version < _BIFF8:
                book.release_resources()
                book = xlrd.open_workbook(str(path), logfile=silent, encoding_override=_WINDOWS, **options)
            with book:
                if book.biff_version == _BIFF8 and not all(_whole(book, at) for at in book._sh_abs_posn):
                    raise UnreadableDocument("the spreadsheet is damaged: a sheet of it has no end")
                number = xlrd.XL_CELL_NUMBER  # whose format is missing
                book._xf_index_to_xl_type_map = defaultdict(lambda: number, book._xf_index_to_xl_type_map)
                yield book
    except (xlrd.XLRDError, CompDocError, LookupError, struct.error, *archives.DAMAGED) as error:
        if "encrypted" in str(error):
            raise UnreadableDocument("the spreadsheet is encrypted and needs a password") from error
        if "find workbook" in str(error):
            raise UnreadableDocument("the file holds no workbook: it is another kind of office file") from error
        raise UnreadableDocument(f"the spreadsheet is damaged: {archives.told(error)}") from error


@cache
def _library() -> Any:
    """xlrd, without what holds no cells (python-excel/xlrd issues 93, 100, 154, 302), and lenient with characters."""
    import xlrd

    def skip(*_: object) -> None:
        pass

    def decoded(data: bytes, encoding: str) -> str:
        return data.decode(encoding, "replace")

    xlrd.book.Book.names_epilogue = skip
    for name in ("handle_note", "handle_hlink", "handle_quicktip", "handle_obj", "handle_txo"):
        setattr(xlrd.sheet.Sheet, name, skip)
    for module in (xlrd.biffh, xlrd.book, xlrd.sheet):
        module.unicode = decoded
    return xlrd


def _whole(book: Any, start: int) -> bool:
    """Whether the records of a sheet lead to its end, and neither through zeros nor into the next one."""
    end = min((at for at in book._sh_abs_posn if at > start), default=book.base + book.stream_len)
    depth, at = 0, start
    while at + 4 <= end:
        kind, size = struct.unpack_from("<HH", book.mem, at)
        at += 4 + size
        depth += (kind == _BOF) - (kind == _EOF)
        if depth == 0 or kind == 0:
            return bool(depth == 0 and kind == _EOF)
    return False
