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

CLEANING = "clean-1"
"""Raised when the same bytes would give another text, whatever reads them; of every reader's fingerprint."""

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
    encoding = _marked(data)
    try:
        text = data.decode(encoding, "strict" if encoding == "utf-8" else "replace")
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


def _marked(data: bytes) -> str:
    """UTF-16 without a byte order mark by its zeros, ISO-2022-JP by its escapes; else UTF-8."""
    head = data[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if min(even, odd) * 10 < max(even, odd) and max(even, odd) * 4 > len(head) // 2:
        return "utf-16-le" if odd > even else "utf-16-be"
    return "iso2022_jp" if b"\x1b$B" in head or b"\x1b$@" in head else "utf-8"


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    found = list(from_bytes(data[:SAMPLE_BYTES]))
    if not found:
        broken = data.decode("utf-8", "replace")
        if broken.count("\ufffd") * 10 > len(broken):
            raise UnreadableDocument("the bytes are no text in any known encoding")
        return broken
    rivals = [match for match in found if match.chaos <= found[0].chaos + 0.01]
    # of equals the commonest: old Macs wrote few of the files that are left, Western Europe wrote most
    best = min(rivals, key=lambda m: (m.encoding.startswith("mac_"), -m.coherence, m.encoding != "cp1252"))
    return data.decode(best.encoding, "replace")
