"""XLSX and XLSB to the cells of their sheets, by calamine; hidden sheets are left out.

Knows no other format.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest import archives, sheet_extent
from ingest.office_properties import properties
from ingest.readers import Extracted
from ingest.sheet_formats import Formats
from ingest.sheet_rows import Sheet, check_size, sections
from rag.errors import UnreadableDocument

_XLSX, _XLSB = "xl/workbook.xml", "xl/workbook.bin"
_PARTS = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm"), _XLSX),
    ".xlsb": _XLSB,
}
_CHECKS = {
    _XLSX: sheet_extent.check_xml,
    _XLSB: sheet_extent.check_binary,
}


def read_sheet(path: Path) -> Extracted:
    """Rows as `| a | b |` under `## sheet, rows 2 to 20`, numbers as their formats show them where it is XLSX."""
    part = _PARTS[path.suffix.lower()]
    with archives.bounded(path, kind=f"spreadsheet ({path.suffix.lower()})", holds=part) as archive:
        _CHECKS[part](archive)
        with _damage_told():
            text = "\n\n".join(_sections(path, Formats(archive) if part == _XLSX else None))
    return Extracted(text, *properties(path))


def _sections(path: Path, formats: Formats | None) -> Iterator[str]:
    import python_calamine as calamine

    book = calamine.CalamineWorkbook.from_path(str(path))
    cells = 0
    for about in book.sheets_metadata:
        visible = about.visible == calamine.SheetVisibleEnum.Visible
        if about.typ != calamine.SheetTypeEnum.WorkSheet or not visible:
            continue
        sheet = book.get_sheet_by_name(about.name)
        cells += sheet.total_height * sheet.total_width
        check_size(cells)
        yield from sections(
            Sheet(
                about.name,
                sheet.iter_rows(),
                left=sheet.start[1] if sheet.start else 0,
                merged=sheet.merged_cell_ranges or (),
                formats=formats.rows(about.name) if formats else (),
            )
        )


@contextmanager
def _damage_told() -> Iterator[None]:
    """What calamine raises on a damaged file, its panics among it, as UnreadableDocument."""
    import python_calamine as calamine

    try:
        yield
    except calamine.PasswordError as error:
        raise UnreadableDocument("the spreadsheet is encrypted and needs a password") from error
    except (calamine.CalamineError, calamine.ZipError, calamine.XmlError, OSError) as error:
        raise UnreadableDocument(f"the spreadsheet is damaged: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, unwound; no module has it to import
            raise
        raise UnreadableDocument("the spreadsheet is damaged: its parts are shorter than they say") from error
