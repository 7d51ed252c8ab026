"""CSV files as people export them: no line above the header makes one, and no cell that says something is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.rows import Row, read
from rag.types import MetadataValue


def rows_of(path: Path, text: str) -> list[Row]:
    path.write_bytes(text.encode())
    found = list(read(path, path.name, None))
    assert all(isinstance(row, Row) for row in found), found
    return [row for row in found if isinstance(row, Row)]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("sep=;\r\nName;Preis\r\nPumpe;12,5\r\n", ["Name: Pumpe\nPreis: 12,5"]),
        ("Name;Preis\nPumpe;12,5\nVentil;3,5\n", ["Name: Pumpe\nPreis: 12,5", "Name: Ventil\nPreis: 3,5"]),
        ('"Name, first";Phone\nAnn;11\n', ["Name, first: Ann\nPhone: 11"]),
        ('"a, b, c";"d, e, f"\n"1, 2, 3";"4, 5, 6"\n', ["a, b, c: 1, 2, 3\nd, e, f: 4, 5, 6"]),
        ("a\tb, c\td\n1\t2\t3\n", ["a: 1\nb, c: 2\nd: 3"]),
        ("Question\nWho, and why?\nWhat, then?\n", ["Who, and why?", "What, then?"]),
        (
            "Report of 2024-01-01\nDepartment: Sales\n\nName,Phone\nAnn,11\nBen,12\n",
            ["Name: Ann\nPhone: 11", "Name: Ben\nPhone: 12"],
        ),
        ("Report,,,\n,,,\nName,Phone,2023,2024\nAnn,11,1,2\nBen,12,3,\n", ["Name: Ann\nPhone: 11\n2023: 1\n2024: 2",
                                                                            "Name: Ben\nPhone: 12\n2023: 3"]),
        (",Q1,Q2\nNorth,1,2\n", ["North\nQ1: 1\nQ2: 2"]),
        ("Name,Phone,Phone,Phone 2\nAnn,11,22,33\n", ["Name: Ann\nPhone: 11\nPhone 3: 22\nPhone 2: 33"]),
        ("Name,Phone\nAnn,11,22,,33\n", ["Name: Ann\nPhone: 11\ncolumn 3: 22\ncolumn 5: 33"]),
        ("Name,Phone\nAnn,11,22\nBen,12,13\n", ["Name: Ann\nPhone: 11\ncolumn 3: 22",
                                                 "Name: Ben\nPhone: 12\ncolumn 3: 13"]),
        ("Name,,Phone,\nAnn,x,11,\n", ["Name: Ann\ncolumn 2: x\nPhone: 11"]),
        ("Name,Note\nAnn,first\u2028second\nBen,a\x85b\n", ["Name: Ann\nNote: first\u2028second",
                                                                "Name: Ben\nNote: a\x85b"]),
    ],
)  # fmt: skip
def test_every_cell_is_told_under_its_column(tmp_path: Path, text: str, rows: list[str]) -> None:
    assert [row.text for row in rows_of(tmp_path / "a.csv", text)] == rows


def test_blank_rows_are_passed_over_and_counted(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.csv", "Name,Phone\n,,\nAnn,11\n\n ,\nBen,12\n")
    assert [row.id for row in found] == ["a.csv#2", "a.csv#4"]


@pytest.mark.parametrize(
    ("text", "told", "metadata"),
    [
        ("id,date,text,status\nA1,2024,Printer broken,open\n",
         "id: A1\ndate: 2024\ntext: Printer broken\nstatus: open", {}),
        ("id,text\nA1,Printer broken\n", "Printer broken", {}),
        ("doc_id,title,text\nA1,Printers,Printer broken\n", "Printer broken", {}),
        ("doc_id,title,text,area,left\nA1,Printers,Printer broken,office,\n", "Printer broken", {"area": "office"}),
    ],
)  # fmt: skip
def test_a_column_called_text_makes_no_other_vanish(
    tmp_path: Path, text: str, told: str, metadata: dict[str, MetadataValue]
) -> None:
    [row] = rows_of(tmp_path / "a.csv", text)
    assert (row.id, row.text, row.metadata) == ("A1", told, metadata)
