"""What a Word file gives: all that a person sees in it once, tables under their header, headings of any style."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.chunkers import chunks_of
from ingest.readers import Extracted, reader_for
from rag.types import Document

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
Fill = Callable[[Any], None]


def read(path: Path, fill: Fill, *, edit: Callable[[str, str], str] | None = None) -> Extracted:
    """What the reader gives of a document filled so; `edit` changes its parts, by name, and drops those it empties."""
    import docx

    document = docx.Document()
    fill(document)
    document.save(str(path))
    if edit:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in parts.items():
                changed = edit(name, data.decode()).encode() if name.endswith((".xml", ".rels")) else data
                if changed:
                    archive.writestr(name, changed)
    return reader_for(path).read(path)


def add(parent: Any, xml: str) -> None:
    from docx.oxml import parse_xml

    parent.append(parse_xml(re.sub(r"^<([\w:]+)", rf"<\1 {W} {MC} {M}", xml)))


def sentence(*middle: str) -> Fill:
    """A paragraph `The limit is … today.` with such elements within."""

    def fill(document: Any) -> None:
        paragraph = document.add_paragraph("The limit is ")
        for xml in middle:
            add(paragraph._p, xml)
        paragraph.add_run(" today.")

    return fill


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("<w:ins w:id='2'><w:r><w:t>30</w:t></w:r></w:ins>", "30"),
        ("<w:moveTo w:id='2'><w:r><w:t>30</w:t></w:r></w:moveTo>", "30"),
        ("<w:del w:id='1'><w:r><w:delText>25</w:delText></w:r></w:del>", ""),
        ("<w:moveFrom w:id='1'><w:r><w:t>25</w:t></w:r></w:moveFrom>", ""),
        ("<w:sdt><w:sdtPr/><w:sdtContent><w:r><w:t>30</w:t></w:r></w:sdtContent></w:sdt>", "30"),
        ("<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:t>?</w:t></w:sdtContent></w:sdt>", ""),
        ("<w:fldSimple w:instr=' REF x '><w:r><w:t>30</w:t></w:r></w:fldSimple>", "30"),
        ("<w:smartTag><w:r><w:t>30</w:t></w:r></w:smartTag>", "30"),
        ("<w:customXml><w:r><w:t>30</w:t></w:r></w:customXml>", "30"),
        ("<w:r><w:instrText> REF x </w:instrText></w:r>", ""),
        ("<w:r><w:t>non</w:t><w:noBreakHyphen/><w:t>stop</w:t></w:r>", "non-stop"),
        ("<w:r><w:sym w:font='Symbol' w:char='F0B3'/><w:t> 5</w:t></w:r>", "≥ 5"),
        ("<m:f><m:num><m:r><m:t>F</m:t></m:r></m:num><m:den><m:r><m:t>A</m:t></m:r></m:den></m:f>", "F/A"),
    ],
)  # fmt: skip
def test_a_sentence_keeps_what_a_person_sees(tmp_path: Path, xml: str, words: str) -> None:
    assert read(tmp_path / "a.docx", sentence(xml)).text == f"The limit is {words} today."


def test_a_power_is_no_digit_more(tmp_path: Path) -> None:
    up = "<w:r><w:rPr><w:vertAlign w:val='superscript'/></w:rPr><w:t>{}</w:t></w:r>"
    ten, first = "<w:r><w:t>10</w:t></w:r>", "<w:r><w:t>, the 1</w:t></w:r>"
    found = read(tmp_path / "a.docx", sentence(ten, up.format("−6"), first, up.format("st")))
    assert found.text == "The limit is 10^−6, the 1st today."


def test_blocks_in_content_controls_are_read_and_tables_of_contents_are_not(tmp_path: Path) -> None:
    control = "<w:sdt><w:sdtPr>{}</w:sdtPr><w:sdtContent><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    gallery = "<w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj>"

    def fill(document: Any) -> None:
        add(document.element.body, control.format("", "Emergencies: 112-77."))
        add(document.element.body, control.format(gallery, "Leave 3"))

    assert read(tmp_path / "a.docx", fill).text == "Emergencies: 112-77."


def test_a_text_box_is_read_once(tmp_path: Path) -> None:
    box = "<w:{0}><w:txbxContent><w:p><w:r><w:t>Call 4711.</w:t></w:r></w:p></w:txbxContent></w:{0}>"
    both = f"<mc:Choice>{box.format('drawing')}</mc:Choice><mc:Fallback>{box.format('pict')}</mc:Fallback>"
    found = read(tmp_path / "a.docx", sentence(f"<w:r><mc:AlternateContent>{both}</mc:AlternateContent></w:r>"))
    assert found.text == "The limit is  today.\n\nCall 4711."


def test_a_footnote_stands_behind_the_paragraph_that_refers_to_it(tmp_path: Path) -> None:
    def fill(document: Any) -> None:
        sentence("<w:r><w:footnoteReference w:id='2'/></w:r>", "<w:r><w:footnoteReference w:id='2'/></w:r>")(document)
        document.add_paragraph("Next.")
        part, relation = document.part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
        from docx.opc.packuri import PackURI
        from docx.opc.part import Part

        words = "<w:p><w:r><w:t>Only with approval.</w:t></w:r></w:p>"
        xml = f'<w:footnotes {W}><w:footnote w:id="2">{words}</w:footnote></w:footnotes>'
        kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
        part.relate_to(Part(PackURI("/word/footnotes.xml"), kind, xml.encode(), part.package), relation)

    found = read(tmp_path / "a.docx", fill)
    assert found.text == "The limit is  today.\n\nFootnote: Only with approval.\n\nNext."


def test_page_headers_and_footers_are_said_once_and_page_numbers_never(tmp_path: Path) -> None:
    number = "<w:r><w:fldChar w:fldCharType='{}'/></w:r>"
    page = "<w:r><w:instrText> PAGE </w:instrText></w:r>"

    def fill(document: Any) -> None:
        for _ in range(2):
            document.add_section()
        for section in document.sections:
            section.header.is_linked_to_previous = False
            section.header.paragraphs[0].text = "ACME\tPolicy HR-12 rev. 4"
            section.footer.is_linked_to_previous = False
            footer = section.footer.paragraphs[0]
            footer.add_run("Valid from 2024 – Page ")
            for xml in (number.format("begin"), page, number.format("separate"), "<w:r><w:t>7</w:t></w:r>"):
                add(footer._p, xml)
            add(footer._p, number.format("end"))
            footer.add_run(" of ")
            add(footer._p, "<w:fldSimple w:instr=' NUMPAGES '><w:r><w:t>9</w:t></w:r></w:fldSimple>")
        document.add_paragraph("Words.")

    assert read(tmp_path / "a.docx", fill).text == "ACME\nPolicy HR-12 rev. 4\nValid from 2024\n\nWords."


def tabled(*rows: tuple[str, ...], merges: tuple[tuple[int, int, int, int], ...] = ()) -> Fill:
    """A table of such rows; a merge is (row, column, last row, last column)."""

    def fill(document: Any) -> None:
        table = document.add_table(len(rows), len(rows[0]))
        for row, cells in zip(table.rows, rows, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
        for row, column, last_row, last_column in merges:
            text = rows[row][column]
            table.cell(row, column).merge(table.cell(last_row, last_column)).text = text

    return fill


def test_values_stand_under_their_header_beside_merged_cells(tmp_path: Path) -> None:
    rows = (
        ("Region", "Hotel", "Meals", "Km"),
        ("North", "none", "", "0.30"),
        ("South", "120", "40", "0.35"),
        ("", "130", "45", "0.36"),
    )
    found = read(tmp_path / "a.docx", tabled(*rows, merges=((1, 1, 1, 2), (2, 0, 3, 0))))
    assert found.text == (
        "| Region | Hotel | Meals | Km |\n|---|---|---|---|\n"
        "| North | none | none | 0.30 |\n| South | 120 | 40 | 0.35 |\n| South | 130 | 45 | 0.36 |"
    )


def test_a_header_of_two_rows_is_one_and_a_caption_is_none(tmp_path: Path) -> None:
    rows = (
        ("Revenue in EUR", "", ""),
        ("Region", "2023", ""),
        ("", "Q1", "Q2"),
        ("North", "1", "2"),
        ("South", "3", "4"),
    )
    found = read(tmp_path / "a.docx", tabled(*rows, merges=((0, 0, 0, 2), (1, 0, 2, 0), (1, 1, 1, 2))))
    assert found.text == (
        "Revenue in EUR\n\n| Region | 2023 Q1 | 2023 Q2 |\n|---|---|---|\n| North | 1 | 2 |\n| South | 3 | 4 |"
    )


def test_a_row_of_its_own_words_is_no_second_header(tmp_path: Path) -> None:
    rows = (("Role", "Person", ""), ("Chair", "Ann", "Berg"), ("Clerk", "Ben", "Roth"))
    found = read(tmp_path / "a.docx", tabled(*rows, merges=((0, 1, 0, 2),)))
    assert found.text.startswith("| Role | Person | Person |\n|---|---|---|\n| Chair | Ann | Berg |")


def test_later_rows_of_a_table_of_words_stand_under_its_header(tmp_path: Path) -> None:
    rows = [
        ("Role", "Name"),
        *((f"Officer for {chr(65 + i % 26)} affairs", "Ann Berg of Rotterdam") for i in range(60)),
    ]
    found = read(tmp_path / "a.docx", tabled(*rows))
    document = Document(id="a", title="", text=found.text, file_sha256="0", source="a.docx", metadata={})
    chunks = chunks_of(document)
    assert len(chunks) > 3
    assert {chunk.heading for chunk in chunks[1:]} == {"Role | Name"}


def test_a_table_that_says_it_has_no_header_gets_none(tmp_path: Path) -> None:
    def edit(name: str, text: str) -> str:
        return text.replace('w:firstRow="1"', 'w:firstRow="0"')

    assert read(tmp_path / "a.docx", tabled(("a", "b"), ("c", "d")), edit=edit).text == "| a | b |\n| c | d |"


def test_a_table_within_a_cell_stands_behind_the_outer_one(tmp_path: Path) -> None:
    def fill(document: Any) -> None:
        tabled(("part", "bar"), ("T-1", "3.5"))(document)
        inner = document.tables[0].cell(1, 1).add_table(1, 2)
        inner.cell(0, 0).text, inner.cell(0, 1).text = "a|b", "c"

    assert read(tmp_path / "a.docx", fill).text == "| part | bar |\n|---|---|\n| T-1 | 3.5 |\n\n| a/b | c |"


def test_deleted_rows_are_no_rows(tmp_path: Path) -> None:
    def fill(document: Any) -> None:
        tabled(("part", "bar"), ("T-1", "3.5"), ("T-2", "4"))(document)
        add(document.tables[0].rows[1]._tr.get_or_add_trPr(), "<w:del w:id='1'/>")

    assert read(tmp_path / "a.docx", fill).text == "| part | bar |\n|---|---|\n| T-2 | 4 |"


def test_a_long_merged_cell_is_said_once(tmp_path: Path) -> None:
    words = "word " * 60
    found = read(tmp_path / "a.docx", tabled(("part", "note"), ("T-1", words), ("T-2", ""), merges=((1, 1, 2, 1),)))
    assert found.text.count("word") == 60


def test_headings_are_told_by_what_their_style_is_based_on(tmp_path: Path) -> None:
    def fill(document: Any) -> None:
        from docx.enum.style import WD_STYLE_TYPE

        own = document.styles.add_style("ACME Heading", WD_STYLE_TYPE.PARAGRAPH)
        own.base_style = document.styles["Heading 1"]
        document.styles["Title"].base_style = document.styles["Subtitle"]
        document.styles["Subtitle"].base_style = document.styles["Title"]  # a circle hangs nothing
        document.add_paragraph("Travel\nand meals", style="ACME Heading")
        document.add_paragraph("Kilometres", style="Heading 7")
        document.add_paragraph("Words.", style="Subtitle")

    found = read(tmp_path / "a.docx", fill)
    assert found.text == "# Travel and meals\n\n###### Kilometres\n\nWords."
    assert found.title == "Travel and meals"


def test_a_file_without_properties_has_none(tmp_path: Path) -> None:
    def edit(name: str, text: str) -> str:
        if name == "docProps/core.xml":
            return ""
        return re.sub(r"<(?:Relationship|Override) [^>]*core-?properties[^>]*/>", "", text)

    found = read(tmp_path / "a.docx", lambda document: document.add_paragraph("Words."), edit=edit)
    assert (found.text, found.title, found.metadata) == ("Words.", "", {})


def test_properties_are_read_where_they_are(tmp_path: Path) -> None:
    def fill(document: Any) -> None:
        document.core_properties.title, document.core_properties.author = "Travel policy", "Ann Berg"
        document.add_paragraph("Words.")

    found = read(tmp_path / "a.docx", fill)
    assert found.title == "Travel policy"
    assert found.metadata == {"author": "Ann Berg", "created": "2013-12-23", "modified": "2013-12-23"}
