"""What Excel 97's spreadsheets give: numbers as they are shown, days and times, merged cells; damage is told."""

from __future__ import annotations

import struct
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
        (1.25, "[Red][h]:mm", "30:00"),
        (5.0, "[h]", "120:00"),
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


def test_a_file_in_an_encoding_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.xls").write_bytes(sheet_files.xls([("S", False, [["a"]])], codepage=1712))
    with pytest.raises(UnreadableDocument, match="the spreadsheet is damaged: unknown encoding"):
        reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls")


@pytest.mark.parametrize("said", ["\n<html><table><tr><td>1</td></tr></table></html>", "part\tvalue\npump\t1\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_text_or_a_web_page_by_that_name_is_told(tmp_path: Path, said: str, encoding: str) -> None:
    (tmp_path / "a.xls").write_text(said, encoding)
    with pytest.raises(UnreadableDocument, match=r"text or a web page by its content, not what \.xls says: rename it"):
        reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls")


TABLE: list[list[Cell]] = [["part", "value"], ["pump", 3.0]]


@pytest.mark.parametrize(
    "records",
    [
        sheet_files.record8(0x201, struct.pack("<HHH", 65_535, 40, 0)),  # a formatted cell without a value, far away
        sheet_files.record8(0x203, struct.pack("<HHHd", 0, 5, 77, 3.0)),  # a number in a style that is not there
        sheet_files.record8(0x1B8, bytes(40)),  # a link of an unknown kind
        sheet_files.record8(0x1C, bytes(3)),  # half a note
    ],
)
def test_what_holds_no_words_does_not_cost_the_rest(tmp_path: Path, records: bytes) -> None:
    (tmp_path / "a.xls").write_bytes(sheet_files.xls([("S", False, TABLE)], records=records))
    lines = reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls").text.splitlines()
    assert [line.split(" |")[0] for line in lines if line] == ["## S, row 2", "| part", "| pump"]


@pytest.mark.parametrize(
    "names",
    [
        [("SheetList", bytes.fromhex("1e0100 4201ba00")), ("First", bytes.fromhex("2301000000"))],  # of its sheets
        [("One", bytes.fromhex("2302000000")), ("Two", bytes.fromhex("2301000000"))],  # each by the other
    ],
)
def test_a_name_that_cannot_be_worked_out_costs_nothing(tmp_path: Path, names: list[tuple[str, bytes]]) -> None:
    (tmp_path / "a.xls").write_bytes(sheet_files.xls([("S", False, TABLE)], names=names))
    assert "| pump | 3 |" in reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls").text


def test_a_hole_of_zeros_is_told_and_no_row_is_lost_in_it(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [[f"T-{number}", "opens"] for number in range(200)]
    data = sheet_files.xls([("One", False, rows)])
    head = len(sheet_files.record8(0x204, bytes(9)))
    at, end = (data.index(text) - head for text in (b"T-150", b"T-151"))
    assert (end - at) % 4 == 0  # the records of one row, as zeros records of no size and no kind
    (tmp_path / "a.xls").write_bytes(data[:at] + bytes(end - at) + data[end:])
    with pytest.raises(UnreadableDocument, match="the spreadsheet is damaged: a sheet of it has no end"):
        reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls")


def test_a_broken_character_costs_no_more_than_itself(tmp_path: Path) -> None:
    data = sheet_files.xls([("S", False, [*TABLE, ["half", 4.0]])], wide=True)
    (tmp_path / "a.xls").write_bytes(data.replace("half".encode("utf-16-le"), "hal".encode("utf-16-le") + b"\x3d\xd8"))
    assert "| pump | 3 |\n| hal� | 4 |" in reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls").text


def test_what_small_programs_write_without_a_workbook_is_read_as_windows_has_it(tmp_path: Path) -> None:
    cells = [
        (row, column, text)
        for row, line in enumerate([["part", "price"], ["Pümp", "5 €"]])
        for column, text in enumerate(line)
    ]
    labels = (
        sheet_files.record8(0x204, struct.pack("<4H", row, column, 0, len(text)) + text.encode("cp1252"))
        for row, column, text in cells
    )
    begin, end = sheet_files.record8(0x809, struct.pack("<4H", 0, 0x10, 0, 0)), sheet_files.record8(0x0A)
    (tmp_path / "a.xls").write_bytes(begin + b"".join(labels) + end)
    lines = reader_for(tmp_path / "a.xls").read(tmp_path / "a.xls").text.splitlines()
    assert lines[2:] == ["| part | price |", "| Pümp | 5 € |"]
