"""Front matter of Markdown to metadata: the part of YAML that people write above a text, read leniently. Pure.

A YAML parser refuses `title: Travel: policy` and reads `version: 1.10` as 1.1: here no line is refused, and a value
is a number only where that number is written so. Fields of a nested block are named `block.field`, items of a list are
joined with commas. Linear in the lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from rag.types import MetadataValue

MAX_DEPTH = 8
"""Of nested blocks; what is further in belongs to the field above as words."""

_KEY = re.compile(
    r"""(?:([A-Za-z_][\w\-]{0,80}):(?!//)"""
    r"""|("[^"]{0,80}"|'[^']{0,80}'|[^\s:#\[{'"|>\-][^:]{0,80}):(?=\s|$))[ \t]*(.*)"""
)
_BLOCK = re.compile(r"[|>][-+\d]*(?:[ \t]+#.*)?")
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ \t]*(?:#.*)?""")
_COMMENT = re.compile(r"[ \t]#(?!\d).*|^#(?=\s|$).*")
"""What follows a # that begins neither a number (`issue #12`) nor, as the value itself, a word (`#fff`)."""
_ITEM = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,]+)""")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")

_JOINTS = {"words": " ", "lines": "\n", "items": ", "}


@dataclass(slots=True)
class _Field:
    """A field while it is read."""

    kind: Literal["words", "lines", "items"] = "words"
    parts: list[str] = field(default_factory=list)

    def value(self) -> MetadataValue:
        if self.kind != "words":
            return _JOINTS[self.kind].join(self.parts).strip()
        raw = " ".join(self.parts)
        if quoted := _QUOTED.fullmatch(raw):
            return _unquoted(quoted[1])
        told = " ".join(plain for part in self.parts if (plain := _COMMENT.sub("", part).strip()))
        if told.startswith("[") and told.endswith("]"):
            items = (_unquoted(item.strip()) for item in _ITEM.findall(told[1:-1]))
            return ", ".join(item for item in items if item)
        return scalar(told)


def fields(block: str) -> dict[str, MetadataValue]:
    """The fields of a block of front matter by name, those without a value left out."""
    found: dict[str, _Field] = {}
    path: list[tuple[int, str]] = []  # the fields that a line may belong to, with the columns before them
    verbatim = False
    for line in block.split("\n"):
        said = line.strip()
        margin = len(line) - len(line.lstrip())
        if verbatim and (not said or margin > path[-1][0]):
            found[path[-1][1]].parts.append(said)
            continue
        verbatim = False
        if not said or said.startswith("#"):
            continue
        item = said == "-" or said.startswith("- ")
        while path and (path[-1][0] > margin or (path[-1][0] == margin and not item and said[0] != "]")):
            path.pop()
        above = found[path[-1][1]] if path else None
        key = None if item or len(path) == MAX_DEPTH else _KEY.fullmatch(said)
        if above and (item or above.kind == "items"):
            above.kind = "items"
            above.parts.append(_unquoted(_COMMENT.sub("", said[1:] if item else said).strip()))
        elif key:
            name = ".".join([*(name for _, name in path[-1:]), _unquoted((key[1] or key[2]).strip())])
            path.append((margin, name))
            verbatim = _BLOCK.fullmatch(key[3]) is not None
            kind: Literal["words", "lines"] = "lines" if verbatim and key[3].startswith("|") else "words"
            found[name] = _Field(kind, [] if verbatim or not key[3] else [key[3]])
        elif above:
            above.parts.append(said)
    return {name: value for name, each in found.items() if (value := each.value()) != ""}


def scalar(value: str) -> MetadataValue:
    """true/false; a number that is written as numbers are, so not 1.10, 0042 or 1_000; else text without its quotes."""
    if value.casefold() in ("true", "false"):
        return value.casefold() == "true"
    if found := _NUMBER.fullmatch(value):
        number = float(value) if found[1] else int(value)
        return number if str(number) == value else value
    return _unquoted(value)


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "\"'":
        return value
    inner = value[1:-1]
    return inner.replace("''", "'") if value[0] == "'" else re.sub(r'\\(["\\])', r"\1", inner)
