"""What an OpenDocument spreadsheet gives: kinds of values, what is said once with a count, merged cells."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ingest.readers import Extracted, reader_for
from rag.errors import UnreadableDocument
from tests.fakes import sheet_files
from tests.fakes.sheet_files import ods_cell


def read(path: Path, tables: str) -> Extracted:
    path = path / "a.ods"
    path.write_bytes(sheet_files.ods(tables))
    return reader_for(path).read(path)


def lines_of(path: Path, *rows: str) -> list[str]:
    """The lines of a file with one sheet `S` of these rows, each with its attributes or its cells alone."""
    whole = (row if row.startswith("<table:table-row") else f"<table:table-row>{row}</table:table-row>" for row in rows)
    text = read(path, f'<table:table table:name="S">{"".join(whole)}</table:table>').text
    return [line for line in text.splitlines() if line]


def typed(kind: str, told: str, shown: str) -> str:
    return ods_cell(shown, f'office:value-type="{kind}" {told}')


def test_the_same_sheets_read_the_same_whatever_their_format(tmp_path: Path) -> None:
    from tests.fakes import office_files

    office_files.write_xlsx(tmp_path / "a.xlsx")
    expected = reader_for(tmp_path / "a.xlsx").read(tmp_path / "a.xlsx").text
    assert office_files.FACT in expected
    for suffix, write in (
        (".ods", sheet_files.write_ods),
        (".xlsb", sheet_files.write_xlsb),
        (".xls", sheet_files.write_xls),
    ):
        write(tmp_path / f"a{suffix}")
        assert reader_for(tmp_path / f"a{suffix}").read(tmp_path / f"a{suffix}").text == expected, suffix


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (typed("float", 'office:value="1234.5"', "1.234,50"), "1234.5"),
        (typed("float", 'office:value="1067"', "01067"), "01067"),
        (typed("float", 'office:value="5"', "5 kg"), "5 kg"),
        (typed("float", 'office:value="0"', "0,00 €"), "0.00 €"),
        (typed("float", 'office:value="1000"', "1.000"), "1000"),
        (typed("float", 'office:value="1200000"', "1,2 Mio."), "1200000"),
        (typed("float", 'office:value="-1234.5"', "(1.234,50 €)"), "-1234.50 €"),
        (typed("float", 'office:value="1,5"', "1,5"), "1,5"),
        (typed("float", 'office:value="NaN"', "none"), "none"),
        (typed("float", 'office:value="0"', "#DIV/0!"), ""),
        (typed("string", 'calcext:value-type="error"', "#N/A"), ""),
        (typed("string", "", "#1 seller"), "#1 seller"),
        (typed("percentage", 'office:value="0.155"', "15,50 %"), "15.50 %"),
        (typed("percentage", 'office:value="0.07"', "7%"), "7%"),
        (typed("percentage", 'office:value="0.155"', "so much"), "15.5%"),
        (typed("currency", 'office:value="33.333333333333336" office:currency="EUR"', "33,33 €"), "33.33 €"),
        (typed("currency", 'office:value="-12.5" office:currency="EUR"', "-12,5"), "-12.5"),
        (typed("currency", 'office:value="12.5" office:currency="EUR"', "about a dozen"), "12.5 EUR"),
        (typed("boolean", 'office:boolean-value="true"', "WAHR"), "yes"),
        (typed("boolean", 'office:boolean-value="1"', "WAHR"), "yes"),
        (typed("boolean", "", "WAHR"), "WAHR"),
        (typed("date", 'office:date-value="2024-01-05"', "05.01.24"), "2024-01-05"),
        (typed("date", 'office:date-value="2024-01-05T14:29:59.999999999"', "05.01.24"), "2024-01-05 14:30"),
        (typed("date", 'office:date-value="2024-01-05T00:00:00"', "05.01.24"), "2024-01-05"),
        (typed("date", 'office:date-value="2024-01-05T14:30:00"', "05.01.24"), "2024-01-05 14:30"),
        (typed("date", 'office:date-value="-0044-03-15"', "15.03.-44"), "15.03.-44"),
        (typed("time", 'office:time-value="PT07H05M00S"', "07:05"), "07:05"),
        (typed("time", 'office:time-value="PT30H05M00S"', "30:05"), "30:05"),
        (typed("time", 'office:time-value="PT07H59M59.999999999S"', "08:00"), "08:00"),
        (typed("time", 'office:time-value="PT1.5H"', "01:30"), "01:30"),
        (typed("string", 'office:string-value="whole"', "shown"), "whole"),
        ("<table:table-cell><text:p>1<text:s/>two</text:p><text:p>three</text:p></table:table-cell>", "1 two three"),
        (
            "<table:table-cell><office:annotation><text:p>a comment</text:p></office:annotation>"
            "<text:p>a <text:span>word</text:span></text:p></table:table-cell>",
            "a word",
        ),
    ],
)
def test_a_cell_is_said_by_what_it_is(tmp_path: Path, cell: str, said: str) -> None:
    assert lines_of(tmp_path, ods_cell("part") + ods_cell("value"), ods_cell("pump") + cell)[-1] == f"| pump | {said} |"


def test_what_is_said_once_with_a_count_stands_as_often(tmp_path: Path) -> None:
    twice, thrice = 'table:number-columns-repeated="2"', 'table:number-rows-repeated="3"'
    row = f"<table:table-row {thrice}>{ods_cell('T-1')}{ods_cell(5.0, twice)}</table:table-row>"
    lines = lines_of(tmp_path, ods_cell("part") + ods_cell("q1") + ods_cell("q2"), row)
    assert lines == ["## S, rows 2 to 4", "| part | q1 | q2 |", *["| T-1 | 5 | 5 |"] * 3]


def test_rows_and_columns_keep_their_places_behind_empty_ones(tmp_path: Path) -> None:
    away = ods_cell(None, 'table:number-columns-repeated="4"')
    gap = f'<table:table-row table:number-rows-repeated="6">{ods_cell(None)}</table:table-row>'
    rows = (away + ods_cell("part") + ods_cell("bar"), away + ods_cell("T-1") + ods_cell(3.5))
    assert lines_of(tmp_path, gap, *rows) == ["## S, row 8", "| part | bar |", "| T-1 | 3.5 |"]


def test_a_merged_cell_is_said_in_each_row_that_it_spans(tmp_path: Path) -> None:
    lines = lines_of(
        tmp_path,
        ods_cell("Dept") + ods_cell("Name"),
        ods_cell("Sales", 'table:number-rows-spanned="2"') + ods_cell("Ann"),
        "<table:covered-table-cell><text:p>hidden below</text:p></table:covered-table-cell>" + ods_cell("Ben"),
    )
    assert lines[2:] == ["| Sales | Ann |", "| Sales | Ben |"]


def test_a_table_within_a_cell_leaves_the_rows_around_it_as_they_are(tmp_path: Path) -> None:
    inner = '<table:table table:name="T"><table:table-row><table:table-cell/></table:table-row></table:table>'
    lines = lines_of(
        tmp_path,
        ods_cell("part") + ods_cell("bar"),
        ods_cell("T-1") + f"<table:table-cell>{inner}<text:p>4</text:p></table:table-cell>",
        ods_cell("T-2") + ods_cell(5.0),
    )
    assert lines == ["## S, rows 2 to 3", "| part | bar |", "| T-1 | 4 |", "| T-2 | 5 |"]


def test_a_copy_of_another_files_cells_is_no_sheet(tmp_path: Path) -> None:
    cached = f"<table:table><table:table-row>{ods_cell('cached')}</table:table-row></table:table>"
    own = f'<table:table table:name="S"><table:table-row>{ods_cell("own")}</table:table-row></table:table>'
    links = f"<table:dde-links><table:dde-link>{cached}</table:dde-link></table:dde-links>"
    assert read(tmp_path, own + links).text == "## S\n\nown"


@pytest.mark.parametrize("part", ["content.xml", "encrypted-package"])
def test_an_encrypted_one_is_told_so(tmp_path: Path, part: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as archive:
        archive.writestr(part, b"\x81\x92\x07")
        archive.writestr("META-INF/manifest.xml", f'<file-entry full-path="{part}"><encryption-data/></file-entry>')
    with pytest.raises(UnreadableDocument, match="encrypted and needs a password"):
        reader_for(tmp_path / "a.ods").read(tmp_path / "a.ods")


@pytest.mark.parametrize(("header", "flags", "name"), [(b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)])
def test_a_name_in_the_archive_that_is_no_utf_8_is_told_as_damage(
    tmp_path: Path, header: bytes, flags: int, name: int
) -> None:
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as archive:
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", "<document/>")
    damaged = bytearray((tmp_path / "a.ods").read_bytes())
    at = damaged.index(header)
    damaged[at + flags + 1] |= 0x08  # the name says that it is UTF-8
    damaged[at + name] = 0xCE
    (tmp_path / "a.ods").write_bytes(damaged)
    with pytest.raises(UnreadableDocument, match=r"is no spreadsheet \(\.ods\), or a damaged one|holds no text"):
        reader_for(tmp_path / "a.ods").read(tmp_path / "a.ods")
