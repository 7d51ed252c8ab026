"""The command line of language models: `understudy models list | pull | verify`. Knows no file and no hub.

Exit status: 0 all is well · 1 `verify` found an altered file · 2 refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rag.types import Value

app = typer.Typer(help="See which language models there are, fetch them, check their files.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """Every profile and every pulled model: source, licence, size, and whether its file is here and verified."""
    from rag.build import list_models
    from rag.settings import load

    settings = load()
    entries = list_models(settings)
    if as_json:
        _print_json(entries)
        return
    rows = [
        (
            ("* " if entry.name == settings.model.name else "  ") + entry.name,
            entry.parameters,
            f"{entry.megabytes:,} MB" if entry.megabytes else "",
            f"{entry.context_tokens:,}" if entry.context_tokens else "",
            entry.licence,
            "verified" if entry.verified else "unverified" if entry.path else "not here",
            entry.source,
        )
        for entry in entries
    ]
    _print_table(("  name", "parameters", "size", "context", "licence", "file", "source"), rows)
    typer.echo("* is UNDERSTUDY_MODEL__NAME, which also takes the path of a GGUF file or 'owner/repository:file.gguf'")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A profile of `list`, or 'owner/repository:file.gguf' of the hub.")],
    as_json: Json = False,
) -> None:
    """Fetch NAME from the hub and record its hash. Needs UNDERSTUDY_NETWORK__OFFLINE=false."""
    from rag.build import pull_model
    from rag.settings import load

    settings = load()
    with _bar(name, silent=as_json) as progress:
        file = pull_model(settings, name, progress)
    if as_json:
        typer.echo(file.model_dump_json(indent=1))
        return
    typer.echo(f"{file.name}: {file.path}")
    typer.echo(f"sha256 {file.sha256}, {file.weights_format or 'format not told'}, template {file.template}")


@app.command()
def verify(as_json: Json = False) -> None:
    """Hash every packaged and pulled file anew and compare. Exit status 1: one was altered."""
    from rag.build import verify_models
    from rag.settings import load

    found = verify_models(load())
    if as_json:
        _print_json(found)
    else:
        for one in found:
            typer.echo(f"{one.state:8} {one.name}  {one.path}")
            if one.state == "altered":
                typer.echo(f"         sha256 {one.found}\n         expected {one.expected}")
    raise typer.Exit(1 if any(one.state == "altered" for one in found) else 0)


def _print_json(values: Sequence[Value]) -> None:
    typer.echo(json.dumps([value.model_dump() for value in values], ensure_ascii=False, indent=1))


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    for row in (columns, *rows):
        typer.echo("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def _bar(label: str, *, silent: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """A progress bar on a terminal's standard error, with bytes, speed and time left; nothing elsewhere."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(label, total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total)
