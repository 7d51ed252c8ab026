"""`config show`: every setting in force, for a reader or a program. Knows no command line; redacts every secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from rag.settings import Settings, variables

REDACTED = "(set, not shown)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting."""

    variable: str
    value: str | int | float | bool
    default: str | int | float | bool
    description: str


def entries(settings: Settings) -> list[Entry]:
    """Every setting, in the order of the sections; the data directory as an absolute path."""
    found = []
    for name, (section, field) in variables().items():
        values = getattr(settings, section)
        info = type(values).model_fields[field]
        entry = Entry(name, _plain(getattr(values, field), absolute=True), _plain(info.default), info.description or "")
        found.append(entry)
    return found


def print_settings(settings: Settings, *, as_json: bool) -> None:
    """Write them to standard output; a setting that differs from its default is marked with a star."""
    found = entries(settings)
    if as_json:
        print(json.dumps([asdict(entry) for entry in found], indent=2, ensure_ascii=False))  # noqa: T201  # the output
        return
    for entry in found:
        changed = str(entry.value) != str(entry.default) and entry.variable != "UNDERSTUDY_DATA__DIRECTORY"
        print(f"{'*' if changed else ' '} {entry.variable}={_shown(entry.value)}")  # noqa: T201  # the output
        print(f"      {entry.description} (default: {_shown(entry.default) or 'empty'})")  # noqa: T201  # the output


def _shown(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: object, *, absolute: bool = False) -> str | int | float | bool:
    match value:
        case SecretStr():
            return REDACTED if value.get_secret_value() else ""
        case Path():
            return str(value.absolute() if absolute else value)
        case str() | int() | float():
            return value
        case dict():
            return json.dumps(value)
        case _:
            raise TypeError(f"{value!r} is no plain value of a setting")
