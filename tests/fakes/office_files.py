"""Files of office formats, made by the libraries that write them, each with one fact in it."""

from __future__ import annotations

import zipfile
from email.message import EmailMessage
from pathlib import Path

FACT = "Valve T-1042 opens at 3.5 bar."

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/c.opf"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
    "<dc:title>Valve book</dc:title><dc:creator>Ann Berg</dc:creator></metadata><manifest>"
    '<item id="two" href="chapter%202.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="style" href="s.css" media-type="text/css"/></manifest>'
    '<spine><itemref idref="one"/><itemref idref="two"/></spine></package>'
)


def write_docx(path: Path) -> None:
    """Headings, a paragraph, a table and a paragraph behind it."""
    import docx

    document = docx.Document()
    document.add_heading("Valves", level=1)
    document.add_heading("Limits", level=2)
    document.add_paragraph(FACT)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "T-1042", "3.5 bar"
    document.add_paragraph("After the table.")
    document.save(str(path))


def write_pptx(path: Path) -> None:
    """A slide with title, texts, a table and notes; a second one without words."""
    import pptx

    deck = pptx.Presentation()
    deck.core_properties.author = "Ann Berg"
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Valves"
    slide.placeholders[1].text = f"{FACT}\nClose it first."
    table = slide.shapes.add_table(2, 2, 100, 9_000_000, 400, 400).table
    for row, cells in enumerate((("part", "bar"), ("T-1042", "3.5"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    deck.slides.add_slide(deck.slide_layouts[6])
    deck.save(str(path))


def write_xlsx(path: Path, *, rows: int = 60) -> None:
    """A caption, a table of so many rows, an empty row, another table; a hidden sheet."""
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("Parts")
        sheet.write(0, 0, "Price list")
        sheet.write_row(1, 0, ["part", "bar", "note"])
        for row in range(rows):
            sheet.write_row(2 + row, 0, [f"T-{1000 + row}", 3.5 if row else 4, "opens by a quarter turn"])
        sheet.write(3 + rows, 0, FACT)
        book.add_worksheet("Secret").hide()
        book.get_worksheet_by_name("Secret").write(0, 0, "hidden words")


def write_epub(path: Path) -> None:
    """Two chapters, in the spine's order and not in the archive's."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OEBPS/c.opf", PACKAGE)
        archive.writestr("OEBPS/chapter 2.xhtml", f"<html><body><h1>Two</h1><p>{FACT}</p></body></html>")
        archive.writestr("OEBPS/one.xhtml", "<html><body><nav>Contents</nav><h1>One</h1><p>First.</p></body></html>")


def write_mail(path: Path) -> None:
    """A message of plain text and HTML, with an attachment."""
    message = EmailMessage()
    message["From"], message["To"] = "Ann Berg <ann@example.org>", "Ben <ben@example.org>"
    message["Subject"], message["Date"] = "Ventil T-1042 öffnet", "Tue, 02 Jan 2024 10:00:00 +0100"
    message.set_content(f"{FACT}\n")
    message.add_alternative(f"<p>{FACT} In HTML.</p>", subtype="html")
    message.add_attachment(b"%PDF-1.7 secret", maintype="application", subtype="pdf", filename="plan.pdf")
    path.write_bytes(bytes(message))


def write_code(path: Path) -> None:
    """Two definitions, the second too long for one chunk."""
    body = "\n\n".join(f"    def step_{i}(self, gauge):\n        return gauge.read({i}) + offset" for i in range(80))
    path.write_text(f'"""{FACT}"""\n\n# a comment\nimport os\n\n\nclass Round:\n{body}\n', "utf-8")
