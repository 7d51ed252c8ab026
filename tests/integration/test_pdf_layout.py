"""A PDF is read as a person reads it: columns, tables, headings, and every word with its place on the page."""

from __future__ import annotations

from pathlib import Path

import pytest

import ingest.ocr
from ingest.readers import Extracted, reader_for
from rag.errors import UnreadableDocument
from rag.page_boxes import boxes
from tests.fakes import pdf_files


def read(path: Path) -> Extracted:
    return reader_for(path).read(path)


def font() -> Path:
    import matplotlib

    return Path(matplotlib.__file__).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_columns_are_read_one_after_the_other_without_running_heads(tmp_path: Path, count: int, mixed: bool) -> None:
    told = pdf_files.columns(tmp_path / "a.pdf", count=count, mixed=mixed)
    found = read(tmp_path / "a.pdf")
    half = len(told) // 2
    wanted = ["# Chapter 1 of the notes", *told[:half], "# Chapter 2 of the notes", *told[half:]]
    assert found.text.split("\n\n") == wanted
    assert (found.title, found.metadata["author"], found.metadata["pages"]) == ("Plant notes", "Works office", 2)


def test_a_table_with_lines_is_rows_in_their_place_and_cells_of_several_lines_are_whole(tmp_path: Path) -> None:
    rows = pdf_files.ruled_table(tmp_path / "a.pdf")
    before, table, after = read(tmp_path / "a.pdf").text.split("\n\n")
    assert table.split("\n") == [f"| {' | '.join(row)} |" for row in rows]
    assert (before, after) == (pdf_files.prose("before", 40), pdf_files.prose("after", 40))


def test_a_table_without_lines_is_rows_too(tmp_path: Path) -> None:
    rows = pdf_files.open_table(tmp_path / "a.pdf")
    _, table, _ = read(tmp_path / "a.pdf").text.split("\n\n")
    assert table.split("\n") == [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]


WRAPPED = [("Part", "What it does", "Bar"), ("P-1", "Moves water from", "12"), ("", "tank to tank", "")]
WRAPPED += [("V-1", "Closes the line", "30"), ("", "to the oven and", ""), ("", "to the mixer", "")]


@pytest.mark.parametrize(
    ("below", "left"),
    [("", 50), ("The table is from the manual.", 50), ("Table 1: what pumps and valves do.", 170)],
)
def test_the_last_row_of_a_table_without_lines_may_take_several(tmp_path: Path, below: str, left: float) -> None:
    canvas = pdf_files.document(tmp_path / "a.pdf")
    canvas.setFont("Helvetica", 10)
    for number, row in enumerate(WRAPPED):
        for x, cell in zip((50, 200, 400), row, strict=True):
            canvas.drawString(x, 780 - 12 * number, cell)
    canvas.drawString(left, 780 - 12 * len(WRAPPED), below)
    canvas.showPage()
    canvas.save()
    rows = ["Part | What it does | Bar", "P-1 | Moves water from tank to tank | 12"]
    rows += ["V-1 | Closes the line to the oven and to the mixer | 30"]
    table = "\n".join(f"| {row} |" for row in rows)
    assert read(tmp_path / "a.pdf").text == (f"{table}\n\n{below}" if below else table)


@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("repeated", [False, True])
def test_rows_of_a_table_at_the_edge_of_pages_are_no_running_heads(tmp_path: Path, ruled: bool, repeated: bool) -> None:
    rows = pdf_files.price_list(tmp_path / "a.pdf", ruled=ruled, repeated=repeated)
    found = read(tmp_path / "a.pdf").text.replace("\n\n", "\n").split("\n")
    assert found == [f"| {' | '.join(row)} |" for row in rows]


@pytest.mark.parametrize(
    "numbers",
    [
        ["1 of 6", "2 of 6", "3 of 6", "4 of 6", "5 of 6", "6 of 6"],
        ["i", "ii", "iii", "iv", "1", "2", "3", "4"],
        ["17", "18", "19", "20", "21", "22"],
    ],
)
def test_running_heads_go_whose_numbers_count_pages_or_chapters(tmp_path: Path, numbers: list[str]) -> None:
    told = pdf_files.chapters(tmp_path / "a.pdf", numbers)
    assert read(tmp_path / "a.pdf").text.split("\n\n") == told


@pytest.mark.parametrize(
    ("heads", "kept"),
    [
        (["Works handbook"] * 4, [0]),
        (["Works handbook", "Safety", "Works handbook", "Safety", "Works handbook", "Safety"], [0, 1]),
        (["Chapter 1", "Chapter 2", "Chapter 3", "Chapter 4"], [0, 1, 2, 3]),
        (["Results", "Pumps", "Ovens", "Results", "Tanks", "Winders", "Results"], [0, 1, 2, 3, 4, 5, 6]),
        (["Permit", "Permit", "Report"], [0, 1, 2]),
    ],
)
def test_a_running_head_in_large_type_stays_where_it_comes_first(
    tmp_path: Path, heads: list[str], kept: list[int]
) -> None:
    told = pdf_files.headed(tmp_path / "a.pdf", heads)
    wanted = []
    for page, paragraph in enumerate(told):
        wanted += [f"# {heads[page]}", paragraph] if page in kept else [paragraph]
    assert read(tmp_path / "a.pdf").text.split("\n\n") == wanted


def ink(path: Path) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of all that is drawn on the first page as it is shown, in points."""
    import pypdfium2 as pdfium

    with pdfium.PdfDocument(path) as document:
        picture = document[0].render(scale=1).to_pil().convert("L")
    left, top, right, bottom = picture.point(lambda value: 255 * (value < 128)).getbbox()
    return left, top, right, bottom


@pytest.mark.parametrize("page", [0, 90, 180, 270])
@pytest.mark.parametrize("lines_at", [0, 90, 180, 270])
def test_turned_pages_and_lines_are_read_upright_and_boxes_are_where_they_are_shown(
    tmp_path: Path, page: int, lines_at: int
) -> None:
    told = pdf_files.rotated(tmp_path / "a.pdf", page=page, lines_at=lines_at)
    found = read(tmp_path / "a.pdf")
    assert found.text == told
    lying = (page - lines_at) % 180 == 0
    assert all((place.right - place.left > place.bottom - place.top) is lying for place in found.layout)
    sides = [min(place.left for place in found.layout), min(place.top for place in found.layout)]
    sides += [max(place.right for place in found.layout), max(place.bottom for place in found.layout)]
    assert sides == pytest.approx(ink(tmp_path / "a.pdf"), abs=5)


def test_lines_on_their_side_are_read_apart_and_go_where_all_pages_have_them(tmp_path: Path) -> None:
    first, second = pdf_files.stamped(tmp_path / "a.pdf", ["Filed on 1 March", ""])
    found = read(tmp_path / "a.pdf")
    assert found.text.split("\n\n") == [first[:-1], "Filed on 1 March", second]
    assert found.metadata["pages"] == 2
    [box] = boxes(found.layout, found.text.index("Filed"), found.text.index(" March"))
    assert (box.page, box.right - box.left < box.bottom - box.top) == (1, True)
    assert 25 < box.left < 35
    assert box.bottom == pytest.approx(842 - 300, abs=1)
    told = pdf_files.stamped(tmp_path / "b.pdf", ["Copy 7 of the works"] * 3)
    assert read(tmp_path / "b.pdf").text == " ".join(part[:-1] for part in told) + "."


def test_right_to_left_lines_come_in_the_order_of_their_letters(tmp_path: Path) -> None:
    told = ["שלום עולם.", "לחץ המשאבה הוא 3.8 בר."]
    pdf_files.right_to_left(tmp_path / "a.pdf", font(), told)
    assert " ".join(read(tmp_path / "a.pdf").text.split()) == " ".join(told)


def test_every_word_has_a_box_and_a_box_tells_its_word(tmp_path: Path) -> None:
    for name, write in (
        ("c.pdf", pdf_files.columns),
        ("r.pdf", pdf_files.ruled_table),
        ("o.pdf", pdf_files.open_table),
    ):
        write(tmp_path / name)
        found = read(tmp_path / name)
        placed = "".join(found.text[place.start : place.end] for place in found.layout)
        marks = str.maketrans("", "", "|#\n ")
        assert placed.translate(marks) == found.text.translate(marks)
        assert all(a.end <= b.start for a, b in zip(found.layout, found.layout[1:], strict=False))
    at = found.text.index("$ 1,180")
    [box] = boxes(found.layout, at, at + len("$ 1,180"))
    assert box.page == 1
    assert 330 < box.left < box.right == pytest.approx(420, abs=1)
    assert 8 < box.bottom - box.top < 16


def test_a_scanned_page_is_told_with_the_way_to_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.ocr, "available", lambda: False)
    pdf_files.scanned(tmp_path / "all.pdf")
    with pytest.raises(UnreadableDocument, match=r"2 of them are scanned.*understudy\[ocr\]"):
        read(tmp_path / "all.pdf")
    pdf_files.scanned(tmp_path / "some.pdf", text_page="Real words.")
    found = read(tmp_path / "some.pdf")
    assert (found.text, found.metadata["unreadable_pages"]) == ("Real words.", "2, 3")


@pytest.mark.skipif(not ingest.ocr.available(), reason="the program tesseract is not installed")
def test_a_scanned_page_is_read_where_tesseract_is(tmp_path: Path) -> None:
    pdf_files.scanned(tmp_path / "a.pdf", pages=1, text="Valve T-1042 opens at 3.5 bar")
    found = read(tmp_path / "a.pdf")
    assert found.text == "Valve T-1042 opens at 3.5 bar"
    [box] = boxes(found.layout, 0, len(found.text))
    assert box.page == 1
    assert 50 < box.left < 70
    assert 280 < box.top < box.bottom < 330


def test_words_that_a_lines_end_cut_are_put_together(tmp_path: Path) -> None:
    canvas = pdf_files.document(tmp_path / "a.pdf")
    pdf_files.lines(canvas, "The inspec-", 50, 700, 495)
    pdf_files.lines(canvas, "tion of the cooling-", 50, 688, 495)
    pdf_files.lines(canvas, "water pump. A cooling-water pump is cleaned.", 50, 676, 495)
    canvas.showPage()
    canvas.save()
    assert read(tmp_path / "a.pdf").text == (
        "The inspection of the cooling-water pump. A cooling-water pump is cleaned."
    )


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([("It covers 1,250", 10, 0), ("3", 7, 4), (" km.", 10, 0)], "It covers 1,250^3 km."),
        ([("From 10", 10, 0), ("-6", 7, 4), (" to 10", 10, 0), ("12", 7, 4), (".", 10, 0)], "From 10^-6 to 10^12."),
        (
            [("No H", 10, 0), ("2", 7, -2), ("O on the 1", 10, 0), ("st", 7, 4), (" day.", 10, 0)],
            "No H2O on the 1st day.",
        ),
        ([("4", 7, 4), ("See the manual.", 10, 0)], "4 See the manual."),
        ([("P", 10, 0), ("UMPS", 8, 0), (" and 2", 10, 0), ("OVENS", 8, 0)], "PUMPS and 2OVENS"),
    ],
)
def test_a_raised_number_is_no_part_of_the_number_before_it(
    tmp_path: Path, parts: list[tuple[str, float, float]], said: str
) -> None:
    canvas = pdf_files.document(tmp_path / "a.pdf")
    told = pdf_files.prose("before", 30)
    y = pdf_files.lines(canvas, told, 50, 780, 495)
    pdf_files.marked(canvas, parts, 50, y - 12)
    canvas.showPage()
    canvas.save()
    found = read(tmp_path / "a.pdf")
    assert found.text.split("\n\n") == [told, said]
    places = boxes(found.layout, found.text.index(said), len(found.text))
    assert all(8 < place.bottom - place.top < 13 for place in places)


@pytest.mark.parametrize("degrees", [30, 45, -45, 55])
def test_a_watermark_aslant_is_no_part_of_the_text(tmp_path: Path, degrees: float) -> None:
    told = pdf_files.watermarked(tmp_path / "a.pdf", degrees)
    assert read(tmp_path / "a.pdf").text == told


def test_type_made_italic_by_a_slope_is_text(tmp_path: Path) -> None:
    canvas = pdf_files.document(tmp_path / "a.pdf")
    canvas.skew(0, -20)
    pdf_files.lines(canvas, "Only the shift lead opens valve V-17.", 50, 700, 495)
    canvas.showPage()
    canvas.save()
    assert read(tmp_path / "a.pdf").text == "Only the shift lead opens valve V-17."


def test_headings_of_one_size_of_type_are_of_one_level(tmp_path: Path) -> None:
    canvas = pdf_files.document(tmp_path / "a.pdf")
    wanted = []
    y = 780.0
    for size, level in ((20, 1), (16.2, 2), (13, 3), (15.8, 2), (13.1, 3)):
        pdf_files.heading(canvas, f"In type of {size}", 50, y, size=size)
        y = pdf_files.lines(canvas, pdf_files.prose("a", 30), 50, y - 24, 495) - 30
        wanted += [f"{'#' * level} In type of {size}", pdf_files.prose("a", 30)]
    canvas.showPage()
    canvas.save()
    assert read(tmp_path / "a.pdf").text.split("\n\n") == wanted


@pytest.mark.parametrize(
    "items",
    [
        ["a) Close the valve", "b) Call the shift lead", "c) Write it down"],
        ["(i) Close the valve", "(ii) Call the shift lead", "(iii) Write it down"],
        ["1.1 Close the valve", "1.2 Call the shift lead", "1.3 Write it down now"],
        ["1.1.1. Close it", "1.1.2. Call lead", "1.1.3. Write up"],
        ["- Close the valve", "- Call the shift lead", "- Write it down"],
        ["1 Close the valve.", "2 Call the shift lead.", "3 Write it down."],
    ],
)
def test_items_of_a_list_are_paragraphs(tmp_path: Path, items: list[str]) -> None:
    canvas = pdf_files.document(tmp_path / "a.pdf")
    y = 780.0
    before = pdf_files.prose("before", 30)[:-1] + ":"
    for line in (before, *items):
        y = pdf_files.lines(canvas, line, 50, y, 495)
    canvas.showPage()
    canvas.save()
    assert read(tmp_path / "a.pdf").text.split("\n\n") == [before, *items]


def test_a_number_or_dash_where_a_line_begins_is_no_item(tmp_path: Path) -> None:
    said = [
        "The pressure in the tank stays below a limit of",
        "3.8 bar, and that in the line to the mixer below",
        "the gauge, as the people of the night shift know,",
        "- as the manual says on its pages on safety - four.",
    ]
    canvas = pdf_files.document(tmp_path / "a.pdf")
    for number, line in enumerate(said):
        pdf_files.lines(canvas, line, 50, 780 - 12 * number, 495)
    canvas.showPage()
    canvas.save()
    assert read(tmp_path / "a.pdf").text == " ".join(said)


def test_a_numbered_line_in_bold_that_stands_alone_is_a_heading(tmp_path: Path) -> None:
    canvas = pdf_files.document(tmp_path / "a.pdf")
    y = 780.0
    wanted = []
    for bold, level in (
        (["Works manual"], 0),
        (["1. Scope"], 1),
        (["1.1 Pumps of the north hall"], 2),
        (["2. Call the shift lead at once."], 0),
        (["3. No valve of the line to the oven is opened while", "the red lamp is lit or the door stands open"], 0),
        (["30 days"], 0),
        (["3.8 bar in the oven"], 0),
        (["§ 3 Duties"], 1),
    ):
        canvas.setFont("Helvetica-Bold", 10)
        for number, line in enumerate(bold):
            canvas.drawString(50, y - 12 * number, line)
        wanted += [f"{'#' * level} {' '.join(bold)}".strip(), pdf_files.prose("a", 30)]
        y = pdf_files.lines(canvas, pdf_files.prose("a", 30), 50, y - 12 * len(bold) - 6, 495) - 6
    canvas.showPage()
    canvas.save()
    assert read(tmp_path / "a.pdf").text.split("\n\n") == wanted
