"""What slides give: shapes in reading order, merged cells filled, charts and diagrams as words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.readers import Extracted, reader_for

BLANK = 6
"""The layout without a title."""


def read(path: Path, fill: Callable[[Any], None]) -> Extracted:
    """What the reader gives of a deck with one slide without a title, filled so."""
    import pptx

    deck = pptx.Presentation()
    fill(deck.slides.add_slide(deck.slide_layouts[BLANK]))
    deck.save(str(path))
    return reader_for(path).read(path)


def boxes(*placed: tuple[float, float, float, str]) -> Callable[[Any], None]:
    """Text boxes 3 inches wide: (left, top, height in inches, text)."""

    def fill(slide: Any) -> None:
        from pptx.util import Inches

        for left, top, height, text in placed:
            box = slide.shapes.add_textbox(Inches(left), Inches(top), Inches(3), Inches(height))
            box.text_frame.text = text

    return fill


@pytest.mark.parametrize(
    ("placed", "order"),
    [
        # two headings, each over its text; the right one a little higher
        ([(5, 2, 0.5, "C"), (1, 2.05, 0.5, "A"), (1, 3, 0.5, "B"), (5, 3, 0.5, "D")], "A B C D"),
        # two such pairs below a line of their own: headings are lower than texts
        (
            [(1, 0.2, 0.5, "0"), (1, 1, 0.4, "A"), (5, 1, 0.4, "C"), (1, 1.5, 1, "B"), (5, 1.5, 1, "D"),
             (1, 3, 0.4, "E"), (5, 3, 0.4, "G"), (1, 3.5, 1, "F"), (5, 3.5, 1, "H")],
            "0 A B C D E F G H",
        ),
        # three rows of a label and its value
        ([(5, 1, 0.5, "B"), (1, 1.1, 0.5, "A"), (1, 2, 0.5, "C"), (5, 2, 0.5, "D"), (5, 3, 0.5, "F"), (1, 3, 0.5, "E")],
         "A B C D E F"),
    ],
)  # fmt: skip
def test_shapes_are_read_in_rows_and_headings_with_their_texts(
    tmp_path: Path, placed: list[tuple[float, float, float, str]], order: str
) -> None:
    found = read(tmp_path / "a.pptx", boxes(*placed))
    assert found.text.removeprefix("## Slide 1").split() == order.split()


def test_a_merged_cell_of_a_slide_is_said_in_each_row_and_column(tmp_path: Path) -> None:
    def fill(slide: Any) -> None:
        table = slide.shapes.add_table(4, 3, 0, 0, 900, 900).table
        rows = (("Team", "Lead", "Deputy"), ("North", "Ann", "Ben"), ("", "Cem", "Dan"), ("South", "none", ""))
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                table.cell(row, column).text = text
        table.cell(1, 0).merge(table.cell(2, 0))
        table.cell(3, 1).merge(table.cell(3, 2))

    assert read(tmp_path / "a.pptx", fill).text.splitlines()[2:] == [
        "| Team | Lead | Deputy |",
        "|---|---|---|",
        "| North | Ann | Ben |",
        "| North | Cem | Dan |",
        "| South | none | none |",
    ]


def test_line_breaks_part_words_and_powers_are_told(tmp_path: Path) -> None:
    def fill(slide: Any) -> None:
        frame = slide.shapes.add_textbox(0, 0, 900, 900).text_frame
        frame.text = "Revenue\v2023: 10"
        for text, baseline in (("6", "30000"), (" H", "0"), ("2", "-25000"), ("O, the 1", "0"), ("st", "30000")):
            run = frame.paragraphs[0].add_run()
            run.text = text
            run.font._rPr.set("baseline", baseline)
        slide.shapes.add_table(1, 1, 0, 9_000_000, 900, 900).table.cell(0, 0).text = "two\vlines"

    found = read(tmp_path / "a.pptx", fill)
    assert found.text == "## Slide 1\n\nRevenue 2023: 10^6 H2O, the 1st\n\n| two lines |"


def test_a_chart_gives_its_title_and_its_values_as_rows(tmp_path: Path) -> None:
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE

    def fill(slide: Any) -> None:
        data = CategoryChartData(number_format="0.0%")
        data.categories = ["North", "South"]
        data.add_series("2023", (0.125, 0.25))
        data.add_series("2024", (None, 0.5))
        chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, 900, 900, data).chart
        chart.has_title = True
        chart.chart_title.text_frame.text = "Share of each region"

    assert read(tmp_path / "a.pptx", fill).text == (
        "## Slide 1\n\nShare of each region\n\n"
        "|  | 2023 | 2024 |\n|---|---|---|\n| North | 12.5% |  |\n| South | 25.0% | 50.0% |"
    )


def test_a_chart_of_pairs_gives_both_of_each(tmp_path: Path) -> None:
    from pptx.chart.data import XyChartData
    from pptx.enum.chart import XL_CHART_TYPE

    def fill(slide: Any) -> None:
        data = XyChartData()
        series = data.add_series("bar")
        series.add_data_point(10, 3.5)
        series.add_data_point(20, 4)
        slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, 0, 0, 900, 900, data)

    lines = read(tmp_path / "a.pptx", fill).text.splitlines()
    assert lines[2:] == ["|  | bar |", "|---|---|", "| 10 | 3.5 |", "| 20 | 4 |"]


def test_a_diagram_gives_its_words_as_a_list(tmp_path: Path) -> None:
    from pptx.opc.package import Part
    from pptx.opc.packuri import PackURI
    from pptx.oxml import parse_xml

    spaces = (
        'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    )
    point = "<dgm:pt{}><dgm:t><a:p><a:r><a:t>{}</a:t></a:r></a:p></dgm:t></dgm:pt>"
    texts = point.format("", "Plan") + point.format(' type="sibTrans"', "arrow") + point.format("", "Build")

    def fill(slide: Any) -> None:
        blob = f"<dgm:dataModel {spaces}><dgm:ptLst>{texts}</dgm:ptLst></dgm:dataModel>".encode()
        kind = "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml"
        part = Part(PackURI("/ppt/diagrams/data1.xml"), kind, slide.part.package, blob)
        relation = slide.part.relate_to(
            part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData"
        )
        frame = slide.shapes.add_table(1, 1, 0, 0, 9, 9)._element
        data = frame.find(".//{*}graphicData")
        data.set("uri", "http://schemas.openxmlformats.org/drawingml/2006/diagram")
        data[:] = [parse_xml(f'<dgm:relIds {spaces} r:dm="{relation}"/>')]

    assert read(tmp_path / "a.pptx", fill).text == "## Slide 1\n\n- Plan\n- Build"
