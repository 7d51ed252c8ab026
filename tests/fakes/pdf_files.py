"""PDF files with a known truth: what they say, in the order in which a person reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = [
    "basalt", "fibre", "melt", "furnace", "bushing", "winder", "crew", "shift", "valve", "pressure", "cooling",
    "water", "gauge", "safety", "handover", "report", "sample", "moisture", "filament", "diameter", "oven", "sizing",
    "mixer", "tank", "pump", "motor", "inspection", "weekly", "permit", "zone", "guide", "level",
]  # fmt: skip


def prose(topic: str, count: int) -> str:
    """A paragraph whose words tell where they stand: topic0 … topicN among others."""
    return " ".join(f"{topic}{i} {WORDS[(i * 7 + len(topic)) % len(WORDS)]}" for i in range(count)) + "."


def document(path: Path) -> Any:
    """A canvas of A4, with the file's title and author set."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), pagesize=(595, 842), invariant=1)
    canvas.setTitle("Plant notes")
    canvas.setAuthor("Works office")
    return canvas


def lines(canvas: Any, text: str, x: float, y: float, width: float, *, size: float = 10) -> float:
    """Wrapped text; the baseline after it."""
    from reportlab.lib.utils import simpleSplit

    canvas.setFont("Helvetica", size)
    for line in simpleSplit(text, "Helvetica", size, width):
        canvas.drawString(x, y, line)
        y -= size * 1.2
    return y


def heading(canvas: Any, text: str, x: float, y: float, *, size: float = 16) -> None:
    """A line in large bold type."""
    canvas.setFont("Helvetica-Bold", size)
    canvas.drawString(x, y, text)


def columns(path: Path, *, count: int = 2, pages: int = 2, mixed: bool = False) -> list[str]:
    """Columns under a title over the whole width, with running heads and numbers; the paragraphs in reading order.

    mixed: the file holds the lines from top to bottom, whatever column they stand in.
    """
    from reportlab.lib.utils import simpleSplit

    canvas = document(path)
    told = []
    width = (595 - 2 * 50 - (count - 1) * 24) / count
    for page in range(pages):
        canvas.setFont("Helvetica", 8)
        canvas.drawString(50, 810, f"Norrvik works · Plant notes · {page + 1}")
        heading(canvas, f"Chapter {page + 1} of the notes", 50, 770)
        drawn = []
        for column in range(count):
            y = 735.0
            for paragraph in range(2):
                told.append(prose(f"p{page}c{column}n{paragraph}w", 90 // count))
                for line in simpleSplit(told[-1], "Helvetica", 10, width):
                    drawn.append((-y if mixed else 0, 50 + column * (width + 24), y, line))
                    y -= 12
                y -= 9
        canvas.setFont("Helvetica", 10)
        for _, x, y, line in sorted(drawn, key=lambda item: item[0]):
            canvas.drawString(x, y, line)
        canvas.setFont("Helvetica", 8)
        canvas.drawCentredString(297, 30, f"- {page + 1} -")
        canvas.showPage()
    canvas.save()
    return told


TABLE = [
    ["Machine", "Limit", "What to do"],
    ["Pump P-214", "3.8 bar", "Close valve V-17 and call the shift lead before anything else is touched"],
    ["Melter K-3", "1,450 °C", "Lower the burner"],
    ["Oven O-70", "230 °C", "Stop the line, open both doors and write the stop into the shift report"],
]


def ruled_table(path: Path) -> list[list[str]]:
    """A table with lines around its cells, one cell of which takes several lines, between two paragraphs."""
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, Table

    canvas = document(path)
    y = lines(canvas, prose("before", 40), 50, 780, 495)
    style = getSampleStyleSheet()["BodyText"]
    table = Table([[Paragraph(cell, style) for cell in row] for row in TABLE], colWidths=[100, 80, 150])
    table.setStyle([("GRID", (0, 0), (-1, -1), 0.5, "black"), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    _, height = table.wrapOn(canvas, 400, 400)
    table.drawOn(canvas, 50, y - 20 - height)
    lines(canvas, prose("after", 40), 50, y - 50 - height, 495)
    canvas.showPage()
    canvas.save()
    return TABLE


FIGURES = [
    ["", "2023", "2022", "2021"],
    ["Net sales", "$ 1,204", "$ 1,180", "$ 990"],
    ["Cost of goods sold", "(702)", "(688)", "(541)"],
    ["Operating income before tax", "310", "295", "214"],
    ["Income taxes", "(61)", "(70)", "(44)"],
]


def open_table(path: Path) -> list[list[str]]:
    """A table of figures as filings have them: no line anywhere, numbers set to the right, dots between."""
    canvas = document(path)
    y = lines(canvas, prose("before", 60), 50, 780, 495) - 20
    canvas.setFont("Helvetica", 10)
    for row in FIGURES:
        canvas.drawString(50, y, row[0])
        for column, cell in enumerate(row[1:]):
            canvas.drawRightString(330 + column * 90, y, cell)
        y -= 15
    lines(canvas, prose("after", 40), 50, y - 20, 495)
    canvas.showPage()
    canvas.save()
    return FIGURES


def scanned(path: Path, *, pages: int = 2, text: str = "", text_page: str = "") -> None:
    """Pages that are pictures of text, after a page of real text where `text_page` says so."""
    from PIL import Image, ImageDraw, ImageFont
    from reportlab.lib.utils import ImageReader

    canvas = document(path)
    if text_page:
        lines(canvas, text_page, 50, 780, 495)
        canvas.showPage()
    for page in range(pages):
        picture = Image.new("L", (1240, 1754), 255)
        draw = ImageDraw.Draw(picture)
        font = ImageFont.load_default(size=44)
        said = text or f"Scanned page {page + 1} of the permit"
        draw.text((120, 600), said, fill=0, font=font)
        canvas.drawImage(ImageReader(picture), 0, 0, 595, 842)
        canvas.showPage()
    canvas.save()


def rotated(path: Path, *, page: int = 90, lines_at: int = 0) -> str:
    """A page that is shown turned clockwise by `page` degrees; its lines turn the other way by `lines_at`."""
    canvas = document(path)
    canvas.setPageRotation(page)
    told = prose("turned", 60)
    canvas.translate(300, 280)
    canvas.rotate(lines_at)
    lines(canvas, told, -240, 60, 480)
    canvas.showPage()
    canvas.save()
    return told


def right_to_left(path: Path, font: Path, told: Sequence[str]) -> None:
    """Lines of Hebrew, set from the right as a PDF holds them: glyph by glyph from the left."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont("Hebrew", str(font)))
    canvas = document(path)
    canvas.setFont("Hebrew", 14)
    for number, line in enumerate(told):
        canvas.drawRightString(545, 780 - 20 * number, re.sub(r"[\d.,]+", lambda found: found[0][::-1], line[::-1]))
    canvas.showPage()
    canvas.save()


def price_list(path: Path, *, ruled: bool, repeated: bool, pages: int = 4) -> list[list[str]]:
    """A table over whole pages whose rows differ by their numbers only, with a foot on each page; its rows."""
    canvas = document(path)
    told = []
    for page in range(pages):
        rows = [["Article", "Name", "Price"]] if repeated or not page else []
        rows += [[f"{10000 + 7 * (46 * page + row)}", "Pump", f"{100 + 3 * row}.50"] for row in range(46)]
        canvas.setFont("Helvetica", 10)
        for row, cells in enumerate(rows):
            y = 800 - 16 * row
            for column, cell in enumerate(cells):
                canvas.drawString(55 + 150 * column, y, cell)
            if ruled:
                canvas.grid([50 + 150 * column for column in range(4)], [y - 4, y + 12])
        told += rows
        canvas.setFont("Helvetica", 8)
        canvas.drawString(50, 25, f"Norrvik works · Page {page + 1} of {pages}")
        canvas.showPage()
    canvas.save()
    return told


def chapters(path: Path, numbers: Sequence[str]) -> list[str]:
    """Pages under the name of their chapter, two for each, with a number from `numbers` each; their paragraphs."""
    canvas = document(path)
    told = [prose(f"p{page}w", 30) for page in range(len(numbers))]
    for page, number in enumerate(numbers):
        lines(canvas, f"Chapter {page // 2 + 1} · Furnace", 50, 805, 400, size=8)
        lines(canvas, f"Revision 7 · Page {number}", 50, 30, 400, size=8)
        lines(canvas, told[page], 50, 700, 495)
        canvas.showPage()
    canvas.save()
    return told


def headed(path: Path, heads: Sequence[str]) -> list[str]:
    """Pages with a head each in larger type than their text; their paragraphs."""
    canvas = document(path)
    told = [prose(f"p{page}w", 30) for page in range(len(heads))]
    for page, head in enumerate(heads):
        heading(canvas, head, 50, 805, size=12)
        lines(canvas, told[page], 50, 700, 495)
        canvas.showPage()
    canvas.save()
    return told


def marked(canvas: Any, parts: Sequence[tuple[str, float, float]], x: float, y: float) -> None:
    """One line of parts: text, size of type, and by how many points it stands higher than the line."""
    text = canvas.beginText(x, y)
    for part, size, up in parts:
        text.setFont("Helvetica", size)
        text.setRise(up)
        text.textOut(part)
    canvas.drawText(text)


def watermarked(path: Path, degrees: float) -> str:
    """A paragraph with a word in large type over it, turned by some degrees."""
    canvas = document(path)
    told = prose("under", 300)
    lines(canvas, told, 50, 780, 495)
    canvas.translate(300, 600)
    canvas.rotate(degrees)
    canvas.setFont("Helvetica", 60)
    canvas.drawCentredString(0, 0, "DRAFT")
    canvas.showPage()
    canvas.save()
    return told


def stamped(path: Path, stamps: Sequence[str]) -> list[str]:
    """Pages with a line on its side at the left, in larger type; a paragraph goes on from each to the next."""
    canvas = document(path)
    told = [prose("n" * (page + 1), 120) for page in range(len(stamps))]
    for page, stamp in enumerate(stamps):
        lines(canvas, told[page].removesuffix("." if page < len(stamps) - 1 else ""), 80, 780, 460)
        canvas.translate(40, 300)
        canvas.rotate(90)
        lines(canvas, stamp, 0, 0, 400, size=14)
        canvas.showPage()
    canvas.save()
    return told
