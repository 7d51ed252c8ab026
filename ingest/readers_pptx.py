"""PPTX to text, slide by slide: shapes in reading order, tables and charts as rows. Knows no other format.

Its macro-enabled, show and template forms are the same format under other names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ingest import archives
from ingest.cleaning import clean
from ingest.office_properties import properties
from ingest.office_tables import Row, repeated, table_lines
from ingest.office_text import raised
from ingest.readers import Extracted
from ingest.sheet_formats import parsed
from rag.errors import UnreadableDocument

MAX_GROUPS = 20
"""Groups within groups of a slide's shapes; deeper ones are no slide that a person drew."""
LIKE_TOP = 230_000
"""Shapes whose tops differ by less stand in one row: a quarter of an inch, in EMU, of which an inch has 914,400."""
MAX_POINTS = 20_000
"""Rows times columns of a chart; of a larger one only the title is read."""

_ALIKE = (
    "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
    "application/vnd.ms-powerpoint.template.macroEnabled.main+xml",
)
"""Content types that python-pptx does not know for presentations: .ppsm, .potm."""
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"


def read_pptx(path: Path) -> Extracted:
    """Each slide's title as a heading, its texts, tables, charts and diagrams in reading order, then its notes."""
    from pptx.exc import PythonPptxError

    archives.check(path, kind="PPTX", holds="ppt/presentation.xml")
    try:
        slides = [_slide(number, slide) for number, slide in enumerate(_opened(path).slides, start=1)]
    except (PythonPptxError, *archives.DAMAGED) as error:
        raise UnreadableDocument(f"the PPTX is damaged: {archives.told(error)}") from error
    title, told = properties(path)
    first = next((name for name, text in slides if name), "")
    return Extracted("\n\n".join(text for _, text in slides if text), title or first, told)


def _opened(path: Path) -> Any:
    """The presentation. python-pptx's own `Presentation` opens neither templates nor shows."""
    from pptx.opc.package import PartFactory
    from pptx.package import Package
    from pptx.parts.presentation import PresentationPart

    PartFactory.part_type_for.update(dict.fromkeys(_ALIKE, PresentationPart))
    part = Package.open(str(path)).main_document_part
    if not isinstance(part, PresentationPart):
        raise TypeError(f"its content type is {part.content_type}, not that of a presentation")
    return part.presentation


def _slide(number: int, slide: Any) -> tuple[str, str]:
    """(title, text) of a slide; the text is empty where it says nothing."""
    shapes = slide.shapes
    named = " ".join(_said(shapes.title.text_frame).split()) if shapes.title is not None else ""
    parts = [
        text
        for shape in _leaves(shapes, 0)
        if not (shapes.title is not None and shape.shape_id == shapes.title.shape_id) and (text := _shape_text(shape))
    ]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = _said(slide.notes_slide.notes_text_frame)
        parts += [f"Notes: {notes}"] if notes else []
    if not parts and not named:
        return "", ""
    return named, "\n\n".join([f"## {named or f'Slide {number}'}", *parts])


def _leaves(shapes: Iterable[Any], depth: int) -> Iterator[Any]:
    """Shapes that are no group in reading order, those of a group where the group is."""
    if depth > MAX_GROUPS:
        raise UnreadableDocument("its shapes are nested too deeply")
    for shape in _ordered(shapes):
        if hasattr(shape, "shapes"):
            yield from _leaves(shape.shapes, depth + 1)
        else:
            yield shape


def _ordered(shapes: Iterable[Any]) -> list[Any]:
    """Shapes in rows of like top, from left to right; a row of headings goes with the texts below it, one by one."""
    rows: list[list[Any]] = []
    for shape in sorted(shapes, key=lambda shape: shape.top or 0):
        if not rows or (shape.top or 0) - (rows[-1][0].top or 0) > LIKE_TOP:
            rows.append([])
        rows[-1].append(shape)
    rows = [sorted(row, key=lambda shape: shape.left or 0) for row in rows]
    wide = [row for row in rows if len(row) > 1]
    headings = {id(upper) for upper, lower in pairwise(rows) if _are_headings(upper, lower, alone=len(wide) == 2)}
    found: list[Any] = []
    above: list[Any] = []
    for row in rows:
        if above:
            found += [shape for pair in zip(above, row, strict=True) for shape in pair]
            above = []
        elif id(row) in headings:
            above = row
        else:
            found += row
    return found


def _are_headings(upper: Sequence[Any], lower: Sequence[Any], *, alone: bool) -> bool:
    """Whether each shape of a row stands over one of the next, and is lower, or both rows are the only ones."""
    if not 1 < len(upper) == len(lower):
        return False
    over = all(
        max(a.left or 0, b.left or 0) < min((a.left or 0) + (a.width or 0), (b.left or 0) + (b.width or 0))
        for a, b in zip(upper, lower, strict=True)
    )
    return over and (alone or max(shape.height or 0 for shape in upper) < min(shape.height or 0 for shape in lower))


def _shape_text(shape: Any) -> str:
    if getattr(shape, "has_table", False):
        return "\n".join(table_lines(list(_rows(shape.table)), headed=shape.table.first_row))
    if getattr(shape, "has_chart", False):
        return _chart(shape.chart.element)
    if not shape.has_text_frame:
        return _diagram(shape)
    paragraphs = [(" ".join(_line(p).split()), p.level) for p in shape.text_frame.paragraphs]
    said = [(text, level) for text, level in paragraphs if text]
    if len(said) < 2:
        return said[0][0] if said else ""
    return "\n".join(f"{'  ' * level}- {text}" for text, level in said)


def _said(frame: Any) -> str:
    return "\n".join(map(_line, frame.paragraphs)).strip()


def _line(paragraph: Any) -> str:
    """The words of a paragraph; python-pptx's `text` has a control character for a line break."""
    pieces = [""]
    for node in paragraph._p:
        if node.tag == f"{_A}br":
            pieces.append("\n")
        elif node.tag in (f"{_A}r", f"{_A}fld"):
            text, form = node.findtext(f"{_A}t", ""), node.find(f"{_A}rPr")
            up = form is not None and form.get("baseline", "0").strip("0%") and not form.get("baseline").startswith("-")
            pieces.append(raised(pieces[-1], text) if up else text)
    return clean("".join(pieces))


def _rows(table: Any) -> Iterator[Row]:
    above: list[str] = []
    for row in table.rows:
        cells: list[str] = []
        repeats: set[int] = set()
        for i, cell in enumerate(row.cells):
            text = " ".join(_said(cell.text_frame).split())
            if cell._tc.vMerge and i < len(above):
                text = repeated(above[i])
            elif cell._tc.hMerge and cells:
                text = repeated(cells[-1])
            if cell._tc.hMerge and cells:
                repeats.add(i)
            cells.append(text)
        whole = len(cells) > 1 and len(repeats) == len(cells) - 1
        yield Row([*cells[:1], *[""] * (len(cells) - 1)] if whole else cells, frozenset(repeats), whole)
        above = cells


def _chart(element: Any) -> str:
    """A chart's title, and its values as rows: a category each, a column for every series.

    Read from the XML, because python-pptx counts to whatever number of points a file says that it has.
    """
    title = " ".join(_words(element.find(f"{_C}chart/{_C}title")).split())
    series = list(element.iter(f"{_C}ser"))
    names = [" ".join(value.text or "" for value in each.iterfind(f"{_C}tx//{_C}v")) for each in series]
    categories: dict[int, str] = {}
    columns: list[dict[int, str]] = []
    for each in series:
        for kind in ("cat", "xVal"):
            categories = _points(each.find(f"{_C}{kind}")) | categories
        columns.append(_points(each.find(f"{_C}val")) or _points(each.find(f"{_C}yVal")))
    places = sorted({place for column in columns for place in column})
    if len(places) * len(columns) > MAX_POINTS:
        return title
    rows = [Row(["", *names]), *(Row([categories.get(i, ""), *(each.get(i, "") for each in columns)]) for i in places)]
    return "\n\n".join(filter(None, (title, "\n".join(table_lines(rows, headed=True)) if places else "")))


def _points(node: Any) -> dict[int, str]:
    """The points of a series or of its categories, by their place; of several levels the innermost, which is first."""
    found: dict[int, str] = {}
    if node is None:
        return found
    code = node.find(f".//{_C}formatCode")
    form = parsed(code.text or "") if code is not None else None
    for point in node.iter(f"{_C}pt"):
        value = point.find(f"{_C}v")
        text = "" if value is None else clean(value.text or "").strip()
        if form is not None and text:
            text = form.show(float(text))
        found.setdefault(int(point.get("idx", "0")), text)
    return found


def _diagram(shape: Any) -> str:
    """The texts of a SmartArt diagram as a list, in the order in which its parts are kept."""
    relation = shape._element.find(f".//{_DIAGRAM}relIds")
    if relation is None or relation.get(_DATA) is None:
        return ""
    from pptx.oxml import parse_xml

    root = parse_xml(shape.part.related_part(relation.get(_DATA)).blob)
    kinds = ("pres", "parTrans", "sibTrans")
    texts = (_words(point) for point in root.iter(f"{_DIAGRAM}pt") if point.get("type") not in kinds)
    return "\n".join(f"- {text}" for text in texts if text)


def _words(node: Any) -> str:
    """The words of every paragraph below a node, on one line."""
    if node is None:
        return ""
    paragraphs = ("".join(text.text or "" for text in each.iter(f"{_A}t")) for each in node.iter(f"{_A}p"))
    return clean(" ".join(filter(None, paragraphs))).strip()
