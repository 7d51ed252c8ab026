"""multipart/form-data to files in a folder, piece by piece: nothing is held in memory and no name leads out of it.

A file's name is the id of its document: a relative path with forward slashes. Knows no job and no domain.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from rag.catalog import storage_error
from rag.errors import InvalidUpload, UploadTooLarge, UploadTooSlow
from rag.settings import UploadsSettings

PART = "files"
"""Name of the parts that hold documents; others are refused, so that a misspelt one is not silently left out."""

MAX_NAME_BYTES = 512
MAX_COMPONENT_BYTES = 200
"""Of one folder's or the file's name: file systems take 255."""

HEAD_BYTES = 4096
"""Of one part's head: a name of that length and its content type."""


@dataclass(slots=True)
class _Open:
    """The part that is being received."""

    name: str
    handle: IO[bytes]
    size: int = 0


class Receiver:
    """Writes the files of one upload into a folder."""

    def __init__(self, folder: Path, boundary: str, limits: UploadsSettings, suffixes: Collection[str]) -> None:
        self._folder, self._limits, self._suffixes = folder, limits, suffixes
        self._parser = PushMultipartParser(boundary, max_header_size=HEAD_BYTES, max_segment_count=limits.max_files)
        self._open: _Open | None = None
        self._total = 0
        self.names: list[str] = []

    async def receive(self, pieces: AsyncIterator[bytes]) -> list[str]:
        """The names of the files, all written. Raises InvalidUpload, UploadTooLarge, UploadTooSlow, StorageFull."""
        try:
            while True:
                try:
                    piece = await asyncio.wait_for(anext(pieces), self._limits.idle_seconds)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    raise UploadTooSlow(
                        f"nothing came for {self._limits.idle_seconds:g} s: send the upload again"
                    ) from None
                if piece:
                    self._take(piece)
            self._parser.close()
        except ParserLimitReached as error:
            raise UploadTooLarge(
                f"at most {self._limits.max_files} files are taken at once, each with a head of at most {HEAD_BYTES} "
                "bytes"
            ) from error
        except MultipartError as error:
            raise InvalidUpload(f"the body is no multipart/form-data, or it breaks off: {error}") from error
        finally:
            if self._open is not None:
                self._open.handle.close()
        if not self.names:
            raise InvalidUpload(f"there is no file: send each as a part named {PART!r} with a file name")
        return self.names

    def _take(self, piece: bytes) -> None:
        for event in self._parser.parse(piece):
            if isinstance(event, MultipartSegment):
                self._begin(event)
            elif event is None:
                self._end()
            else:
                self._write(event)

    def _begin(self, segment: MultipartSegment) -> None:
        if segment.name != PART or segment.filename is None:
            raise InvalidUpload(f"the part {segment.name[:80]!r} is none: send each file as a part named {PART!r}")
        name = document_id(segment.filename, self._suffixes)
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise InvalidUpload(f"{name!r} comes twice, or is a folder of another file") from None
        except OSError as error:
            raise storage_error(error, path) from error
        self._open = _Open(name, handle)

    def _write(self, data: bytes | bytearray) -> None:
        part = self._open
        assert part is not None  # noqa: S101  # the parser gives data after its part began
        part.size += len(data)
        self._total += len(data)
        if part.size > self._limits.max_file_bytes:
            raise UploadTooLarge(f"{part.name!r} has more than {self._limits.max_file_bytes:,} bytes: split it")
        if self._total > self._limits.max_bytes:
            raise UploadTooLarge(f"more than {self._limits.max_bytes:,} bytes came at once: send fewer files")
        try:
            part.handle.write(data)
        except OSError as error:
            raise storage_error(error, self._folder / part.name) from error

    def _end(self) -> None:
        part, self._open = self._open, None
        if part is not None:
            try:
                part.handle.close()
            except OSError as error:
                raise storage_error(error, self._folder / part.name) from error
            self.names.append(part.name)


def document_id(filename: str, suffixes: Collection[str]) -> str:
    """The id of an uploaded document, or InvalidUpload: a relative path that stays where it is put, everywhere."""
    name = unicodedata.normalize("NFC", filename)
    shown = ascii(name[:80])
    if any("\ud800" <= letter <= "\udfff" or not letter.isprintable() for letter in name):
        raise InvalidUpload(f"the file name {shown} holds characters that cannot be shown: rename it")
    if "\\" in name or ":" in name:
        raise InvalidUpload(f"the file name {shown} holds a backslash or colon: name folders with forward slashes")
    parts = name.split("/")
    if any(part in ("", ".", "..") or part.startswith(".") or part != part.strip() for part in parts):
        raise InvalidUpload(
            f"the file name {shown} is no relative path of plain names: no '..', no empty, hidden or blank-edged part"
        )
    long = any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts)
    if long or len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidUpload(f"the file name {shown}… is longer than {MAX_NAME_BYTES} bytes, or a part of it too long")
    if Path(name).suffix.lower() not in suffixes:
        known = ", ".join(sorted(suffix.removeprefix(".") for suffix in suffixes))
        raise InvalidUpload(f"the format of {shown} is not read; read are {known}")
    return name
