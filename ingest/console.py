"""What ingestion's commands print: refusals in one sentence, progress, tables and JSON. Knows no command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from rag.errors import RagError

if TYPE_CHECKING:
    from ingest.corpus import Partly, Unreadable
    from ingest.progress import Progress
    from ingest.run import Summary


@contextmanager
def refusals(*, stopped: str = "what was written is safe, run the same command to go on") -> Iterator[None]:
    """Errors that are told in one sentence, with exit status 2; `stopped`: what an interruption means."""
    try:
        yield
    except RagError as error:
        typer.echo(f"understudy: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        typer.echo(f"understudy: stopped; {stopped}", err=True)
        raise typer.Exit(130) from None


@contextmanager
def bar(name: str, *, silent: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress bar on a terminal, a line every ten seconds elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    if silent:
        yield None
        return
    if not sys.stderr.isatty():
        last = [0.0]

        def line(state: Progress) -> None:
            if state.seconds - last[0] >= 10:
                last[0] = state.seconds
                far = f"{name}: {state.documents} of about {state.total} documents"
                typer.echo(", ".join([far, *_pace(state, f"{state.chunks} chunks")]), err=True)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, TextColumn("{task.fields[pace]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None, pace="")

        def draw(state: Progress) -> None:
            bar.update(task, completed=state.documents, total=state.total, pace=", ".join(_pace(state)))

        yield draw


def _pace(state: Progress, *first: str) -> list[str]:
    """Chunks a second, and the time that is left where it is known."""
    rate = [*first, f"{state.pace:.0f} chunks/s"] if state.pace is not None else []
    return rate if state.left is None else [*rate, f"about {state.left:.0f} s left"]


WIDEST = 100_000
"""Columns of a table that goes into a file or another program: each row is one line there."""


def sentence(summary: Summary) -> str:
    """What a run did."""
    moved = f"{summary.moved} moved, " if summary.moved else ""
    reused = f", {summary.reused} taken over" if summary.reused else ""
    partly = f", {len(summary.partly)} partly read" if summary.partly else ""
    return (
        f"{summary.domain}: {summary.new} new, {summary.changed} changed, {moved}{summary.unchanged} unchanged, "
        f"{summary.removed} removed, {len(summary.unreadable)} unreadable{partly}; {summary.chunks} chunks embedded"
        f"{reused} in {summary.seconds:.1f} s"
    )


def shortfalls(unreadable: Iterable[Unreadable], partly: Iterable[Partly]) -> Iterator[str]:
    """A line for each file that gave no document, and for each document that lacks pages."""
    for item in unreadable:
        yield f"unreadable: {item.source}: {item.reason}"
    for lacking in partly:
        yield f"partly read: {lacking.source}: {lacking.reason}{_way_out()}"


def otherwise(count: int, domain: str) -> Iterator[str]:
    """A line where documents of another source are not typed as the domain's fields are."""
    if count:
        yield (
            f"{count} documents of {domain} that are not in this corpus have metadata of other types than its "
            "[filterable] fields: bring these in again, or a filter may not find them"
        )


def _way_out() -> str:
    from ingest import ocr

    return "" if ocr.available() else f"; {ocr.HOW_TO}"


def print_line(value: Any) -> None:
    """JSON on one line, at once."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(columns: list[str], rows: list[dict[str, Any]]) -> None:
    """A table of the named columns."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut off could not be given to another command
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    console = Console()
    if not console.is_terminal:
        console.width = WIDEST
    console.print(table)


def print_json(value: Any) -> None:
    """Indented JSON; what JSON does not know is written as text."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, default=str))
