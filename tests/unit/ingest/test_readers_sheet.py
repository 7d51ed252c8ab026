"""What a spreadsheet gives: merged cells filled, headers of two rows, numbers as they are shown, its properties."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.readers import Extracted, reader_for
from ingest.sheet_formats import parsed

Fill = Callable[[Any, Any], None]


def read(path: Path, fill: Fill) -> Extracted:
    """What the reader gives of a workbook with one sheet `S`, filled so: `fill(book, sheet)`."""
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        fill(book, book.add_worksheet("S"))
    return reader_for(path).read(path)


def rows_of(path: Path, *rows: list[object], merged: tuple[str, ...] = ()) -> list[str]:
    """The lines under the headings of a sheet of such rows; a merged range holds what its first cell holds."""

    def fill(book: Any, sheet: Any) -> None:
        for number, cells in enumerate(rows):
            sheet.write_row(number, 0, [cell if cell != "" else None for cell in cells])
        for place in merged:
            row, column = int(place[1]) - 1, ord(place[0]) - 65
            sheet.merge_range(place, rows[row][column])

    return [line for line in read(path, fill).text.splitlines() if line]


def test_a_merged_cell_is_said_in_each_row_and_column_that_it_spans(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Dept", "Name", "Ext", "Fax"], ["Sales", "Ann", 1, 2], ["", "Ben", "none", ""]]
    lines = rows_of(tmp_path / "a.xlsx", *rows, merged=("A2:A3", "C3:D3"))
    assert lines == [
        "## S, rows 2 to 3",
        "| Dept | Name | Ext | Fax |",
        "| Sales | Ann | 1 | 2 |",
        "| Sales | Ben | none | none |",
    ]


def test_every_block_stands_under_both_rows_of_a_header(tmp_path: Path) -> None:
    head: list[list[object]] = [["Region", "2023", "", "2024", ""], ["", "Q1", "Q2", "Q1", "Q2"]]
    data: list[list[object]] = [[f"Region number {i}", i, i + 1, i + 2, i + 3] for i in range(40)]
    lines = rows_of(tmp_path / "a.xlsx", *head, *data, merged=("A1:A2", "B1:C1", "D1:E1"))
    headings = [i for i, line in enumerate(lines) if line.startswith("## ")]
    assert len(headings) > 2
    assert lines[0].startswith("## S, rows 3 to ")
    assert {lines[i + 1] for i in headings} == {"| Region | 2023 Q1 | 2023 Q2 | 2024 Q1 | 2024 Q2 |"}


def test_a_row_of_data_below_a_merged_header_is_no_header(tmp_path: Path) -> None:
    lines = rows_of(
        tmp_path / "a.xlsx", ["Part", "Price", ""], ["Pump", 12, "EUR"], ["Cap", 1, "EUR"], merged=("B1:C1",)
    )
    assert lines == ["## S, rows 2 to 3", "| Part | Price | Price |", "| Pump | 12 | EUR |", "| Cap | 1 | EUR |"]


def test_a_merged_caption_is_a_caption(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Price list", "", ""], ["", "", ""], ["part", "bar", "note"], ["T-1", 3.5, "new"]]
    lines = rows_of(tmp_path / "a.xlsx", *rows, merged=("A1:C2",))
    assert lines == ["## S", "Price list", "## S, row 4", "| part | bar | note |", "| T-1 | 3.5 | new |"]


def test_what_a_form_merges_in_every_row_is_said_once(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Field", "Value", "", "x"], ["Firm", "ACME", "", 1], ["Town", "Delft", "", 2]]
    lines = rows_of(tmp_path / "a.xlsx", *rows, merged=("B1:C1", "B2:C2", "B3:C3"))
    assert lines[2:] == ["| Firm | ACME |  | 1 |", "| Town | Delft |  | 2 |"]


def test_a_table_goes_on_behind_an_empty_row(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Name", "Phone"], ["Ann", 11], [], ["Cem", 13], ["Dan", 14]]
    lines = rows_of(tmp_path / "a.xlsx", *rows)
    assert lines[3:] == ["## S, rows 4 to 5", "| Name | Phone |", "| Cem | 13 |", "| Dan | 14 |"]


@pytest.mark.parametrize("header", [["Town", "Size"], ["Year", 2024], ["Town", "Size", 3]])
def test_another_table_behind_an_empty_row_has_its_own_header(tmp_path: Path, header: list[object]) -> None:
    lines = rows_of(tmp_path / "a.xlsx", ["Name", "Phone"], ["Ann", 11], [], header, ["Delft", 14])
    assert lines[3:5] == ["## S, row 5", f"| {' | '.join(map(str, header))} |"]


def test_numbers_are_read_as_they_are_shown(tmp_path: Path) -> None:
    def fill(book: Any, sheet: Any) -> None:
        values: list[tuple[object, str]] = [
            (0.155, "0.0%"), (0.2, "0%"), (1234.5, '#,##0.00 "€"'), (-7, "[$CHF] #,##0.00"), (123, "00000"),
            (3.25, 'General" bar"'), (timedelta(hours=37, minutes=30), "[h]:mm"), (time(8, 30), "hh:mm"),
            (date(2024, 3, 1), "dd.mm.yyyy"), (0.155, "0.00"), (1234.5, "#,##0.00"),
        ]  # fmt: skip
        sheet.write(3, 2, "value")
        for number, (value, form) in enumerate(values):
            sheet.write(4 + number, 2, value, book.add_format({"num_format": form}))

    lines = read(tmp_path / "a.xlsx", fill).text.splitlines()[3:]
    assert lines == [
        "| 15.5% |", "| 20% |", "| 1234.50 € |", "| -CHF 7.00 |", "| 00123 |", "| 3.25 bar |", "| 37:30 |", "| 08:30 |",
        "| 2024-03-01 |", "| 0.155 |", "| 1234.5 |",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ('_-* #,##0.00\\ "€"_-;-* #,##0.00\\ "€"_-', 1234.5, "1234.50 €"),
        ('_("$"* #,##0.00_)', -3.5, "-$3.50"),
        ("[Red]0.0%", 0.5, "50.0%"),
        ('0.##" m"', 2.0, "2 m"),
        ('#,##0,"k"', 1_234_567.0, "1235k"),
        ("000-00-0000", 123456789.0, "123-45-6789"),
        ("$0.00", -0.001, "$0.00"),
        ("0" * 300, 1.0, "0" * 14 + "1"),
    ],
)
def test_a_format_says_what_the_plain_number_does_not(code: str, value: float, shown: str) -> None:
    form = parsed(code)
    assert form is not None
    assert form.show(value) == shown


@pytest.mark.parametrize(
    "code", ["", "General", "0.00", "#,##0", "@", "dd.mm.yyyy", "[h]:mm", "0.00E+00", "# ?/?", "[<9]0%"]
)
def test_other_formats_leave_the_number_as_it_is(code: str) -> None:
    assert parsed(code) is None


def test_a_workbook_tells_its_title_and_author(tmp_path: Path) -> None:
    def fill(book: Any, sheet: Any) -> None:
        book.set_properties(
            {"title": "Price book 2024", "author": "Ann Berg", "created": datetime(2024, 3, 1, tzinfo=UTC)}
        )
        sheet.write(0, 0, "Words")

    found = read(tmp_path / "a.xlsx", fill)
    assert (found.title, found.metadata["author"], found.metadata["created"]) == (
        "Price book 2024",
        "Ann Berg",
        "2024-03-01",
    )
