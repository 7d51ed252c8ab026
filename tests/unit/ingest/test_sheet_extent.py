"""What is looked at before a library holds a sheet: only its cells, and nothing that stands beside them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ingest.readers import reader_for
from rag.errors import UnreadableDocument
from tests.fakes import office_files, sheet_files


def test_what_lies_beside_the_sheets_is_no_sheet(tmp_path: Path) -> None:
    sheet_files.write_xlsb(tmp_path / "a.xlsb")
    before = reader_for(tmp_path / "a.xlsb").read(tmp_path / "a.xlsb").text
    with zipfile.ZipFile(tmp_path / "a.xlsb", "a") as archive:
        for number in range(50):
            archive.writestr(f"xl/worksheets/_rels/sheet{number}.bin.rels", "<a>\n" + " " * number + "</a>")
    assert reader_for(tmp_path / "a.xlsb").read(tmp_path / "a.xlsb").text == before


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (b' uniqueCount="5000', "more texts than bytes"),
        (b' uniqueCount="99999999999999999999', "more texts than bytes"),
        (b' a=">" uniqueCount="99999999999999999999', "more texts than bytes"),
        (b' a="' + b"[" * 70_000 + b'" uniqueCount="99999999999999999999', "its texts do not begin"),
    ],
)
def test_a_workbook_that_says_more_texts_than_it_has_room_for_is_refused(
    tmp_path: Path, count: bytes, said: str
) -> None:
    office_files.write_xlsx(tmp_path / "a.xlsx", rows=2)
    with zipfile.ZipFile(tmp_path / "a.xlsx") as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "xl/sharedStrings.xml":
                part = part.replace(b' uniqueCount="', count)
            new.writestr(name, part)
    with pytest.raises(UnreadableDocument, match=said):
        reader_for(tmp_path / "b.xlsx").read(tmp_path / "b.xlsx")
