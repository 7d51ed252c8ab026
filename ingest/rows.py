"""Rows of CSV, JSON and JSONL files as documents, one after the other. Knows no corpus.

A line is read to at most `MAX_LINE_BYTES`, so that one huge line costs no memory; it and every other bad row is
reported with its number and never stops the rest. Python's own csv and json are used: llama-index's CSV and
JSON readers join all rows into one text and lose which row is which.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, AnyStr, BinaryIO

from ingest.cleaning import as_written, clean, decode, western, wide
from ingest.csv_table import Table
from ingest.nested import joined, nested, plain, plain_list, written_out
from rag.errors import UnreadableDocument
from rag.types import MetadataValue

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_JSON_BYTES = 32 * 1024 * 1024
"""JSON is read as a whole, and may need twenty times its size meanwhile."""
FINGERPRINT = "rows-3"
"""Raised when the same rows would give other documents."""
_OF_A_LIST = {"data", "documents", "docs", "entries", "hits", "items", "objects", "records", "results", "rows", "value"}
"""What the list of rows is called in an object around it, which says of itself only how it was made."""
_OF_A_DOCUMENT = {"doc_id", "id", "name", "text", "title"}
NO_OBJECT = "the row is no object with fields"
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")

csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which fields of a row are its id, title, text and metadata; an empty one: as documented in `read`."""

    id: str | None = ""
    """None: no field is, whatever it is called."""
    title: str = ""
    text: tuple[str, ...] = ()
    metadata: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One document of a file of rows."""

    id: str
    title: str
    text: str
    source: str
    sha256: str
    metadata: dict[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that gives no document."""

    source: str
    reason: str
    id: str = ""
    """Of the document that it would be, where that much of it can be read."""


def holds_rows(path: Path) -> bool:
    """Whether a file is read row by row, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def estimate(path: Path) -> int:
    """About how many rows a file has: its line ends, read in blocks."""
    if path.suffix.lower() == ".json":
        return 1
    with path.open("rb") as handle:
        lines = sum(block.count(b"\n") for block in iter(lambda: handle.read(1 << 20), b""))
    return max(1, lines - (path.suffix.lower() in (".csv", ".tsv")))


def streams(path: Path) -> bool:
    """Whether a file is read line by line, so that its size does not matter."""
    return path.suffix.lower() in (".jsonl", ".ndjson")


def read(path: Path, name: str, mapping: Mapping | None) -> Iterator[Row | BadRow]:
    """The rows of a file. `name`: how the file is called in ids and messages.

    Without a mapping: id from `doc_id` or `id`, else `name#number`; title from `title`; text from `text`, else every
    field as a line `field: value`, with what is nested as `ingest.nested` writes it out. Beside a `text` of JSON rows
    the other plain fields and lists are metadata, what is nested follows the text; an object `metadata` is neither.
    In a CSV file `text` is a column as any other where more stand beside it than an id, unless there is a `doc_id` or
    a `title` too: then the others are metadata. JSON is one row, or the list of objects that it is or holds.
    Raises UnreadableDocument when the file as a whole cannot be read.
    """
    kind = path.suffix.lower()
    rules = mapping or Mapping()
    if kind in (".csv", ".tsv"):
        yield from _csv(path, name, rules, "\t" if kind == ".tsv" else None)
    elif kind == ".json":
        yield from _json(path, name, rules)
    else:
        yield from _jsonl(path, name, rules)


def _jsonl(path: Path, name: str, rules: Mapping) -> Iterator[Row | BadRow]:
    with path.open("rb") as handle:
        encoding = wide(handle.read(4096))
        handle.seek(0)
        for number, line in enumerate(_narrow(handle, encoding) if encoding else _lines(handle, b"\n"), start=1):
            source = f"{name}#{number}"
            if line is None:
                yield BadRow(source, f"the line is longer than {MAX_LINE_BYTES // 2**20} MiB")
                continue
            if not line.strip():
                continue
            try:
                fields = json.loads(_line_text(line, first=number == 1))
            except (ValueError, RecursionError) as error:
                yield BadRow(source, f"the line is no JSON in UTF-8: {error}")
                continue
            yield _row(fields, source, rules, hashlib.sha256(line.rstrip(b"\r\n")).hexdigest(), keep_rest=True)


def _json(path: Path, name: str, rules: Mapping) -> Iterator[Row | BadRow]:
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        most = f"at most {MAX_JSON_BYTES:,} are read as JSON: write it as JSONL, a row a line"
        raise UnreadableDocument(f"the file has {size:,} bytes, {most}")
    try:
        data = json.loads(as_written(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument(f"the file is no JSON: {error}") from error
    data = _list_within(data, rules) or data
    items = data if isinstance(data, list) else [data]
    for number, fields in enumerate(items, start=1):
        source = f"{name}#{number}" if isinstance(data, list) else name
        if not isinstance(fields, dict):
            yield BadRow(source, NO_OBJECT)
            continue
        body = json.dumps(fields, sort_keys=True, ensure_ascii=True).encode()
        yield _row(fields, source, rules, hashlib.sha256(body).hexdigest(), keep_rest=True)


def _list_within(data: Any, rules: Mapping) -> list[Any] | None:
    """The rows that an object holds as its one list of objects, where it is no document itself."""
    if not isinstance(data, dict) or any(name in data for name in (*_OF_A_DOCUMENT, *_wanted(rules))):
        return None
    lists = [
        name
        for name, value in data.items()
        if value and isinstance(value, list) and all(isinstance(each, dict) for each in value)
    ]
    if len(lists) != 1:
        return None
    others = [value for name, value in data.items() if name != lists[0]]
    bare = not any(value and isinstance(value, str | dict | list) for value in others)
    rows: list[Any] = data[lists[0]]
    return rows if bare or lists[0].casefold() in _OF_A_LIST else None


def _csv(path: Path, name: str, rules: Mapping, delimiter: str | None) -> Iterator[Row | BadRow]:
    line = 0
    try:
        table = Table(decode(path.read_bytes()), delimiter)
        if not any(table.columns):
            raise UnreadableDocument("the file has no header row")
        for number, fields in enumerate(table.rows(), start=1):
            line = table.line
            if any(map(str.strip, fields.values())):
                body = json.dumps(fields, sort_keys=True).encode()
                yield _row(fields, f"{name}#{number}", rules, hashlib.sha256(body).hexdigest(), keep_rest=False)
    except csv.Error as error:
        raise UnreadableDocument(f"what follows line {line} is no CSV: {error}") from error


def _wanted(rules: Mapping) -> list[str]:
    return [*filter(None, (rules.id, rules.title)), *rules.text, *(rules.metadata or ())]


def _row(fields: Any, source: str, rules: Mapping, sha256: str, *, keep_rest: bool) -> Row | BadRow:
    if not isinstance(fields, dict):
        return BadRow(source, NO_OBJECT)
    if missing := [column for column in _wanted(rules) if column not in fields]:
        return BadRow(source, f"the row has no field {missing[0]!r}; it has {', '.join(map(str, fields))[:200]}")
    usual = () if rules.id is None else ("doc_id", "id")
    id_field = rules.id or next((key for key in usual if plain(fields.get(key))), "")
    identity = clean(str(fields[id_field])).strip() if id_field else source
    if not identity:
        return BadRow(source, f"its {id_field!r} is empty")
    title_field = rules.title or ("title" if isinstance(fields.get("title"), str) else "")
    title = clean(str(fields[title_field])).strip() if title_field else ""
    beside: list[str] = []
    if rules.text:
        columns = list(rules.text)
    elif _is_text(fields.get("text")) and (keep_rest or _alone(fields, rules)):
        columns = ["text"]
        if rules.metadata is None:
            beside = [c for c, value in fields.items() if nested(value) and c != "metadata"]
    else:
        columns = [c for c, value in fields.items() if plain(value) or value]
    names: Iterable[str] = rules.metadata or ()
    if rules.metadata is None and (keep_rest or not rules.text):
        used = {id_field, title_field, *columns, *(() if keep_rest else (c for c in fields if not fields[c].strip()))}
        names = [c for c, value in fields.items() if c not in used and (plain(value) or plain_list(value))]
    try:
        text = "\n\n".join(part for part in (_text(fields, columns), _lines_of(fields, beside)) if part.strip())
        metadata = _metadata(fields, names)
    except UnreadableDocument as error:
        return BadRow(source, str(error), identity)
    if not text:
        return BadRow(source, "the row has no text", identity)
    return Row(id=identity, title=title, text=text, source=source, sha256=sha256, metadata=metadata)


def _alone(fields: dict[str, Any], rules: Mapping) -> bool:
    """Whether the column `text` of a CSV file is the whole text: of a corpus it is, of a table of tickets it is not."""
    told = rules.id or rules.title or not fields.keys().isdisjoint(("doc_id", "title"))
    return rules.metadata is None and bool(told or fields.keys() <= {"id", "text"})


def _is_text(value: Any) -> bool:
    """Text, or a list of its paragraphs."""
    return isinstance(value, str) or (plain_list(value) and all(isinstance(part, str) for part in value))


def _text(fields: dict[str, Any], columns: list[str]) -> str:
    """One field as it stands, several as lines."""
    if len(columns) == 1:
        value = fields[columns[0]]
        if plain(value):
            return clean(str(value))
        if _is_text(value):
            return "\n\n".join(map(clean, value))
    return _lines_of(fields, columns)


def _lines_of(fields: dict[str, Any], columns: list[str]) -> str:
    pairs = (pair for column in columns for pair in written_out(column, fields[column]))
    return "\n".join(f"{clean(name)}: {text}" if name else text for name, text in pairs)


def _metadata(fields: dict[str, Any], names: Iterable[str]) -> dict[str, MetadataValue]:
    found: dict[str, MetadataValue] = {}
    for name in names:
        value = fields[name]
        if plain(value):
            found[name] = _typed(value)
        elif plain_list(value):
            found[name] = joined(value)
        else:
            found.update(written_out(name, value))
    return found


def _typed(value: MetadataValue) -> MetadataValue:
    return clean(value) if isinstance(value, str) else value


def _line_text(line: bytes, *, first: bool) -> str:
    """Of one line alone no other encodings are told. Raises UnicodeDecodeError."""
    try:
        return line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError:
        text = western(line)
        if text is None:
            raise
        return text


def _narrow(handle: BinaryIO, encoding: str) -> Iterator[bytes | None]:
    """Lines of UTF-16 or UTF-32 as UTF-8, as `_lines` gives them."""
    with io.TextIOWrapper(handle, encoding, "replace", newline="\n") as stream:
        for line in _lines(stream, "\n"):
            yield None if line is None else line.encode("utf-8", "replace")


def _lines(handle: IO[AnyStr], end: AnyStr) -> Iterator[AnyStr | None]:
    """Lines with their ends; None for one that is too long, which is skipped without being held."""
    while line := handle.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES and not line.endswith(end):
            while (rest := handle.readline(MAX_LINE_BYTES)) and not rest.endswith(end):
                pass
            yield None
        else:
            yield line
