"""PPTX to text. Knows no other format."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest import archives
from ingest.cleaning import clean
from ingest.readers import Extracted
from rag.errors import UnreadableDocument
from rag.types import MetadataValue

DAMAGED = (
    zipfile.BadZipFile, zlib.error, OSError, ArithmeticError, AssertionError, AttributeError, IndexError, KeyError,
    NotImplementedError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""What python-pptx and lxml raise on damaged files, found by fuzzing; lxml's XMLSyntaxError is a SyntaxError."""
MAX_GROUPS = 20
"""Groups within groups of a slide's shapes; deeper ones are no slide that a person drew."""


def read_pptx(path: Path) -> Extracted:
    """Slide by slide: the title as a heading, texts from top to bottom, tables as rows, speaker notes at the end."""
    import pptx
    from pptx.exc import PythonPptxError

    archives.check(path, kind="PPTX", holds="ppt/presentation.xml")
    try:
        deck = pptx.Presentation(str(path))
        slides = [_slide(number, slide) for number, slide in enumerate(deck.slides, start=1)]
        properties = deck.core_properties
        title = clean(properties.title or "").strip()
    except (PythonPptxError, *DAMAGED) as error:
        raise UnreadableDocument(f"the PPTX is damaged: {error}") from error
    if title == "PowerPoint Presentation":
        title = ""
    first = next((name for name, text in slides if name), "")
    texts = [text for _, text in slides if text]
    return Extracted("\n\n".join(texts), title or first, _properties(properties))


def _slide(number: int, slide: Any) -> tuple[str, str]:
    """(title, text) of a slide; the text is empty where it says nothing."""
    shapes = slide.shapes
    named = clean(shapes.title.text_frame.text).strip().replace("\n", " ") if shapes.title is not None else ""
    parts = [
        text
        for shape in _leaves(shapes, 0)
        if not (shapes.title is not None and shape.shape_id == shapes.title.shape_id) and (text := _shape_text(shape))
    ]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = clean(slide.notes_slide.notes_text_frame.text).strip()
        parts += [f"Notes: {notes}"] if notes else []
    if not parts and not named:
        return "", ""
    return named, "\n\n".join([f"## {named or f'Slide {number}'}", *parts])


def _leaves(shapes: Iterable[Any], depth: int) -> Iterator[Any]:
    """Shapes that are no group, from top to bottom, those of a group where the group is."""
    if depth > MAX_GROUPS:
        raise UnreadableDocument("its shapes are nested too deeply")
    for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if hasattr(shape, "shapes"):
            yield from _leaves(shape.shapes, depth + 1)
        else:
            yield shape


def _shape_text(shape: Any) -> str:
    if getattr(shape, "has_table", False):
        return "\n".join(_rows(shape.table.rows))
    if not shape.has_text_frame:
        return ""
    paragraphs = [(clean(p.text).replace("\n", " ").strip(), p.level) for p in shape.text_frame.paragraphs]
    said = [(text, level) for text, level in paragraphs if text]
    if len(said) < 2:
        return said[0][0] if said else ""
    return "\n".join(f"{'  ' * level}- {text}" for text, level in said)


def _rows(rows: Iterable[Any]) -> list[str]:
    """The rows of a table that say something; a cell that spans several columns is said once."""
    lines = []
    for row in rows:
        cells, last = [], None
        for cell in row.cells:
            element = getattr(cell, "_tc", None)
            if element is None or element is not last:
                cells.append(clean(cell.text).replace("\n", " ").strip())
            last = element
        if any(cells):
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _properties(properties: Any) -> dict[str, MetadataValue]:
    """What the file says of itself: author, and the days it was made and changed."""
    told: dict[str, MetadataValue] = {}
    author = clean(str(properties.author or "")).strip()
    if author and author not in ("python-docx", "python-pptx", "Steve Canny"):  # the libraries' own templates
        told["author"] = author[:200]
    for name in ("created", "modified"):
        moment = getattr(properties, name)
        if isinstance(moment, datetime) and moment.year >= 1990:
            told[name] = moment.date().isoformat()
    return told
