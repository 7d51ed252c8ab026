"""The dangerous animals of the zoo: archives that grow, markup that expands, structures without an end."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes import office_files, pdf_files, sheet_files

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    + "]>"
)
"""A few hundred bytes that want to become a hundred thousand million."""
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY out SYSTEM "file:///etc/hostname">]>'

MAIN = {
    ".docx": "word/document.xml",
    ".pptx": "ppt/presentation.xml",
    ".xlsx": "xl/workbook.xml",
    ".epub": "META-INF/container.xml",
    ".ods": "content.xml",
}


def files() -> Iterator[tuple[str, bytes]]:
    """Name and content of each."""
    for suffix, main in MAIN.items():
        yield f"bombs/grows{suffix}", archive({main: b" " * 60_000_000})
        yield f"bombs/lies{suffix}", lying(main)
        yield f"bombs/laughs{suffix}", _with(suffix, LAUGHS + "<r>&a11;</r>")
        yield f"bombs/outside{suffix}", _with(suffix, OUTSIDE + "<r>&out;</r>")
        yield f"bombs/deep{suffix}", _with(suffix, "<a>" * 50_000)
        yield f"bombs/parts{suffix}", archive({f"p{i}": b"" for i in range(21_000)} | {main: b"<a/>"})
        yield f"bombs/password{suffix}", locked(main)
    yield "bombs/laughs.html", f"{LAUGHS}<p>&a11;</p>".encode()
    yield "bombs/laughs.xml", f"{LAUGHS}<p>&a11;</p>".encode()
    yield "bombs/deep.html", b"<div>" * 50_000 + b"words"
    yield "bombs/attributes.html", b"<p " + b" ".join(b"a%d=1" % i for i in range(100_000)) + b">words</p>"
    yield "bombs/rows.html", b"<table>" + b"<tr><td>a" * 20_000 + b"</table>"
    yield "bombs/tables.html", b"<table><tr><td>" * 3000 + b"words"
    yield "bombs/select.html", b"<p hidden>" * 5000 + b"words"
    yield "bombs/line.md", b"word " * 3_000_000
    yield "bombs/line.txt", b"x" * 17_000_000
    yield "bombs/line.jsonl", b'{"text": "' + b"x" * 17_000_000 + b'"}\n{"id": "after", "text": "After."}\n'
    yield "bombs/lists.json", b"[" + b"[]," * 1_000_000 + b"[]]"
    yield "bombs/big.json", b"[" + b'{"text":"a"},' * 3_000_000 + b'{"text":"a"}]'
    yield "bombs/commas.csv", b"a,b\n" + b"," * 2_000_000
    yield "bombs/parts.eml", _parts(400)
    yield "bombs/forwarded.eml", b"Content-Type: message/rfc822\n\n" * 2000 + b"words"
    yield "bombs/encoded.eml", b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\nwords"
    yield from _pdfs()
    yield from _sheets()


def archive(parts: dict[str, bytes]) -> bytes:
    """A zip of these parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in parts.items():
            made.writestr(name, data)
    return out.getvalue()


def lying(main: str) -> bytes:
    """A zip whose directory says that its part is small, which it is not."""
    data = archive({main: b" " * 60_000_000})
    return data.replace(struct.pack("<I", 60_000_000), struct.pack("<I", 60_000))


def locked(main: str) -> bytes:
    """A zip whose part is marked as encrypted, in both of its headers."""
    data = bytearray(archive({main: b"<a/>"}))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _with(suffix: str, xml: str) -> bytes:
    """A sound file of that format with its main part, or a chapter of it, replaced."""
    write = {
        ".docx": office_files.write_docx,
        ".pptx": office_files.write_pptx,
        ".xlsx": office_files.write_xlsx,
        ".epub": office_files.write_epub,
        ".ods": sheet_files.write_ods,
    }[suffix]
    part = "OEBPS/one.xhtml" if suffix == ".epub" else MAIN[suffix]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(path)
        with zipfile.ZipFile(path) as made:
            parts = {name: made.read(name) for name in made.namelist()}
    return archive(parts | {part: xml.encode()})


def _parts(depth: int) -> bytes:
    """A message within a message within a message."""
    out = b"From: a@b\n"
    for number in range(depth):
        out += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (number, number)
    return out + b"Content-Type: text/plain\n\nwords"


def pdf(objects: list[bytes]) -> bytes:
    """A PDF of these objects, numbered from 1, the first being its catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)


CATALOG, FONT = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def page(content: bytes, *, box: bytes = b"0 0 595 842", filters: bytes = b"") -> bytes:
    """A PDF of one page that draws `content`."""
    stream = b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(content), filters, content)
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    one = b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>" % box
    return pdf([CATALOG, kids, one, stream, FONT])


def _pdfs() -> Iterator[tuple[str, bytes]]:
    words = b"BT /F 12 Tf 50 700 Td (Valve T-1042 opens at 3.5 bar.) Tj ET "
    yield "pdf/sound.pdf", page(words)
    yield "pdf/hundred-thousand-words.pdf", page(words * 8000)
    yield "pdf/strings.pdf", page(b"BT /F 1 Tf 1 1 Td " + b"(aaaaaaaaaaaaaaaaaaaaaaaaa) Tj " * 12_000 + b"ET")
    yield "pdf/lines.pdf", page(words + b"".join(b"%d %d m %d %d l S " % (i, i, i, i + 9) for i in range(30_000)))
    yield "pdf/pushes.pdf", page(b"q " * 500_000 + words)
    yield "pdf/huge-box.pdf", page(words, box=b"-1e9 -1e9 1e9 1e9")
    yield "pdf/no-box.pdf", page(words, box=b"0 0 0 0")
    yield "pdf/turned-box.pdf", page(words, box=b"595 842 0 0")
    grown = zlib.compress(zlib.compress(bytes(100_000_000)))
    yield "pdf/grows.pdf", page(grown, filters=b"/Filter[/FlateDecode/FlateDecode]")
    yield "pdf/filters.pdf", page(words, filters=b"/Filter[" + b"/ASCIIHexDecode" * 5000 + b"]")
    yield "pdf/empty.pdf", pdf([CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"])
    yield "pdf/loop.pdf", pdf([CATALOG, b"<</Type/Pages/Kids[2 0 R]/Count 1/Parent 2 0 R>>"])
    yield (
        "pdf/promises.pdf",
        pdf([CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 99999999>>", b"<</Type/Page/Parent 2 0 R>>"]),
    )
    yield "pdf/no-catalogue.pdf", pdf([b"<</Type/Nothing>>"])
    yield "pdf/nested.pdf", pdf([b"[" * 50_000 + b"]" * 50_000])
    itself = b"/BBox[0 0 9 9]/Length 5/Resources<</XObject<</X 6 0 R>>>>>>\nstream\n/X Do\nendstream"
    form = b"<</Type/XObject/Subtype/Form" + itself
    one = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</X 6 0 R>>>>>>"
    draw = b"<</Length 5>>\nstream\n/X Do\nendstream"
    yield "pdf/form-in-itself.pdf", pdf([CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", one, draw, FONT, form])
    yield "pdf/header-only.pdf", b"%PDF-1.7"
    yield "pdf/late-header.pdf", b"\n" * 900 + page(words)
    yield "pdf/no-xref.pdf", page(words).replace(b"startxref", b"startnone")
    yield "pdf/tail.pdf", page(words) + b"\n<html>more</html>" * 100
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.pdf"
        for name, user in (("password", "secret"), ("owner-only", "")):
            encrypted(path, user)
            yield f"pdf/{name}.pdf", path.read_bytes()
        pdf_files.scanned(path, pages=1)
        yield "pdf/scanned.pdf", path.read_bytes()
        pdf_files.columns(path, count=3, pages=3)
        yield "pdf/columns.pdf", path.read_bytes()


def encrypted(path: Path, user: str) -> None:
    """A PDF with an owner's password, and one to read it where `user` is any."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), encrypt=StandardEncryption(user, ownerPassword="owner"))
    canvas.drawString(72, 700, office_files.FACT)
    canvas.save()


def _sheets() -> Iterator[tuple[str, bytes]]:
    import xlsxwriter

    def book(*cells: tuple[int, int]) -> bytes:
        out = io.BytesIO()
        with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
            sheet = made.add_worksheet()
            for row, column in cells:
                sheet.write(row, column, "x")
        return out.getvalue()

    yield "sheets/corners.xlsx", book((0, 0), (1_048_575, 16_383))
    yield "sheets/far.xlsx", book((1_048_575, 16_383))
    yield "sheets/long.xlsx", book((0, 0), (1_048_575, 0))
    yield "sheets/nothing.xlsx", book()
    for name, reference in (("row", b"A" + b"9" * 300), ("column", b"C" * 50 + b"1")):
        yield f"sheets/beyond-{name}.xlsx", _replaced(book((0, 0)), b'<c r="A1"', b'<c r="' + reference + b'"')
    far = book((0, 0), (1_048_575, 16_383)).replace(b"xl/worksheets/", b"xl/WorkSheets/")
    yield "sheets/corners-in-capitals.xlsx", far
    yield "sheets/texts.xlsx", _replaced(book((0, 0)), b'uniqueCount="1"', b'uniqueCount="6999999999997"')
    yield from _other_sheets()


def _other_sheets() -> Iterator[tuple[str, bytes]]:
    def wide(text: str | None, times: object = 1) -> str:
        return sheet_files.ods_cell(text, f'table:number-columns-repeated="{times}"')

    def tall(cells: str, times: object = 1) -> str:
        return f'<table:table-row table:number-rows-repeated="{times}">{cells}</table:table-row>'

    for name, rows in {
        "corners": tall(wide("a")) + tall(wide(None), 1_048_574) + tall(wide(None, 16_383) + wide("b")),
        "square": tall(wide("a", 16_384), 1_048_576),
        "beyond-column": tall(wide(None, 10**12) + wide("a")),
        "beyond-row": tall(wide("a"), 10**12),
        "no-number": tall(wide("a"), "x"),
    }.items():
        yield f"sheets/{name}.ods", sheet_files.ods(f'<table:table table:name="S">{rows}</table:table>')
    yield "sheets/unended.ods", sheet_files.ods('<table:table table:name="S"><table:table-row></table:ta`le-row>')
    cell = sheet_files.xlsb_cell
    first = sheet_files.xlsb_row(0) + cell(0, "a")
    for name, cells in {
        "corners": first + sheet_files.xlsb_row(1_048_575) + cell(16_383, "b"),
        "beyond-column": first + cell(2**31, "b"),
        "short-record": first + sheet_files.record12(0x00, b"\x06") + cell(6150, "b"),
        "no-text": first + sheet_files.record12(0x07, bytes(8) + b"\x63\x00\x00\x00"),
    }.items():
        yield f"sheets/{name}.xlsb", sheet_files.xlsb([("S", False, cells)])
    last: list[list[sheet_files.Cell]] = [["a"], *([] for _ in range(65_534)), [*[None] * 255, "b"]]
    yield "sheets/corners.xls", sheet_files.xls([("S", False, last)])


def _replaced(book: bytes, old_bytes: bytes, new_bytes: bytes) -> bytes:
    """An archive with other bytes in its parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(old_bytes, new_bytes))
    return out.getvalue()
