"""What Excel 97's spreadsheets give: numbers as they are shown, days and times, merged cells; damage is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.readers import reader_for
from rag.errors import UnreadableDocument
from tests.fakes import sheet_files
from tests.fakes.sheet_files import Cell


def lines_of(path: Path, *rows: Sequence[Cell], merged: Sequence[tuple[int, int, int, int]] = ()) -> list[str]:
    """The lines of a file with one sheet `S` of these rows."""
    path = path / "a.xls"
    path.write_bytes(sheet_files.xls([("S", False, rows)], merged=merged))
    return [line for line in reader_for(path).read(path).text.splitlines() if line]


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (0.155, "0.0%", "15.5%"),
        (1234.5, "#,##0.00\\ [$€-407]", "1234.50 €"),
        (123.0, "00000", "00123"),
        (1234.5, "#,##0.00", "1234.5"),
        (45296.0, "dd/mm/yyyy", "2024-01-05"),
        (45296.5, "dd/mm/yyyy hh:mm", "2024-01-05 12:00"),
        (0.25, "hh:mm", "06:00"),
        (1.25, "[h]:mm", "30:00"),
        (1e15, "dd/mm/yyyy", "1e+15"),
        (0.5, 9, "50%"),
        (12.5, 44, "12.5"),  # of money, which the file does not name
    ],
)
def test_a_number_is_said_as_its_format_shows_it(tmp_path: Path, value: float, code: str | int, said: str) -> None:
    lines = lines_of(tmp_path, ["part", "value"], ["pump", (value, code)])
    assert lines == ["## S, row 2", "| part | value |", f"| pump | {said} |"]


def test_rows_keep_their_places_and_merged_cells_are_said_in_each(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [[], [], [None, "Dept", "Name"], [None, "Sales", "Ann"], [None, None, "Ben"]]
    lines = lines_of(tmp_path, *rows, merged=[(3, 4, 1, 1)])
    assert lines == ["## S, rows 4 to 5", "| Dept | Name |", "| Sales | Ann |", "| Sales | Ben |"]


@pytest.mark.parametrize("kept", [600, 3000, 5000])
def test_a_file_that_ends_too_early_is_told(tmp_path: Path, kept: int) -> None:
    sheet_files.write_xls(tmp_path / "a.xls")
    (tmp_path / "a.xls").write_bytes((tmp_path / "a.xls").read_bytes()[:kept])
    with pytest.raises(UnreadableDocument, match="the spreadsheet is damaged: "):
        reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls")


def test_a_web_page_by_that_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.xls").write_text("\n<html><table><tr><td>1</td></tr></table></html>", "utf-8")
    with pytest.raises(UnreadableDocument, match=r"a web page or XML by its content, not what \.xls says: rename it"):
        reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls")
