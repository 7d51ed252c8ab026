"""Bytes to text that can be stored: encodings told apart, characters that no store takes removed. Pure."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

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

CLEANING = "clean-2"
"""Raised when the same bytes would give another text, whatever reads them; of every reader's fingerprint."""

MAX_LINE_CHARS = 1 << 24
"""A longer line was not written by a person, and would be cut into tens of thousands of chunks."""

SAMPLE_BYTES = 1 << 20

_DECLARED = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?([A-Za-z][\w.:-]{1,30})")
_CODE_PAGE = re.compile(r"ascii|(?:cp|iso8859|koi8|shift_jis|euc|gb|big5|tis|mac)[\w-]*")
"""Codecs that a file may call for: others take time with the square of a text, or make it something else."""
_MEANT = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "shift_jis": "cp932"}
"""What browsers take for the encodings of these names."""
_HIGH = re.compile(rb"[\x80-\xff]")
_WORD = re.compile(r"[^\W\d_]+")
_WESTERN = frozenset(
    "äöüßÄÖÜéèêëàâáçñóíúôîïùûåøæœÉÈÀÁÇÑÓÍÚÔÂÎÊÅØÆŒãÃŸðþÐÞšžŠŽ€£¥¢§©®™°±²³µ¼½¾·«»‘’“”„‚…–—•¿¡ªº¹¶†‡‰‹›´¨¸×÷¬\xa0\xadˆ˜"
)
_MISPLACED = re.compile(
    r"(?<=[^\W\d_])[€£¥¢§©±¼½¾«»“”„‚•¿¡¹²³¶†‡‰‹›¨¸×÷¬µ°ªº\xad](?=[^\W\d_])|[a-zà-ÿ][À-ÖØ-ÞŒŠŽŸ](?=[a-z])|[ðþÐÞ]"
)
"""A symbol or a capital within a word, and letters of Icelandic, where other encodings keep their commonest letters."""


def decode(data: bytes) -> str:
    """The text of a file, clean. Raises UnreadableDocument where the bytes are no text in any encoding."""
    text = as_written(data)
    if len(_CONTROLS.findall(text)) > max(16, len(text) // 50):
        raise UnreadableDocument("the file is binary, not text")
    if len(text) > MAX_LINE_CHARS and max(map(len, text.split("\n"))) > MAX_LINE_CHARS:
        raise UnreadableDocument(f"one of its lines is longer than {MAX_LINE_CHARS // 2**20} Mi characters")
    return clean(text)


def as_written(data: bytes) -> str:
    """By a byte order mark, as UTF-8, as the bytes themselves say, as Western, else as charset-normalizer guesses.

    Raises UnreadableDocument where the bytes are no text in any encoding; nothing is cleaned.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    encoding = _marked(data)
    try:
        return data.decode(encoding, "strict" if encoding == "utf-8" else "replace")
    except UnicodeDecodeError:
        return _told(data) or _damaged(data) or western(data) or _guess(data)


def wide(head: bytes) -> str:
    """Which UTF-16 or UTF-32 the first bytes of a file are of, whose line ends are no single bytes; else nothing."""
    found = next((encoding for mark, encoding in _BOMS if head.startswith(mark)), "") or _marked(head)
    return found if found.startswith(("utf-16", "utf-32")) else ""


def _told(data: bytes) -> str | None:
    """By the encoding that a page or XML names in its first lines, where that fits every byte."""
    if found := _DECLARED.search(data, 0, 4096):
        with suppress(LookupError, UnicodeDecodeError):
            name = codecs.lookup(found[1].decode("ascii")).name
            if _CODE_PAGE.fullmatch(name):
                return data.decode(_MEANT.get(name, name))
    return None


def _damaged(data: bytes) -> str | None:
    """UTF-8 of which few characters are broken: no other encoding looks like it by chance."""
    sample = _sample(data).decode("utf-8", "replace")
    broken = sample.count("\ufffd")
    sound = sum(character > "\x7f" for character in sample) - broken
    return data.decode("utf-8", "replace") if sound > 2 * broken else None


def western(data: bytes) -> str | None:
    """Bytes that are no UTF-8 as cp1252, where that gives what people of Western Europe write; else None.

    Statistics do not find a single £ or é in an English page, and call it Cyrillic: here the few characters decide
    that are not ASCII. In words of any other encoding they are other characters, or stand where none of them may.
    """
    try:
        whole = data.decode("cp1252")
        sample = _sample(data).decode("cp1252")
    except UnicodeDecodeError:
        return None
    high = [character for character in sample if character > "\x7f"]
    words = [word for word in _WORD.findall(sample) if not word.isascii()]
    ours = _WESTERN
    if not {"ç", "ã"}.isdisjoint(high):
        ours |= {"õ"}  # Portuguese; else ő of Hungarian
    if all(word[:-1].isascii() for word in words):
        ours |= {"ì", "ò"}  # Italian, at the end of words alone; else ě and ň of Czech
    if not ours.issuperset(high) or len(_MISPLACED.findall(sample)) * 10 > len(high):
        return None
    if sum(len(word) > 2 and 2 * sum(c > "\x7f" for c in word) > len(word) for word in words) * 5 > len(words):
        return None  # words of Cyrillic or Greek: no letter of them is ASCII
    letters = sum(map(str.isalpha, sample))
    if letters > 60 and 4 * sum(map(str.isalpha, high)) > letters:
        return None
    return whole


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


def _sample(data: bytes) -> bytes:
    """From the line of the first byte that is not ASCII on: what comes before it tells nothing."""
    found = _HIGH.search(data)
    begin = max(data.rfind(b"\n", 0, found.start()) + 1, found.start() - SAMPLE_BYTES // 2) if found else 0
    return data[begin : begin + SAMPLE_BYTES]


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    found = list(from_bytes(_sample(data)))
    if not found:
        broken = data.decode("utf-8", "replace")
        if broken.count("\ufffd") * 10 > len(broken):
            raise UnreadableDocument("the bytes are no text in any known encoding")
        return broken
    rivals = [match for match in found if match.chaos <= found[0].chaos + 0.01]
    # of equals the commonest: old Macs wrote few of the files that are left; what is cp1252 was told before
    best = min(rivals, key=lambda m: (m.encoding.startswith("mac_"), -m.coherence))
    return data.decode(best.encoding, "replace")
