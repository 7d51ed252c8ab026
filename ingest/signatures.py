"""What a file is by its first bytes, where that contradicts its name, and what to do with formats that none reads.

Knows no reader.
"""

from __future__ import annotations

from pathlib import Path

from rag.errors import UnreadableDocument

_ZIP, _OLE = "a zip archive (or an office file)", "an old or encrypted office file"
_OOXML = (
    *(".docx", ".docm", ".dotx", ".dotm"),
    *(".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"),
    *(".xlsx", ".xlsm", ".xltx", ".xltm", ".xlsb"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF", (".pdf",)),
    (b"PK\x03\x04", _ZIP, (*_OOXML, ".ods", ".epub")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLE, (".xls",)),
    (b"{\\rtf", "a rich text file (RTF)", (".rtf",)),
    (b"\x89PNG\r\n", "an image (PNG)", (".png",)),
    (b"\xff\xd8\xff", "an image (JPEG)", (".jpg", ".jpeg")),
    (b"GIF8", "an image (GIF)", (".gif",)),
    (b"II*\x00", "an image (TIFF)", (".tif", ".tiff")),
    (b"MM\x00*", "an image (TIFF)", (".tif", ".tiff")),
    (b"\x1f\x8b", "a gzip archive", ()),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", ()),
    (b"Rar!\x1a\x07", "a RAR archive", ()),
    (b"BZh", "a bzip2 archive", ()),
    (b"\xfd7zXZ\x00", "an xz archive", ()),
    (b"\x7fELF", "a program", ()),
    (b"MZ\x90\x00", "a program", ()),
    (b"SQLite format 3\x00", "a database (SQLite)", ()),
)
_SAVED_AS = {
    **dict.fromkeys((".doc", ".dot", ".odt", ".ott", ".wps", ".wpd", ".pages"), ".docx"),
    **dict.fromkeys((".ppt", ".pps", ".pot", ".odp", ".otp", ".key"), ".pptx"),
    **dict.fromkeys((".xlt", ".xlam", ".ots", ".numbers"), ".xlsx"),
    ".msg": ".eml",
}
"""Office formats that no reader knows, and what the program that made a file can save it as."""


def check(path: Path) -> None:
    """Raise UnreadableDocument where a file is of a format that none reads, or of another kind than its name says."""
    suffix = path.suffix.lower()
    with path.open("rb") as handle:
        head = handle.read(16)
    for signature, kind, suffixes in _SIGNATURES:
        if not head.startswith(signature) or suffix in suffixes:
            continue
        if suffix in _SAVED_AS:  # by its name alone a .dot may be a graph, a .key a secret
            raise UnreadableDocument(f"{suffix} is not read: save it as {_SAVED_AS[suffix]}, or as a PDF")
        if signature.startswith(b"\xd0\xcf") and suffix in _OOXML:
            raise UnreadableDocument("the file is encrypted and needs a password, or is of an old office format")
        raise UnreadableDocument(f"the file is {kind} by its content, not what {suffix or 'its name'} says: rename it")
