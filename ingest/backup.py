"""A backup: one tar file of a domain's documents, vectors and manifest, with a digest of every part of it.

    part-000001.jsonl   a document a line: its fields, its recipe, the offsets and headings of its chunks
    part-000001.f32     the vectors of those chunks in that order, little-endian
    backup.json         the manifest, the counts, and the sha256 of every part; written last
    backup.sha256       the sha256 of that

It appears whole or not at all. Nothing of it is ever unpacked to the disk: parts are read from the file by the names
above, and a file with any other is refused. Knows no vector store.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ingest.chunkers import under_terms
from ingest.copying import Source, Whole, chunk_id, count, groups, measured
from ingest.embedding import Ready
from ingest.progress import Progress
from rag.catalog import FORMAT_VERSION, Manifest
from rag.errors import IncompatibleIndex, InvalidBackup, StorageFull
from rag.protocols import Embedder, IndexedChunk, Vectors
from rag.types import Chunk, Document, Value

VERSION = 1
CONTENTS, DIGEST = "backup.json", "backup.sha256"
PART = re.compile(r"part-\d{6}\.(?:jsonl|f32)")


class Offsets(Value):
    """A chunk without its text, which its document has."""

    start: int
    end: int
    heading: str


class Line(Value):
    """A document with its chunks, as it stands in a part."""

    document: Document
    recipe: str
    chunks: tuple[Offsets, ...]


class Contents(Value):
    """What a backup says of itself."""

    version: int
    manifest: Manifest
    documents: int
    chunks: int
    created: datetime
    parts: dict[str, str]


def write(source: Source, path: Path, *, progress: Callable[[Progress], None] | None = None) -> Contents:
    """Write a backup that is on disk when this returns. Raises InvalidBackup, StorageFull and the source's errors."""
    unfinished = path.with_name(path.name + ".new")
    try:
        if path.exists():
            raise InvalidBackup(f"there is something at {path} already: remove it, or give another name")
        with unfinished.open("wb") as handle:
            with tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT) as tar:
                contents = _fill(tar, source, progress)
            handle.flush()
            os.fsync(handle.fileno())
        unfinished.rename(path)
    except OSError as error:
        with suppress(OSError):  # its name itself may be what is wrong
            unfinished.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space left for {path}: free some, or give a file on another disk") from error
        raise InvalidBackup(
            f"cannot write {path}: {error.strerror}; check the folder, its owner and permissions"
        ) from (error)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return contents


def _fill(tar: tarfile.TarFile, source: Source, progress: Callable[[Progress], None] | None) -> Contents:
    parts: dict[str, str] = {}
    meter = measured(source, progress)

    def add(name: str, data: bytes) -> str:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(data), 0o600, int(now.timestamp())
        tar.addfile(member, io.BytesIO(data))
        return hashlib.sha256(data).hexdigest()

    now = datetime.now(UTC)
    documents = chunks = 0
    for number, group in enumerate(groups(source), start=1):
        lines, vectors = _encoded(group)
        for name, data in ((f"part-{number:06d}.jsonl", lines), (f"part-{number:06d}.f32", vectors)):
            parts[name] = add(name, data)
        documents, chunks = documents + len(group), chunks + sum(len(whole[1]) for whole in group)
        count(meter, group)
    contents = Contents(
        version=VERSION, manifest=source.manifest, documents=documents, chunks=chunks, created=now, parts=parts
    )
    digest = add(CONTENTS, contents.model_dump_json(indent=1).encode())
    add(DIGEST, digest.encode())
    meter.finish()
    return contents


def _encoded(group: list[Whole]) -> tuple[bytes, bytes]:
    lines = [
        Line(
            document=ready.document,
            recipe=ready.recipe,
            chunks=tuple(Offsets(start=c.chunk.start, end=c.chunk.end, heading=c.chunk.heading) for c in chunks),
        ).model_dump_json()
        for ready, chunks in group
    ]
    vectors = b"".join(chunk.vector.astype("<f4").tobytes() for _, chunks in group for chunk in chunks)
    return "".join(f"{line}\n" for line in lines).encode(), vectors


class Backup:
    """A backup that is read; close it."""

    def __init__(self, path: Path) -> None:
        """Open a file and check what it says of itself. Raises InvalidBackup, IncompatibleIndex (another format)."""
        self._path = path
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise InvalidBackup(f"cannot read {path}: {error.strerror}") from error
        except tarfile.TarError:
            raise InvalidBackup(f"{path} is no backup: `understudy ingest backup` writes one") from None
        try:
            self.contents, self.digest = self._contents()
        except BaseException:
            self._tar.close()
            raise
        self.manifest = self.contents.manifest

    def counts(self) -> tuple[int, int]:
        """(documents, chunks)."""
        return self.contents.documents, self.contents.chunks

    def check(self, embedder: Embedder) -> None:
        """Raise IncompatibleIndex where questions would be embedded by another embedder than these documents."""
        manifest = self.manifest
        if manifest.embedder_fingerprint != embedder.fingerprint:
            raise IncompatibleIndex(
                f"{self._path} was made with embedder {manifest.embedder!r} ({manifest.embedder_fingerprint[:12]}), "
                f"the settings name {embedder.name!r} ({embedder.fingerprint[:12]}): set UNDERSTUDY_EMBEDDER__MODEL "
                "back and restore; `understudy ingest rebuild` then embeds the texts anew for another"
            )

    def read(self) -> Iterator[Whole]:
        """Every document, each part checked against its digest before it is believed. Raises InvalidBackup."""
        for lines in sorted(name for name in self.contents.parts if name.endswith(".jsonl")):
            try:
                vectors = np.frombuffer(self._part(lines.replace(".jsonl", ".f32")), "<f4").astype(np.float32)
                rows = iter(vectors.reshape(-1, self.manifest.dimensions))
                wholes = [self._whole(line, rows) for line in self._part(lines).splitlines()]
                if next(rows, None) is not None:
                    raise ValueError("more vectors than chunks")
            except (ValueError, KeyError, RuntimeError) as error:
                raise self._damaged(f"{lines} and its vectors do not fit together") from error
            yield from wholes

    def close(self) -> None:
        """Release the file."""
        self._tar.close()

    def _whole(self, raw: bytes, vectors: Iterator[Vectors]) -> Whole:
        line = Line.model_validate_json(raw)
        document, sha256 = line.document, line.document.text_sha256
        spans = [
            Chunk(start=c.start, end=c.end, text=document.text[c.start : c.end], heading=c.heading) for c in line.chunks
        ]
        chunks = under_terms(document.text, spans)
        indexed = [
            IndexedChunk(
                id=chunk_id(self.manifest.domain, document.id, chunk),
                document_id=document.id,
                title=document.title,
                text_sha256=sha256,
                chunk=chunk,
                metadata=document.metadata,
                vector=next(vectors),
            )
            for chunk in chunks
        ]
        return Ready(document, line.recipe, chunks), indexed

    def _contents(self) -> tuple[Contents, str]:
        known = {member.name: member for member in self._members()}
        if CONTENTS not in known or DIGEST not in known:
            raise InvalidBackup(f"{self._path} is no backup, or one whose end is missing: it has no {CONTENTS}")
        raw = self._bytes(CONTENTS)
        digest = hashlib.sha256(raw).hexdigest()
        if self._bytes(DIGEST) != digest.encode():
            raise self._damaged(f"{CONTENTS} is not what {DIGEST} says")
        said = json.loads(raw)
        versions = (said.get("version"), said.get("manifest", {}).get("format_version"))
        if versions != (VERSION, FORMAT_VERSION):
            raise IncompatibleIndex(
                f"{self._path} is in format {versions[0]} over stores of format {versions[1]}, this version reads "
                f"{VERSION} over {FORMAT_VERSION}: restore it with the version that wrote it"
            )
        contents = Contents.model_validate(said)
        if set(contents.parts) != set(known) - {CONTENTS, DIGEST}:
            raise self._damaged(f"its parts are not those that {CONTENTS} names")
        return contents, digest

    def _members(self) -> list[tarfile.TarInfo]:
        try:
            members = self._tar.getmembers()
        except tarfile.TarError as error:
            raise self._damaged("it is cut off") from error
        for member in members:
            plain = member.isreg() and not member.issparse()
            if not plain or not (PART.fullmatch(member.name) or member.name in (CONTENTS, DIGEST)):
                raise InvalidBackup(f"{self._path} is no backup: it holds {member.name[:80]!r}")
        return members

    def _part(self, name: str) -> bytes:
        data = self._bytes(name)
        if hashlib.sha256(data).hexdigest() != self.contents.parts[name]:
            raise self._damaged(f"{name} is not what {CONTENTS} says")
        return data

    def _bytes(self, name: str) -> bytes:
        try:
            handle = self._tar.extractfile(name)
            return handle.read() if handle else b""
        except (tarfile.TarError, OSError) as error:
            raise self._damaged(f"{name} cannot be read") from error

    def _damaged(self, what: str) -> InvalidBackup:
        return InvalidBackup(f"{self._path} is damaged ({what}): nothing was restored from it; take another copy")
