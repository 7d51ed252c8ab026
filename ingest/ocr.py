"""Text of scanned pages, by Tesseract where it is installed (`pip install 'understudy[ocr]'`). Knows no document."""

from __future__ import annotations

import shutil
from functools import cache
from importlib.util import find_spec
from statistics import median
from typing import Any

from ingest.page_parts import Piece

DPI = 200
"""Enough for type of 8 points; 300 takes twice the time."""
LEAST_CONFIDENCE = 30.0
"""Of a word, in %; what Tesseract sees in stains and frames has less."""
LINE = 4
"""Tesseract's level of a line's box."""
SECONDS = 40
"""For one page."""
HOW_TO = "OCR reads them: `pip install 'understudy[ocr]'`, and the program tesseract (Debian: tesseract-ocr)"


@cache
def available() -> bool:
    """Whether scanned pages can be read here."""
    return find_spec("pytesseract") is not None and shutil.which("tesseract") is not None


def read_page(page: Any) -> list[Piece] | None:
    """The words of a rendered page and where they stand; None where no OCR is installed or it sees nothing."""
    if not available():
        return None
    import pytesseract

    scale = DPI / 72
    try:
        seen = pytesseract.image_to_data(
            page.render(scale=scale).to_pil(), output_type=pytesseract.Output.DICT, timeout=SECONDS
        )
    except (pytesseract.TesseractError, RuntimeError):  # RuntimeError: its time is over
        return None
    lines = [(seen["top"][i], seen["height"][i]) for i, level in enumerate(seen["level"]) if level == LINE]
    if not lines:
        return None
    usual = median(height for _, height in lines)
    words = []
    top = height = 0.0
    for i, level in enumerate(seen["level"]):
        if level == LINE:  # what has no descenders is no smaller type
            top, height = seen["top"][i], seen["height"][i]
            if 0.6 * usual < height < 1.5 * usual:
                top, height = top + (height - usual) / 2, usual
        text = str(seen["text"][i])
        if text.strip() and float(seen["conf"][i]) >= LEAST_CONFIDENCE:
            left, width = seen["left"][i], seen["width"][i]
            words.append(Piece(text, left / scale, top / scale, (left + width) / scale, (top + height) / scale))
    return words or None
