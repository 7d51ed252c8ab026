"""What a part of a Word file says, from its XML: all that a person sees, nothing that was deleted. Knows no layout.

python-docx's `text` leaves out insertions, content controls, simple fields and text boxes, so that sentences would
lose words without a trace.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from ingest.cleaning import clean
from ingest.office_text import raised

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"

PARAGRAPH, TABLE, ROW, CELL = f"{_W}p", f"{_W}tbl", f"{_W}tr", f"{_W}tc"
VALUE, ID = f"{_W}val", f"{_W}id"

_CONTROL = f"{_W}sdt"
_CLEAR = frozenset(f"{_W}{name}" for name in ("sdtContent", "ins", "moveTo", "customXml", "smartTag"))
"""Wrappers around blocks, rows and cells that are read as if they were not there."""
_SKIPPED = frozenset(
    f"{_W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "sdtPr", "instrText", "delText", "delInstrText", "rt")
)
_SIGNS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_SYMBOLS = {
    **dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True)),
    **dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True)),
    0xA3: "≤",
    0xA5: "∞",
    0xAE: "→",
    0xB0: "°",
    0xB1: "±",
    0xB3: "≥",
    0xB4: "×",
    0xB8: "÷",
    0xB9: "≠",
    0xBB: "≈",
}
"""The characters of the font Symbol that a sentence needs; other symbol fonts hold pictures."""
_TEXTS = (f"{_W}t", f"{_M}t")

PAGE_NUMBER = "\ue000"
"""Stands in a page header where the number of the page is; a character that no text has."""
_PAGE_FIELD = re.compile(r"\s*(?:PAGE|NUMPAGES|SECTIONPAGES)\b", re.IGNORECASE)
_PAGE_WORDS = re.compile(
    rf"(?:\b(?:page|pages|seite|side|sida|sivu|pagina|página|strona|strana|стр|pg|p|s)\b\.?[ \xa0]*)?{PAGE_NUMBER}"
    rf"(?:\s*(?:/|\w{{1,4}})\s*{PAGE_NUMBER})?",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Said:
    """What a paragraph says, and what stands beside it."""

    pieces: list[str] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)
    """The contents of its text boxes: elements that hold blocks."""
    notes: list[str] = field(default_factory=list)
    """Kind and id of the footnotes and endnotes that it refers to: `footnote 2`."""

    @property
    def text(self) -> str:
        """Clean, without space around it; a line break within is kept."""
        return clean("".join(self.pieces)).strip()


def within(node: Any, tags: Collection[str]) -> Iterator[Any]:
    """The elements of these tags right below a node, or below wrappers in it: content controls, insertions."""
    for child in node:
        if child.tag in tags:
            yield child
        elif child.tag in _CLEAR or (child.tag == _CONTROL and not _left_out(child)):
            yield from within(child, tags)


def said(paragraph: Any) -> Said:
    """The words of a paragraph. Recursive: lxml parses 256 levels and no more."""
    found = Said()
    _collect(paragraph, found, up=False)
    return found


def property_of(node: Any, group: str, name: str) -> str | None:
    """The value of a property: "" where it has none, None where the property is not there."""
    found = node.find(f"{_W}{group}/{_W}{name}")
    return None if found is None else found.get(VALUE, "")


def running_texts(root: Any) -> Iterator[str]:
    """The texts of a page header or footer without page numbers, each piece between tabs by itself."""
    for paragraph in root.iter(PARAGRAPH):
        _mark_page_numbers(paragraph)
        for piece in re.split(r"[\t\n]+", said(paragraph).text):
            text = _PAGE_WORDS.sub(" ", piece).replace(PAGE_NUMBER, " ")
            if text := " ".join(text.split()).strip("-–—|•· "):
                yield text


def _collect(node: Any, found: Said, *, up: bool) -> None:
    for child in node:
        tag = child.tag
        if tag in _TEXTS:
            text = child.text or ""
            found.pieces.append(raised(found.pieces[-1] if found.pieces else "", text) if up else text)
        elif tag in _SIGNS:
            found.pieces.append(_SIGNS[tag])
        elif tag == f"{_W}sym":
            found.pieces.append(_symbol(child.get(f"{_W}font", ""), child.get(f"{_W}char", "")))
        elif tag == f"{_W}txbxContent":
            found.boxes.append(child)
        elif tag in (f"{_W}footnoteReference", f"{_W}endnoteReference"):
            found.notes.append(f"{tag.removeprefix(_W).removesuffix('Reference')} {child.get(ID)}")
        elif tag == f"{_MC}AlternateContent":
            chosen = child.find(f"{_MC}Choice")  # the fallback says the same once more
            _collect(child if chosen is None else chosen, found, up=up)
        elif not (tag in _SKIPPED or (tag == _CONTROL and _left_out(child))):
            higher = up or tag == f"{_M}sup" or property_of(child, "rPr", "vertAlign") == "superscript"
            if tag == f"{_M}den":
                found.pieces.append("/")
            _collect(child, found, up=higher)


def _symbol(font: str, code: str) -> str:
    if font != "Symbol" or not re.fullmatch(r"[0-9A-Fa-f]{1,4}", code):
        return ""
    return _SYMBOLS.get(int(code, 16) & 0xFF, "")  # Word adds 0xF000


def _left_out(control: Any) -> bool:
    """A table of contents, which says every heading twice, or a prompt that nobody answered."""
    properties = control.find(f"{_W}sdtPr")
    if properties is None:
        return False
    gallery = properties.find(f"{_W}docPartObj/{_W}docPartGallery")
    contents = gallery is not None and gallery.get(VALUE) == "Table of Contents"
    return contents or properties.find(f"{_W}showingPlcHdr") is not None


def _mark_page_numbers(paragraph: Any) -> None:
    """Write PAGE_NUMBER in place of what the fields for the page and the count of pages show."""
    for simple in paragraph.iter(f"{_W}fldSimple"):
        if _PAGE_FIELD.match(simple.get(f"{_W}instr", "")):
            _replace(list(simple.iter(_TEXTS[0])))
    instruction = ""
    shown: list[Any] | None = None
    for node in paragraph.iter(f"{_W}fldChar", f"{_W}instrText", _TEXTS[0]):
        kind = node.get(f"{_W}fldCharType")
        if node.tag == f"{_W}instrText":
            instruction += node.text or ""
        elif kind == "begin":
            instruction = ""
        elif kind == "separate" and _PAGE_FIELD.match(instruction):
            shown = []
        elif kind == "end" and shown is not None:
            _replace(shown)
            shown = None
        elif kind is None and shown is not None:
            shown.append(node)


def _replace(texts: list[Any]) -> None:
    for number, node in enumerate(texts):
        node.text = "" if number else PAGE_NUMBER
