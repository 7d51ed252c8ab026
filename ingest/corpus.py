"""What a path is: which files belong to a corpus, what is declared of them, and which documents they hold.

Four kinds: a folder with `corpus.toml` (its documents are in `documents/`), any other folder, a single file, and a
suite (`corpus.jsonl`, whose questions and baselines beside it are never read). A document's id is its row's id, or its
path relative to the corpus root, with forward slashes. Knows no chunk and no index.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest import front_matter, path_patterns, readers, rows
from ingest.chunkers import ChunkerName
from ingest.cleaning import CLEANING
from ingest.metadata import VALIDITY
from ingest.path_patterns import PathPattern
from ingest.progress import Size
from ingest.reading import Reading, ReadingHere
from ingest.rows import Mapping as RowMapping
from rag.errors import InvalidCorpus, UnreadableDocument
from rag.types import Document, FieldType, MetadataValue

ROOT = "."
"""The source of the corpus' own folder."""

MAX_BAD_ROWS = 1000
"""Of one file, those that are listed each; the others are counted."""
MAX_FILE_BYTES = 200 * 1024 * 1024
"""A larger file is listed as unreadable: split it, or turn it into rows."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class About(_Strict):
    """The table [corpus] of a corpus.toml."""

    name: str = ""
    title: str = ""
    description: str = ""
    licence: str = ""
    language: str = ""


class Rows(_Strict):
    """One [[rows]] table: how the rows of a CSV, JSON or JSONL file become documents.

    `id = false`: no field is their id, since others of the corpus count from one too; they are called `path#number`.
    """

    path: str
    id: str | Literal[False] = ""
    title: str = ""
    text: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()


class Declaration(_Strict):
    """A whole corpus.toml; fields that say when a document is in force are always filterable."""

    corpus: About = About()
    chunker: ChunkerName | None = None
    filterable: dict[str, FieldType] = Field(default_factory=dict)
    metadata: dict[str, dict[str, MetadataValue]] = Field(default_factory=dict)
    paths: tuple[PathPattern, ...] = ()
    rows: tuple[Rows, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A document that is there; `read` extracts it and raises UnreadableDocument."""

    id: str
    source: str
    file_sha256: str
    recipe: str
    metadata: Mapping[str, MetadataValue]
    read: Callable[[], Document]
    chunker: str = ""
    """As declared; empty: by the format."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, row or folder that gives no document, and why."""

    source: str
    reason: str
    id: str = ""
    """Of the document that a row would be, where that much of it can be read."""


@dataclass(frozen=True, slots=True)
class Partly:
    """A document that lacks what some of its pages show."""

    source: str
    pages: str
    """Their numbers, with commas."""

    @property
    def reason(self) -> str:
        """As `Unreadable` has one."""
        return f"its pages {self.pages} are scanned or damaged"


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files of a corpus and what is declared of them."""

    root: Path
    files: tuple[str, ...]
    declaration: Declaration = field(default_factory=Declaration)
    mapping: RowMapping | None = None
    skipped: tuple[Unreadable, ...] = field(default=())
    reading: Reading = field(default_factory=ReadingHere)
    """Where its files are read."""

    def documents(self) -> Iterator[Found | Unreadable]:
        """Every document or the reason why there is none, file by file in order of path; nothing is held."""
        yield from self.skipped
        mappings = {table.path: table for table in self.declaration.rows}
        for name in self.files:
            path = self.root / name
            try:
                size = path.stat().st_size
                if size == 0:
                    raise UnreadableDocument("the file is empty")
                if size > MAX_FILE_BYTES and not rows.streams(path):
                    raise UnreadableDocument(f"the file has {size:,} bytes, at most {MAX_FILE_BYTES:,} are read")
                if rows.holds_rows(path):
                    table = mappings.get(name)
                    yield from self._rows(path, name, _row_mapping(table) if table else self.mapping)
                else:
                    yield self._file(path, name)
            except UnreadableDocument as error:
                yield Unreadable(name, str(error))
            except OSError as error:
                yield Unreadable(name, f"the file cannot be read: {error.strerror or error}")

    def identity(self) -> str:
        """Which corpus this is, whatever its files hold now: where it is, and how its rows are read."""
        single = self.files if len(self.files) == 1 else ()
        return _hash([str(self.root.resolve()), single, repr(self.mapping)])

    def sizes(self) -> dict[str, Size]:
        """About how much there is to read: the bytes and documents (rows, where it has them) of each file."""
        found = {item.source: Size(0) for item in self.skipped}
        for name in self.files:
            path = self.root / name
            with suppress(OSError):  # gone since: `documents` says so
                count = rows.estimate(path) if rows.holds_rows(path) else 1
                found[name] = Size(path.stat().st_size, count)
        return found

    def _declared(self, name: str) -> dict[str, MetadataValue]:
        """What is declared of a file: by its path, and by its name, which wins."""
        patterns = self.declaration.paths
        told = {field: front_matter.scalar(value) for field, value in path_patterns.told(name, patterns).items()}
        return {**path_patterns.declared(name, patterns), **told, **self.declaration.metadata.get(name, {})}

    def _chunker(self, name: str) -> str:
        """The chunker that is declared for a file: of its path, else of the corpus."""
        return path_patterns.chunker(name, self.declaration.paths) or self.declaration.chunker or ""

    def _file(self, path: Path, name: str) -> Found:
        reader = readers.reader_for(path)
        with path.open("rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
        declared = self._declared(name)

        def read() -> Document:
            text = self.reading.read(reader, path)
            return Document(
                id=name,
                title=text.title or Path(name).stem,
                text=text.text,
                file_sha256=sha256,
                source=name,
                metadata={**text.metadata, **declared},
                layout=text.layout,
            )

        recipe = f"{reader.fingerprint}/{_hash(sorted(declared.items()))}"
        return Found(name, name, sha256, recipe, declared, read, self._chunker(name))

    def _rows(self, path: Path, name: str, mapping: RowMapping | None) -> Iterator[Found | Unreadable]:
        declared = self._declared(name)
        recipe = f"{rows.FINGERPRINT}+{CLEANING}/{_hash([repr(mapping), *sorted(declared.items())])}"
        chunker = self._chunker(name)
        bad, row = 0, None
        for row in self.reading.rows(path, name, mapping):
            if isinstance(row, rows.BadRow):
                bad += 1
                if bad <= MAX_BAD_ROWS:
                    yield Unreadable(row.source, row.reason, row.id)
                continue
            metadata = {**row.metadata, **declared}
            document = Document(
                id=row.id,
                title=row.title or row.id,
                text=row.text,
                file_sha256=row.sha256,
                source=row.source,
                metadata=metadata,
            )
            yield Found(
                id=row.id,
                source=row.source,
                file_sha256=row.sha256,
                recipe=recipe,
                metadata=metadata,
                read=lambda document=document: document,  # type: ignore[misc]  # mypy cannot type a default here
                chunker=chunker,
            )
        if row is None:
            yield Unreadable(name, "the file has no rows")
        if bad > MAX_BAD_ROWS:
            yield Unreadable(name, f"{bad - MAX_BAD_ROWS:,} more of its rows give no document; the first are listed")


def open_corpus(path: Path, *, mapping: RowMapping | None = None, reading: Reading | None = None) -> Corpus:
    """The corpus at a path. Raises InvalidCorpus when there is none, or its corpus.toml makes no sense."""
    return replace(_opened(path, mapping), reading=reading or ReadingHere())


def _opened(path: Path, mapping: RowMapping | None) -> Corpus:
    if path.is_file():
        return Corpus(root=path.parent, files=(path.name,), mapping=mapping)
    if not path.is_dir():
        raise InvalidCorpus(f"there is nothing at {path}: give a folder or a file")
    if (path / "corpus.toml").is_file():
        declaration = _declaration(path / "corpus.toml")
        root = path / "documents"
        if not root.is_dir():
            raise InvalidCorpus(f"{path / 'corpus.toml'} is there, but no folder {root} with the documents")
        files, skipped = _some_files(root)
        known = set(files)
        named = [*declaration.metadata, *(table.path for table in declaration.rows)]
        missing = [name for name in named if name not in known]
        if missing:
            raise InvalidCorpus(f"{path / 'corpus.toml'} names {missing[0]!r}, which is not in {root}")
        return Corpus(root, files, declaration, mapping, skipped)
    if (path / "corpus.jsonl").is_file():
        return Corpus(root=path, files=("corpus.jsonl",), mapping=mapping)
    files, skipped = _some_files(path)
    return Corpus(root=path, files=files, mapping=mapping, skipped=skipped)


def _some_files(root: Path) -> tuple[tuple[str, ...], tuple[Unreadable, ...]]:
    """As `_walk`; of a folder without any file it is likely that its path is wrong. Raises InvalidCorpus."""
    files, skipped = _walk(root)
    if not files and not skipped:
        raise InvalidCorpus(
            f"{root} holds no file: give a folder of documents (Markdown, text, HTML, PDF, office files, EPUB, e-mail, "
            "source code, CSV, JSON); `understudy ingest delete --all` empties a domain"
        )
    return files, skipped


def folder_of_files(root: Path, reading: Reading) -> Corpus:
    """Every file below a folder as a document by its path, whatever the folder's files are called."""
    files, skipped = _walk(root)
    return Corpus(root=root, files=files, skipped=skipped, reading=reading)


def readable_suffixes() -> frozenset[str]:
    """Of the files that this project reads itself."""
    return frozenset((*filter(None, readers.READERS), *rows.SUFFIXES))


def _walk(root: Path) -> tuple[tuple[str, ...], tuple[Unreadable, ...]]:
    """Relative paths of the files below a folder, sorted; hidden ones left out, links that lead out refused."""
    files: list[str] = []
    skipped: list[Unreadable] = []
    home = root.resolve()

    def closed(error: OSError) -> None:
        # what is in it may well be there: no document of it is taken for gone
        where = Path(error.filename).relative_to(root).as_posix() if error.filename else ROOT
        skipped.append(Unreadable(where, f"the folder cannot be read: {error.strerror or error}"))

    for name_of_folder, subfolders, names in os.walk(root, onerror=closed):
        folder = Path(name_of_folder)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in list(subfolders):
            if os.path.islink(folder / name):  # noqa: PTH114  # of no folder that cannot be looked into
                skipped.append(
                    Unreadable((folder / name).relative_to(root).as_posix(), "links to folders are not followed")
                )
                subfolders.remove(name)
        for name in sorted(names):
            path = folder / name
            relative = path.relative_to(root).as_posix()
            if name.startswith("."):
                continue
            if not name.isprintable() or any("\ud800" <= c <= "\udfff" for c in relative):
                shown = relative.encode("utf-8", "replace").decode("utf-8")
                text = "no UTF-8 text" if shown != relative else "broken by characters that cannot be shown"
                skipped.append(Unreadable(shown, f"its name is {text}: rename it"))
            elif reason := _no_file(path, home):
                skipped.append(Unreadable(relative, reason))
            else:
                files.append(relative)
    return tuple(sorted(files)), tuple(skipped)


def _no_file(path: Path, home: Path) -> str:
    """Why a path below `home` is none of its files, or nothing."""
    try:
        if path.is_symlink() and not os.path.realpath(path).startswith(f"{home}{os.sep}"):
            return "it is a link out of the corpus"
        return "" if path.is_file() else "it is no regular file"
    except OSError as error:  # of a folder that may be listed and not entered
        return f"the file cannot be read: {error.strerror or error}"


def _declaration(path: Path) -> Declaration:
    try:
        declaration = Declaration.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidCorpus(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidCorpus(f"{path}: {where}: {first['msg']}") from error
    told = path_patterns.fields(declaration.paths).union(*declaration.metadata.values())
    validity = {name: FieldType.DATETIME for name in VALIDITY if name in told}
    return declaration.model_copy(update={"filterable": {**validity, **declaration.filterable}})


def _row_mapping(table: Rows) -> RowMapping:
    return RowMapping(
        id=None if table.id is False else table.id, title=table.title, text=table.text, metadata=table.metadata
    )


def _hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:12]
