"""What the command lines of evaluation and tuning show alike: a bar, and a refusal in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from rag.errors import RagError


@contextmanager
def bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar with counts and the time to go, on standard error; called with a name, what is done and what will be."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)
        yield lambda name, done, total: progress.update(task, description=name, completed=done, total=total)


@contextmanager
def refusals(command: str) -> Iterator[None]:
    """An error on purpose ends the command with exit status 2 and its sentence."""
    try:
        yield
    except RagError as error:
        typer.echo(f"{command}: {error}", err=True)
        raise typer.Exit(2) from None
