"""Zip archives that documents are kept in, opened with bounds: a bomb is refused before a byte of it is unpacked.

Knows no format beyond zip.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.errors import UnreadableDocument

BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, UnicodeDecodeError)
"""What `zipfile` raises on a damaged archive; the last where a name says that it is UTF-8 and is none."""

DAMAGED = (
    *BROKEN, OSError, ArithmeticError, AssertionError, AttributeError, IndexError, KeyError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip
"""What python-docx, python-pptx and lxml raise on damaged files, found by fuzzing; lxml's XMLSyntaxError is a
SyntaxError."""

MAX_UNPACKED_BYTES = 500 * 1024 * 1024
"""Bytes that a document may unpack to; more is a bomb."""
MAX_RATIO = 200
"""Times that a part may grow; office XML grows 5 to 30 times. Small parts are never a bomb."""
SMALL_BYTES = 4 * 1024 * 1024
MAX_PARTS = 20_000

_ENCRYPTED = 0x1


@contextmanager
def bounded(path: Path, *, kind: str, holds: str) -> Iterator[zipfile.ZipFile]:
    """The archive, open; what is read of it is no more than its directory says. Raises UnreadableDocument.

    kind: what the file should be, for messages; holds: a part that makes it one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive, kind, holds)
            yield archive
    except BROKEN as error:
        raise UnreadableDocument(f"the file is no {kind}, or a damaged one: {told(error)}") from error


def told(error: BaseException) -> str:
    """What a library says of a damaged file; `zipfile` says nothing where a part ends too early."""
    return str(error) or "one of its parts ends too early"


def check(path: Path, *, kind: str, holds: str) -> None:
    """The same checks, for a library that opens the file itself."""
    with bounded(path, kind=kind, holds=holds):
        pass


def _check(archive: zipfile.ZipFile, kind: str, holds: str) -> None:
    parts = archive.infolist()
    if len(parts) > MAX_PARTS:
        raise UnreadableDocument(f"the file has {len(parts):,} parts, at most {MAX_PARTS:,} are read")
    if holds not in archive.NameToInfo:
        raise UnreadableDocument(f"the file is a zip archive, but no {kind} (it has no {holds})")
    if any(part.flag_bits & _ENCRYPTED for part in parts):
        raise UnreadableDocument(f"the {kind} is encrypted and needs a password")
    if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
        raise UnreadableDocument("the file unpacks to more than 500 MiB")
    for part in parts:
        if part.file_size > SMALL_BYTES and part.file_size > MAX_RATIO * max(1, part.compress_size):
            raise UnreadableDocument(f"its part {part.filename[:80]!r} unpacks to more than {MAX_RATIO} times its size")


def xml(archive: zipfile.ZipFile, name: str, *, most: int) -> Any:
    """The root of a part of at most so many bytes; no entity is resolved, nothing fetched.

    Raises KeyError (there is none), SyntaxError (lxml's XMLSyntaxError is one) and ValueError (too large).
    """
    from lxml import etree

    if archive.getinfo(name).file_size > most:
        raise ValueError("it is too large")
    return etree.fromstring(archive.read(name), etree.XMLParser(resolve_entities=False, no_network=True))
