"""Bytes to text that can be stored: encodings told apart, characters that no store takes removed. Pure."""

from __future__ import annotations

import codecs
import re

from rag.errors import UnreadableDocument

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNWANTED = re.compile("[\x00\x01-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""No text has them in number; a form feed and an escape are told apart, because old texts and logs do."""

MAX_LINE_CHARS = 1 << 24
"""A longer line was not written by a person, and would be cut into tens of thousands of chunks."""

SAMPLE_BYTES = 1 << 20


def decode(data: bytes) -> str:
    """The text of a file: by its byte order mark, as UTF-8, else by the likeliest encoding (charset-normalizer).

    Raises UnreadableDocument where the bytes are no text in any encoding.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return clean(data[len(mark) :].decode(encoding, "replace"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _guess(data)
    if len(_CONTROLS.findall(text)) > max(16, len(text) // 50):
        raise UnreadableDocument("the file is binary, not text")
    if len(text) > MAX_LINE_CHARS and max(map(len, text.split("\n"))) > MAX_LINE_CHARS:
        raise UnreadableDocument(f"one of its lines is longer than {MAX_LINE_CHARS // 2**20} Mi characters")
    return clean(text)


def clean(text: str) -> str:
    """Line ends as \\n; control characters and lone surrogates removed."""
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:SAMPLE_BYTES]).best()
    if best is None:
        broken = data.decode("utf-8", "replace")
        if broken.count("\ufffd") * 10 > len(broken):
            raise UnreadableDocument("the bytes are no text in any known encoding")
        return broken
    return data.decode(best.encoding, "replace")
