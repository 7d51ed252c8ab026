"""Which domains exist, which generation of each is live, and what it was built with. Knows no vectors.

    <data>/domains/<domain>/current              the name of the live generation
    <data>/domains/<domain>/<generation>/manifest.json
    <data>/domains/<domain>/<generation>/documents.sqlite   see rag.documents
    <data>/domains/<domain>/<generation>/shard/             the embedded index, where that is used

    <data>/domains/<domain>/<generation>/unfinished.json    while it is being built

A generation is built beside the live one and becomes live by one atomic rename of `current`; from then on nobody
writes it. Deleting a domain is deleting its folder. On a server the live generation is a collection behind an alias
as well.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, PositiveInt, ValidationError

from rag.errors import CorpusError, IncompatibleIndex, InvalidQuestion, StorageFull, UnknownDomain
from rag.types import FieldType, Value

FORMAT_VERSION = 1
"""Version of everything under a generation's folder. Raise it with an upgrade step or a refusal."""

UNFINISHED = "unfinished.json"

DOMAIN_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
GENERATION_NAME = re.compile(r"g\d{6}")


class Manifest(Value):
    """What a generation was built with. Two that differ in a fingerprint cannot be searched alike."""

    format_version: PositiveInt = FORMAT_VERSION
    domain: str
    generation: str
    backend: str = Field(description="'edge' or 'server'")
    embedder: str
    embedder_fingerprint: str
    weights_sha256: str
    dimensions: PositiveInt
    chunker_fingerprint: str
    words_fingerprint: str = Field("", description="how words are weighed for BM25; empty: of an earlier version")
    fields: dict[str, FieldType] = Field(default_factory=dict, description="filterable metadata fields")
    title: str = ""
    language: str = ""
    base: str = Field("", description="the generation that was live when this one was begun; empty: none, or unknown")
    identity: str = Field("", description="tells it from another installation's of the same name; empty: of before")
    created: datetime


class Unfinished(Value):
    """What a generation that is being built says of itself."""

    base: str = Field("", description="the live generation that it began as a copy of; empty: none")
    purpose: str = Field("", description="what it is built for; another run with the same purpose may go on with it")
    filled: bool = Field(False, description="whether the copy is complete")


class Generation:
    """A folder that holds one generation of one domain."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def documents_path(self) -> Path:
        """The SQLite file of its documents."""
        return self.folder / "documents.sqlite"

    @property
    def reading_path(self) -> Path:
        """Where a copy of its index is read from; whoever holds the domain's writer lock may use and remove it."""
        return self.folder.parent / "reading"

    @property
    def shard_path(self) -> Path:
        """The folder of its embedded index."""
        return self.folder / "shard"


def check_domain_name(name: str) -> str:
    """The name itself, or InvalidQuestion: a domain name is also a folder and a collection name."""
    if not DOMAIN_NAME.fullmatch(name) or ".." in name:
        raise InvalidQuestion(
            f"{name[:80]!r} is no domain name: use 1-63 of a-z, 0-9, '.', '_' and '-', beginning and ending "
            "with a letter or digit"
        )
    return name


class Catalog:
    """The domains under one data directory."""

    def __init__(self, data_directory: Path) -> None:
        self.data_directory = data_directory
        self._root = data_directory / "domains"

    def domains(self) -> list[str]:
        """Names of the domains that have a live generation, sorted."""
        if not self._root.is_dir():
            return []
        return sorted(entry.name for entry in self._root.iterdir() if (entry / "current").is_file())

    def live(self, domain: str) -> Generation:
        """The live generation. Raises UnknownDomain, IncompatibleIndex (format), CorpusError (damaged)."""
        folder = self._root / check_domain_name(domain)
        try:
            name = (folder / "current").read_text("utf-8").strip()
        except FileNotFoundError:
            raise UnknownDomain.named(domain) from None
        try:
            return self.open(domain, name)
        except CorpusError:
            if self.live_name(domain) == name:
                raise
        return self.live(domain)  # it was superseded and removed, or the domain deleted, between the two reads

    def calibration_path(self, domain: str) -> Path:
        """Where the domain's own calibration is, if it has one (rag.calibration)."""
        return self._root / check_domain_name(domain) / "calibration.json"

    def state(self, domain: str) -> str:
        """Another one whenever the live generation or the calibration is. Raises UnknownDomain."""
        manifest = self.live(domain).manifest
        try:
            fitted = self.calibration_path(domain).stat().st_mtime_ns
        except OSError:
            fitted = 0
        # The time too: a domain that was deleted and made anew begins at the same name.
        return f"{manifest.generation} {manifest.created.isoformat()} {fitted}"

    def feedback_path(self, domain: str) -> Path:
        """Where what callers said of the domain's answers is kept (api.feedback_store)."""
        return self._root / check_domain_name(domain) / "feedback.sqlite"

    def open(self, domain: str, generation: str) -> Generation:
        """A generation by name, live or not."""
        folder = self._root / check_domain_name(domain) / generation
        path = folder / "manifest.json"
        rebuild = f"`understudy ingest delete --domain {domain} --all`, then ingest again"
        try:
            raw = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise CorpusError(f"domain {domain!r} has no generation {generation!r} on disk: {rebuild}") from None
        except ValueError as error:
            raise CorpusError(f"{path} is damaged ({error}): {rebuild}") from None
        version = raw.get("format_version") if isinstance(raw, Mapping) else None
        if version != FORMAT_VERSION:
            raise IncompatibleIndex(
                f"domain {domain!r} is stored in format {version!r}, this version reads format {FORMAT_VERSION}: "
                f"{rebuild}"
            )
        try:
            return Generation(folder, Manifest.model_validate(raw))
        except ValidationError as error:
            raise CorpusError(f"{path} is damaged ({error.error_count()} bad fields): {rebuild}") from None

    def generations(self, domain: str) -> list[str]:
        """Names of all generations on disk, oldest first."""
        folder = self._root / check_domain_name(domain)
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in folder.iterdir() if GENERATION_NAME.fullmatch(entry.name))

    def unfinished(self, generation: Generation) -> Unfinished | None:
        """What an unfinished generation says of itself; None for a finished one."""
        if self.live_name(generation.manifest.domain) == generation.manifest.generation:
            return None
        try:
            return Unfinished.model_validate_json((generation.folder / UNFINISHED).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:  # torn by a crash: nothing can be said of it
            return Unfinished()

    def finished(self, domain: str) -> list[Generation]:
        """Every complete generation, oldest first: the live one, and those that can be made live again."""
        found = []
        for name in self.generations(domain):
            try:
                generation = self.open(domain, name)
            except CorpusError:
                continue
            if self.unfinished(generation) is None:
                found.append(generation)
        return found

    def live_name(self, domain: str) -> str:
        """The name of the live generation; empty where there is none."""
        path = self._root / check_domain_name(domain) / "current"
        return path.read_text("utf-8").strip() if path.is_file() else ""

    def mark(self, generation: Generation, unfinished: Unfinished) -> None:
        """Say how far an unfinished generation is."""
        try:
            write_atomically(generation.folder / UNFINISHED, unfinished.model_dump_json() + "\n")
        except OSError as error:
            raise storage_error(error, generation.folder) from error

    def remove(self, domain: str, generation: str) -> None:
        """Remove a generation that is not live; a crash leaves one without manifest, which is no generation."""
        folder = self._root / check_domain_name(domain) / generation
        (folder / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def create(self, manifest: Manifest, unfinished: Unfinished | None = None) -> Generation:
        """Make the folder of a new generation, with an identity of its own; it is not live until `promote`."""
        manifest = manifest.model_copy(update={"identity": secrets.token_hex(4)})
        folder = self._root / check_domain_name(manifest.domain) / manifest.generation
        try:
            folder.mkdir(parents=True, exist_ok=False)
            if unfinished is not None:
                write_atomically(folder / UNFINISHED, unfinished.model_dump_json() + "\n")
            write_atomically(folder / "manifest.json", manifest.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise storage_error(error, folder) from error
        return Generation(folder, manifest)

    def next_generation(self, domain: str) -> str:
        """A name for a new generation: one more than the highest on disk."""
        names = self.generations(domain)
        return f"g{int(names[-1][1:]) + 1 if names else 1:06d}"

    def promote(self, generation: Generation) -> None:
        """Make it the live one; readers see the old or the new, never half."""
        domain = generation.manifest.domain
        path = self._root / domain / "current"
        try:
            if live := self.live_name(domain):  # a crash in the last line of an earlier call may have left its mark
                (self._root / domain / live / UNFINISHED).unlink(missing_ok=True)
            write_atomically(path, generation.manifest.generation + "\n")
            (generation.folder / UNFINISHED).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, path) from error

    def update(self, generation: Generation, manifest: Manifest) -> Generation:
        """Replace the manifest of a generation (its title, its language)."""
        try:
            write_atomically(generation.folder / "manifest.json", manifest.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise storage_error(error, generation.folder) from error
        return Generation(generation.folder, manifest)

    def unlist(self, domain: str) -> bool:
        """Have no question answered from a domain any more; False when none was. Raises CorpusError.

        The first step of every deletion, so that a crash leaves an unlisted folder and never a domain without content.
        """
        path = self._root / check_domain_name(domain) / "current"
        try:
            existed = path.exists()
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CorpusError(
                f"cannot remove {path}: {error.strerror}; nothing of {domain!r} was removed, it answers as before"
            ) from error
        return existed

    def delete(self, domain: str) -> bool:
        """Remove a domain and all its files; False when it was not listed. Raises CorpusError where one stays."""
        folder = self._root / check_domain_name(domain)
        existed = self.unlist(domain)
        try:
            if folder.is_dir():
                shutil.rmtree(folder)
        except OSError as error:
            raise CorpusError(
                f"cannot remove all of {folder}: {error.strerror}; no question is answered from it, remove the rest"
            ) from error
        return existed


def check_compatible(
    manifest: Manifest, *, embedder: str, embedder_fingerprint: str, chunker_fingerprint: str | None
) -> None:
    """Raise IncompatibleIndex when the generation was built with another embedder, or (if given) chunker."""
    rebuild = f"`understudy ingest rebuild --domain {manifest.domain}` embeds its stored texts anew"
    if manifest.embedder_fingerprint != embedder_fingerprint:
        raise IncompatibleIndex(
            f"domain {manifest.domain!r} was built with embedder {manifest.embedder!r} "
            f"({manifest.embedder_fingerprint[:12]}), this service uses {embedder!r} ({embedder_fingerprint[:12]}): "
            f"set UNDERSTUDY_EMBEDDER__MODEL back, or {rebuild}"
        )
    if chunker_fingerprint is not None and manifest.chunker_fingerprint != chunker_fingerprint:
        raise IncompatibleIndex(
            f"domain {manifest.domain!r} was split by chunker {manifest.chunker_fingerprint!r}, this version uses "
            f"{chunker_fingerprint!r}: {rebuild}"
        )


def new_manifest(
    *,
    domain: str,
    generation: str,
    backend: str,
    embedder: str,
    embedder_fingerprint: str,
    weights_sha256: str,
    dimensions: int,
    chunker_fingerprint: str,
    words_fingerprint: str = "",
    fields: Mapping[str, FieldType],
    title: str = "",
    language: str = "",
) -> Manifest:
    """A manifest of now."""
    return Manifest(
        domain=domain,
        generation=generation,
        backend=backend,
        embedder=embedder,
        embedder_fingerprint=embedder_fingerprint,
        weights_sha256=weights_sha256,
        dimensions=dimensions,
        chunker_fingerprint=chunker_fingerprint,
        words_fingerprint=words_fingerprint,
        fields=dict(fields),
        title=title,
        language=language,
        created=datetime.now(UTC),
    )


def write_atomically(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a small file so that a crash leaves the old or the new content, on disk when this returns.

    mode: the file's permissions, less the process's mask; it never stands there with wider ones.
    """
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # left by a crash, with permissions of its own
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError, path: Path) -> CorpusError | StorageFull:
    """The error to raise for a failed write: StorageFull, or CorpusError with the system's reason."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"no space left for {path}: free some, or set UNDERSTUDY_DATA__DIRECTORY to another disk")
    return CorpusError(f"cannot write {path}: {error.strerror}; check the folder's owner and permissions")
