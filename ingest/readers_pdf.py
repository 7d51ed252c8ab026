"""PDF to text: columns in order, tables as rows, headings, and for every stretch of text its page and box.

PDFium reads the characters and lines of a page (chosen by measurement, see docs/decisions.md); `ingest.page_layout`
puts them in order. A page that is a picture of text is read by Tesseract where that is installed.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ingest import ocr
from ingest.cleaning import clean
from ingest.metadata import UNREADABLE_PAGES
from ingest.page_layout import in_order, pieces_of
from ingest.page_parts import Block, Piece
from ingest.page_tables import Rule, ruled_tables
from ingest.page_text import Box, Page, written
from ingest.page_words import Character, Word
from ingest.readers import Extracted
from rag.errors import UnreadableDocument
from rag.types import MetadataValue

MAX_PAGES = 10_000
MAX_CHARACTERS = 200_000
"""Of one page; more are no page that a person reads."""
NOT_TOLD = ("", "untitled", "(anonymous)", "anonymous", "(unspecified)", "unspecified")
"""What programs write where nobody said anything."""
FAR = 1e6
"""Points; what stands farther from a page's corner is not on it."""
ASLANT = 10.0
"""Degrees; a scanned page with text behind it may hang by less."""
BOLD = re.compile(rb"bold|black|heavy|demi|cmbx|sfbx|-medi$", re.IGNORECASE)
"""In a font's name; the last three are TeX's."""
SAMPLED = 200
"""Characters of a page whose angle is looked at."""
MAX_OBJECTS = 20_000
"""Drawn on one page; of a page with more the lines are not looked at: it is a map or a plan."""
MAX_SEGMENTS = 400
"""Of one path; one with more is a drawing."""


def read_pdf(path: Path) -> Extracted:
    """The text of all pages, running heads and page numbers removed. Scanned pages without OCR are reported."""
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) in (pdfium.raw.FPDF_ERR_PASSWORD, pdfium.raw.FPDF_ERR_SECURITY):
            raise UnreadableDocument("the PDF is encrypted and needs a password") from error
        raise UnreadableDocument(f"the PDF is damaged or truncated: {error}") from error
    try:
        total = len(document)
        if total > MAX_PAGES:
            raise UnreadableDocument(f"the PDF has {total:,} pages, at most {MAX_PAGES:,} are read")
        pages: list[Page] = []
        scanned, broken = [], []
        for number in range(1, total + 1):
            try:
                page = document[number - 1]
                found = _page(page, number)
                if found is None:
                    scanned.append(number)
                else:
                    pages += found
                page.close()
            except pdfium.PdfiumError:
                broken.append(number)
        told = {name: value for name, value in document.get_metadata_dict().items() if value not in NOT_TOLD}
    finally:
        document.close()
    text, layout = written(pages)
    if not text.strip():
        raise UnreadableDocument(_nothing(len(scanned), len(broken)))
    metadata: dict[str, MetadataValue] = {"pages": total, **_properties(told)}
    if missing := sorted(scanned + broken):
        metadata[UNREADABLE_PAGES] = _numbers(missing)
    return Extracted(text, clean(told.get("Title", "")).strip() or _first_line(text), metadata, layout)


def _properties(told: dict[str, str]) -> dict[str, MetadataValue]:
    """Author, and the days it was made and changed."""
    found: dict[str, MetadataValue] = {}
    if author := clean(told.get("Author", "")).strip():
        found["author"] = author[:200]
    for name, key in (("created", "CreationDate"), ("modified", "ModDate")):
        if day := _day(told.get(key, "")):
            found[name] = day
    return found


def _nothing(scanned: int, broken: int) -> str:
    if scanned:
        return f"none of its pages holds text, {scanned} of them are scanned: {ocr.HOW_TO}"
    if broken:
        return f"the PDF is damaged: none of its {broken} pages can be read"
    return "none of its pages holds text"


def _page(page: Any, number: int) -> list[Page] | None:
    """A page's blocks in order, those of lines that stand on their side apart; None for a scanned one."""
    crop, turned = page.get_cropbox(), page.get_rotation()
    rules, pictures = _drawn(page)
    found: list[Page] = []
    ways = [_upright(page)]
    try:
        for way in ways:
            page.set_rotation(way)  # PDFium puts the words of lines that stand upright in order, and no others
            words, others = _standing(page, crop, way)
            if way == ways[0]:
                ways += sorted(others - {way})
            if words:
                blocks = _ordered(words, [_box(rule, crop, way) for rule in rules])
                shown = partial(_shown, crop=crop, way=way, turned=turned)
                found.append(Page(number, float(page.get_height()), blocks, shown, aside=bool(found)))
    finally:
        page.set_rotation(turned)
    height = float(page.get_height())
    if found or not pictures:
        return found or [Page(number, height, [])]
    seen = ocr.read_page(page)
    return [Page(number, height, _ordered(seen, []))] if seen else None


def _ordered(words: list[Piece], rules: list[Rule]) -> list[Block]:
    """Words and lines of a page as they stand upright, in blocks as a person reads them."""
    tables, rest = ruled_tables(pieces_of(words), rules)
    across = [(left, right, top) for left, top, right, bottom in rules if bottom - top < right - left]
    return in_order(rest, tables, across)


def _shown(box: Box, *, crop: Box, way: int, turned: int) -> Box:
    """A box on the page turned by `way` degrees as one on the page as it is shown."""
    return _box(_own(box, crop, way), crop, turned)


def _count(text: Any) -> int:
    """The characters of a page."""
    from pypdfium2 import raw

    count = int(raw.FPDFText_CountChars(text))
    if count > MAX_CHARACTERS:
        raise UnreadableDocument(f"one of its pages has {count:,} characters, at most {MAX_CHARACTERS:,} are read")
    return count


def _upright(page: Any) -> int:
    """By how many degrees, clockwise, the page must be turned for most of its lines to stand upright."""
    text = page.get_textpage()
    try:
        count = _count(text)
        ways = Counter(_way(text, at) for at in range(0, count, max(1, count // SAMPLED)))
    finally:
        text.close()
    del ways[None]
    return max(ways, key=lambda way: ways[way], default=0) or 0


def _standing(page: Any, crop: Box, way: int) -> tuple[list[Piece], set[int]]:
    """The words that stand upright on a page turned by `way` degrees, and which ways others do."""
    others: set[int] = set()
    text = page.get_textpage()
    try:
        return list(_words(text, crop, way, others)), others
    finally:
        text.close()


def _words(text: Any, crop: Box, upright: int, others: set[int]) -> Iterator[Piece]:
    """Words that stand upright on a page turned so, with boxes on that, in PDFium's order.

    Which ways others stand comes into `others`; what stands aslant, as a watermark does, is no word.
    """
    from pypdfium2 import raw

    count = _count(text)
    box = raw.FS_RECTF()
    pointer = ctypes.byref(box)
    x, y = ctypes.c_double(), ctypes.c_double()

    def base(at: int) -> float:
        raw.FPDFText_GetCharOrigin(text, at, x, y)
        return _box((x.value, y.value, x.value, y.value), crop, upright)[1]

    word: Word | None = None
    line_ended = False
    for at in range(count):
        code = raw.FPDFText_GetUnicode(text, at)
        said = chr(code) if 0 < code < 0x110000 else " "
        if said.isspace() or (code < 32 and code != 2):
            line_ended = said in "\r\n"
            if word and not line_ended:
                yield word.piece()
                word = None
            continue
        raw.FPDFText_GetLooseCharBox(text, at, pointer)
        a, b, c, d = box.left, box.bottom, box.right, box.top
        if not (-FAR < a < FAR and -FAR < b < FAR and -FAR < c < FAR and -FAR < d < FAR):  # NaN is not between either
            continue
        character = Character(said, at, *_box((a, b, c, d), crop, upright))
        alike = word is not None and word.alike(character)
        if not alike or line_ended:
            way = _way(text, at)
            if way != upright:
                others |= set() if way is None else {way}
                continue
        up = 0.0 if word is None or alike else base(word.at) - base(at)
        if word and word.ends(character, up, line_ended=line_ended):
            yield word.piece()
            word = None
        line_ended = False
        if word:
            word.add(character, up)
        else:
            word = Word(character, bold=_bold(text, at))
    if word:
        yield word.piece()


def _bold(text: Any, at: int) -> bool:
    """Whether a character's font is a bold one, by its name."""
    from pypdfium2 import raw

    name = ctypes.create_string_buffer(100)
    flags = ctypes.c_int()
    raw.FPDFText_GetFontInfo(text, at, name, len(name), ctypes.byref(flags))
    return bool(BOLD.search(name.value))


def _way(text: Any, at: int) -> int | None:
    """By how many degrees, clockwise, the page must be turned for a character to stand upright; None for no quarter.

    By the direction of its line alone: PDFium's angle is also that of a slope which makes type italic.
    """
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, at, ctypes.byref(matrix))
    angle = math.degrees(math.atan2(matrix.b, matrix.a))
    quarter = round(angle / 90)
    return quarter % 4 * 90 if abs(angle - quarter * 90) <= ASLANT else None


def _drawn(page: Any) -> tuple[list[Rule], bool]:
    """The straight lines on a page, in its own coordinates, and whether it holds a picture."""
    from pypdfium2 import raw

    rules: list[Rule] = []
    pictures = False
    for number, item in enumerate(page.get_objects(max_depth=3)):
        if number > MAX_OBJECTS:
            return [], pictures
        if item.type == raw.FPDF_PAGEOBJ_IMAGE:
            pictures = True
        elif item.type == raw.FPDF_PAGEOBJ_PATH:
            rules += _rules(item)
    return rules, pictures


def _rules(path: Any) -> Iterator[Rule]:
    """A thin path is one line; of any other its straight segments along an axis are."""
    from pypdfium2 import raw

    left, bottom, right, top = path.get_bounds()
    if right - left < 2.5 or top - bottom < 2.5:
        if max(right - left, top - bottom) > 4:
            yield (left, bottom, right, top)
        return
    count = raw.FPDFPath_CountSegments(path)
    if count > MAX_SEGMENTS:
        return
    matrix = path.get_matrix()
    x, y = ctypes.c_float(), ctypes.c_float()
    start = last = (0.0, 0.0)
    for at in range(count):
        segment = raw.FPDFPath_GetPathSegment(path, at)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        kind = raw.FPDFPathSegment_GetType(segment)
        point = matrix.on_point(x.value, y.value)
        if kind == raw.FPDF_SEGMENT_LINETO:
            yield from _straight(last, point)
        elif kind == raw.FPDF_SEGMENT_MOVETO:
            start = point
        last = point
        if raw.FPDFPathSegment_GetClose(segment):
            yield from _straight(last, start)


def _straight(a: tuple[float, float], b: tuple[float, float]) -> Iterator[Rule]:
    across, down = abs(a[0] - b[0]), abs(a[1] - b[1])
    if min(across, down) < 1 and max(across, down) > 4:
        yield (min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))


def _box(box: Box, crop: Box, degrees: int) -> Box:
    """(left, lower, right, upper) in the page's own coordinates as (left, top, right, bottom) of the turned page."""
    left, low, right, high = box[0] - crop[0], box[1] - crop[1], box[2] - crop[0], box[3] - crop[1]
    width, height = crop[2] - crop[0], crop[3] - crop[1]
    if degrees == 0:
        return left, height - high, right, height - low
    if degrees == 90:
        return low, left, high, right
    if degrees == 180:
        return width - right, low, width - left, high
    return height - high, width - right, height - low, width - left


def _own(box: Box, crop: Box, degrees: int) -> Box:
    """The way back from `_box`."""
    left, top, right, bottom = box
    width, height = crop[2] - crop[0], crop[3] - crop[1]
    x1, y1, x2, y2 = {
        0: (left, height - bottom, right, height - top),
        90: (top, left, bottom, right),
        180: (width - right, top, width - left, bottom),
        270: (width - bottom, height - right, width - top, height - left),
    }[degrees]
    return x1 + crop[0], y1 + crop[1], x2 + crop[0], y2 + crop[1]


def _day(told: str) -> str:
    """The day of a PDF's date, D:20240131…; empty where it is none."""
    digits = told.removeprefix("D:")[:8]
    if len(digits) != 8 or not digits.isdecimal() or not ("1990" <= digits[:4] < "2100"):
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def _numbers(pages: list[int]) -> str:
    shown = ", ".join(map(str, pages[:20]))
    return shown if len(pages) <= 20 else f"{shown} and {len(pages) - 20} more"


def _first_line(text: str) -> str:
    first = text.strip().split("\n", 1)[0].strip("# ")
    return first if len(first) <= 120 and not first.startswith("|") else ""
