"""DOCX to text: headings, paragraphs, lists and tables in their order. Knows no other format.

Its macro-enabled and template forms are the same format under other names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ingest import archives
from ingest.docx_words import CELL, ID, PARAGRAPH, ROW, TABLE, VALUE, property_of, running_texts, said, within
from ingest.office_properties import properties
from ingest.office_tables import Row, repeated, table_lines
from ingest.readers import Extracted
from rag.errors import UnreadableDocument

MAX_SPAN = 63
"""Columns of a table, as many as Word makes."""

_ALIKE = (
    "application/vnd.ms-word.document.macroEnabled.main+xml",
    "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
)
"""Content types of the same format under other names: .docm, .dotm, .dotx."""
_W = PARAGRAPH.removesuffix("p")


def read_docx(path: Path) -> Extracted:
    """Headings as Markdown headings, table rows as `| a | b |`; notes after what refers to them, page headers first."""
    from docx.opc.exceptions import PackageNotFoundError

    archives.check(path, kind="DOCX", holds="word/document.xml")
    try:
        part = _opened(path)
        writer = _Writer(_styles(part), _notes(part))
        writer.write(part.element.body)
        running = _running(part)
    except (PackageNotFoundError, *archives.DAMAGED) as error:
        raise UnreadableDocument(f"the DOCX is damaged: {archives.told(error)}") from error
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(writer.lines)).strip()
    title, told = properties(path)
    first = re.search(r"^# (.+)$", body, re.MULTILINE)
    title = title or writer.title or (first[1] if first else "")
    lead = "\n".join(text for text in running if text != title)
    return Extracted("\n\n".join(filter(None, (lead, body))), title, told)


def _opened(path: Path) -> Any:
    """The main part. python-docx's own `Document` opens the plain form alone."""
    from docx.opc.part import PartFactory
    from docx.package import Package
    from docx.parts.document import DocumentPart

    PartFactory.part_type_for.update(dict.fromkeys(_ALIKE, DocumentPart))
    part = Package.open(str(path)).main_document_part
    if not isinstance(part, DocumentPart):
        raise TypeError(f"its content type is {part.content_type}, not that of a document")
    return part


def _styles(part: Any) -> dict[str, str]:
    """What a paragraph of each style is, by the style's id: `title`, `heading 2`, `list`, `contents`, or nothing.

    A style is what the nearest style is that it is based on.
    """
    own: dict[str, str] = {}
    based: dict[str, str] = {}
    for style in part.styles.element.iter(f"{_W}style"):
        key, names, parents = style.get(f"{_W}styleId", ""), style.find(f"{_W}name"), style.find(f"{_W}basedOn")
        own[key] = _kind("" if names is None else names.get(VALUE, ""), property_of(style, "pPr", "outlineLvl"))
        based[key] = "" if parents is None else parents.get(VALUE, "")
    for key in own:
        chain = [key]
        while not own[chain[-1]] and based[chain[-1]] in own and based[chain[-1]] not in chain and len(chain) < 12:
            chain.append(based[chain[-1]])
        own[key] = own[chain[-1]]
    return own


def _kind(name: str, outline: str | None) -> str:
    name = name.casefold()
    if level := re.fullmatch(r"heading ([1-9])", name):
        return f"heading {min(int(level[1]), 6)}"
    if outline is not None and outline.isdigit():
        return f"heading {min(int(outline) + 1, 6)}" if int(outline) < 9 else "text"
    if re.fullmatch(r"toc (?:\d|heading)", name):
        return "contents"
    return {"title": "title", "subtitle": "text"}.get(name) or ("list" if name.startswith("list") else "")


def _notes(part: Any) -> dict[str, Any]:
    """Footnotes and endnotes by kind and id."""
    found = {}
    for relation in part.rels.values():
        kind = relation.reltype.rpartition("/")[2].removesuffix("s")
        if kind in ("footnote", "endnote") and not relation.is_external:
            for note in _root(relation.target_part).iter(f"{_W}{kind}"):
                found[f"{kind} {note.get(ID)}"] = note
    return found


def _running(part: Any) -> list[str]:
    """What the headers and footers of the pages say, each text once: a document's number and revision stand there."""
    parts = [
        relation.target_part
        for relation in part.rels.values()
        if relation.reltype.endswith(("/header", "/footer")) and not relation.is_external
    ]
    return list(dict.fromkeys(text for each in parts for text in running_texts(_root(each))))


def _root(part: Any) -> Any:
    from docx.oxml.parser import parse_xml

    return parse_xml(part.blob)


class _Writer:
    """Writes blocks as lines; `title` is the text of the first paragraph in the style for titles."""

    def __init__(self, styles: dict[str, str], notes: dict[str, Any]) -> None:
        self.lines: list[str] = []
        self.title = ""
        self._styles, self._notes = styles, notes

    def write(self, node: Any) -> None:
        for block in within(node, (PARAGRAPH, TABLE)):
            if block.tag == TABLE:
                self._table(block)
            else:
                self._paragraph(block)

    def _paragraph(self, paragraph: Any) -> None:
        kind = self._styles.get(property_of(paragraph, "pPr", "pStyle") or "", "")
        if kind == "contents":
            return  # every heading once more
        found = said(paragraph)
        text = found.text
        if text and (kind == "title" or kind.startswith("heading")):
            text = " ".join(text.split())
            self.title = self.title or (text if kind == "title" else "")
            self.lines += ["", f"{'#' * (1 if kind == 'title' else int(kind[-1]))} {text}", ""]
        elif text:
            self.lines += [f"- {text}"] if kind == "list" else ["", text]
        self._beside(found.boxes, found.notes)

    def _beside(self, boxes: Iterable[Any], notes: Iterable[str]) -> None:
        """Text boxes, and the notes that are referred to, each once, in paragraphs of their own."""
        for box in boxes:
            self.write(box)
        for name in notes:
            note = self._notes.pop(name, None)
            text = " ".join(said(each).text for each in note.iter(PARAGRAPH)) if note is not None else ""
            if text:
                self.lines += ["", f"{name.partition(' ')[0].capitalize()}: {text}", ""]

    def _table(self, table: Any) -> None:
        boxes: list[Any] = []
        notes: list[str] = []
        rows = list(_rows(table, boxes, notes))
        look = table.find(f"{_W}tblPr/{_W}tblLook")
        headed = look is None or look.get(f"{_W}firstRow") not in ("0", "false")
        self.lines += ["", *table_lines(rows, headed=headed), ""]
        self._beside(boxes, notes)


def _rows(table: Any, boxes: list[Any], notes: list[str]) -> Iterator[Row]:
    """The rows of a table; text boxes, tables within its cells and notes are added to the lists."""
    above: list[str] = []
    for row in within(table, (ROW,)):
        if row.find(f"{_W}trPr/{_W}del") is not None:
            continue
        cells = [""] * _number(property_of(row, "trPr", "gridBefore"), 0)
        repeats: set[int] = set()
        count = 0
        for cell in within(row, (CELL,)):
            count += 1
            span = max(1, _number(property_of(cell, "tcPr", "gridSpan"), 1))
            text = _cell_text(cell, boxes, notes)
            if property_of(cell, "tcPr", "vMerge") in ("", "continue") and len(cells) < len(above):
                text = repeated(above[len(cells)])
            repeats.update(range(len(cells) + 1, len(cells) + span))
            cells += [text, *[repeated(text)] * (span - 1)]
        whole = count == 1 and len(cells) > 1
        if whole:
            cells[1:] = [""] * (len(cells) - 1)
        yield Row(cells, frozenset(repeats), whole, property_of(row, "trPr", "tblHeader") not in (None, "0", "false"))
        above = cells


def _cell_text(cell: Any, boxes: list[Any], notes: list[str]) -> str:
    texts = []
    for block in within(cell, (PARAGRAPH, TABLE)):
        if block.tag == TABLE:
            boxes.append([block])
            continue
        found = said(block)
        texts.append(found.text)
        boxes += found.boxes
        notes += found.notes
    return " ".join(" ".join(texts).split())


def _number(text: str | None, default: int) -> int:
    return min(int(text), MAX_SPAN) if text and text.isascii() and text.isdigit() else default
