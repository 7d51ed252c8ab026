"""What the command lines of evaluation and tuning show alike: progress, and a refusal in one sentence."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from rag.errors import RagError

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal."""

Report = Callable[[str, int, int], None]
"""Called with a name, what is done and what will be."""


@contextmanager
def bar() -> Iterator[Report]:
    """On standard error: a bar with counts and the time to go, or a line every ten seconds where it is no terminal."""
    if not sys.stderr.isatty():
        yield lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)
        yield lambda name, done, total: progress.update(task, description=name, completed=done, total=total)


def lines() -> Report:
    """A line whenever the last one is ten seconds old."""
    last = time.monotonic()

    def tell(name: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            typer.echo(f"{name}: {done} of {total}", err=True)

    return tell


@contextmanager
def refusals(command: str) -> Iterator[None]:
    """An error on purpose ends the command with its sentence and exit status 2, Ctrl-C with 130."""
    try:
        yield
    except RagError as error:
        typer.echo(f"{command}: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(f"{command}: stopped; the same command goes on with what was kept", err=True)
        raise typer.Exit(130) from None
