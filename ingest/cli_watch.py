"""The command that follows a folder: a line for each run, an orderly end at Ctrl-C or SIGTERM. Knows no document."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.console import otherwise, print_line, refusals, sentence, shortfalls

if TYPE_CHECKING:
    from ingest.progress import Progress
    from ingest.run import Summary
    from rag.protocols import Embedder
    from rag.settings import Settings


def watch(
    path: Annotated[Path, typer.Argument(help="A folder (with or without corpus.toml), or a file.")],
    domain: Annotated[str, typer.Option("--domain", "-d", help="The domain that follows it.")],
    *,
    prune: Annotated[
        bool, typer.Option("--prune/--keep", help="Remove documents that the path does not hold, or keep them.")
    ] = True,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the path.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each run.")] = False,
) -> None:
    """Apply PATH now and whenever it has changed and come to rest, until Ctrl-C or SIGTERM; then exit with 0.

    Each change is an ordinary `apply --prune`: a service goes on answering. A round that fails is told and tried again.
    What the domain holds from elsewhere is removed too, unless --keep says otherwise; with it a renamed file is a new
    document beside the old one. `rollback` brings back what one run removed.
    """
    from ingest.watching import follow
    from rag.catalog import check_domain_name
    from rag.settings import load

    stop = threading.Event()
    said: set[str] = set()

    def done(summary: Summary) -> None:
        if as_json:
            print_line({"event": "apply", **asdict(summary)})
            return
        typer.echo(f"{_now()} {sentence(summary)}")
        for line in (*shortfalls(summary.unreadable, summary.partly), *otherwise(summary.otherwise, summary.domain)):
            tell(line)

    def tell(line: str) -> None:
        if line not in said:  # what stays wrong is told once
            typer.echo(f"{_now()} {line}", err=True)
        said.add(line)

    def failed(error: Exception) -> None:
        if as_json:
            print_line({"event": "error", "message": str(error)})
        else:
            tell(f"understudy: {error}")

    with refusals(), ExitStack() as stack:
        settings = load()
        check_domain_name(domain)
        _until_told(stop, stack)
        apply = _applying(settings, path, domain, prune, stack)
        total = follow(path, apply, stop=stop, every=every, done=done, failed=failed)
    if as_json:
        print_line({"event": "end", "domain": domain, **asdict(total)})
    else:
        typer.echo(
            f"{_now()} {domain}: stopped after {total.seconds:.0f} s: {total.applies} runs, {total.new} new, "
            f"{total.changed} changed, {total.moved} moved, {total.removed} removed, {total.failures} failures"
        )


def _applying(
    settings: Settings, path: Path, domain: str, prune: bool, stack: ExitStack
) -> Callable[[Callable[[Progress], None]], Summary]:
    """One run over the path as it is now; embedder and reading process are started for the first and then kept."""
    from ingest.corpus import open_corpus
    from ingest.opening import open_target
    from ingest.reading_process import ReadingProcess
    from ingest.run import apply
    from rag.build import open_embedder

    limits = settings.uploads
    reading = ReadingProcess(seconds=limits.file_seconds, megabytes=limits.file_megabytes)
    stack.enter_context(closing(reading))
    loaded: list[Embedder] = []

    def once(progress: Callable[[Progress], None]) -> Summary:
        corpus = open_corpus(path, reading=reading)
        if not loaded:
            loaded.append(stack.enter_context(closing(open_embedder(settings))))
        declared = corpus.declaration
        target = open_target(
            settings,
            domain,
            loaded[0],
            create=True,
            fields=declared.filterable,
            title=declared.corpus.title,
            language=declared.corpus.language,
        )
        with closing(target):
            return apply(corpus, target, prune=prune, progress=progress)

    return once


def _until_told(stop: threading.Event, stack: ExitStack) -> None:
    """Let the first SIGINT or SIGTERM set `stop`, and a second one do what it always does."""
    before: dict[int, Any] = {}

    def told(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, told)
        stack.callback(signal.signal, number, before[number])


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")
