"""The command line of ingestion: `understudy ingest apply | show | delete | verify`. Knows no reader and no chunk.

Exit status: 0 all is well · 1 some documents are unreadable, or `verify` found differences · 2 refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.errors import RagError

if TYPE_CHECKING:
    from ingest.run import Progress, Summary
    from ingest.target import Target
    from rag.settings import Settings

app = typer.Typer(help="Bring documents into a domain, look at them, take them out.", no_args_is_help=True)

Domain = Annotated[str, typer.Option("--domain", "-d", help="The domain: a collection of documents asked together.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command()
def apply(
    path: Annotated[Path, typer.Argument(help="A folder (with or without corpus.toml), a file, or a suite.")],
    domain: Domain,
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents that the path no longer holds.")] = False,
    id_field: Annotated[str, typer.Option(help="Rows: the field with the document's id.")] = "",
    title_field: Annotated[str, typer.Option(help="Rows: the field with the title.")] = "",
    text_field: Annotated[list[str] | None, typer.Option(help="Rows: a field of the text; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Bring PATH into a domain. What did not change is not embedded again; one bad file never stops the rest."""
    from ingest.corpus import open_corpus
    from ingest.rows import Mapping
    from ingest.run import apply as run_apply

    with _refusals():
        mapping = None
        if id_field or title_field or text_field:
            mapping = Mapping(id=id_field, title=title_field, text=tuple(text_field or ()))
        corpus = open_corpus(path, mapping=mapping)
        declared = corpus.declaration
        with (
            _target(
                domain,
                create=True,
                fields=declared.filterable,
                title=declared.corpus.title,
                language=declared.corpus.language,
            ) as target,
            _bar(f"ingest {domain}", silent=as_json) as progress,
        ):
            summary = run_apply(corpus, target, prune=prune, progress=progress)
    if as_json:
        _print_json({**asdict(summary), "exit": 1 if summary.unreadable else 0})
    else:
        _print_summary(summary)
    raise typer.Exit(1 if summary.unreadable else 0)


@app.command()
def show(
    domain: Annotated[str, typer.Option("--domain", "-d", help="One domain's documents; without it all domains.")] = "",
    as_json: Json = False,
) -> None:
    """List the domains, or the documents of one."""
    from rag.build import open_catalog
    from rag.documents import DocumentStore
    from rag.settings import load

    rows: list[dict[str, Any]] = []
    with _refusals():
        catalog = open_catalog(load())
        for name in [domain] if domain else catalog.domains():
            generation = catalog.live(name)
            store = DocumentStore(generation.documents_path, writable=False)
            if domain:
                rows += [item.model_dump() for item in store.summaries()]
            else:
                documents, chunks = store.counts()
                manifest = generation.manifest
                rows.append(
                    {
                        "domain": name,
                        "title": manifest.title,
                        "documents": documents,
                        "chunks": chunks,
                        "generation": manifest.generation,
                        "embedder": manifest.embedder,
                        "backend": manifest.backend,
                        "created": manifest.created.isoformat(),
                    }
                )
            store.close()
    if as_json:
        _print_json(rows)
        return
    columns = (
        ["id", "title", "characters", "chunks", "source"] if domain else ["domain", "title", "documents", "chunks"]
    )
    _print_table(columns, rows)


@app.command()
def delete(
    domain: Domain,
    document: Annotated[list[str] | None, typer.Option("--document", help="A document's id; may be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole domain, its files included.")] = False,
    as_json: Json = False,
) -> None:
    """Remove documents from a domain, or a whole domain."""
    with _refusals():
        if everything == bool(document):
            raise typer.BadParameter("give --document ID (once or more), or --all")
        result = _delete_domain(domain) if everything else _delete_documents(domain, list(document or ()))
    if as_json:
        _print_json(result)
    else:
        unknown = f"; not there: {', '.join(result['unknown'])}" if result["unknown"] else ""
        typer.echo(f"{domain}: {result['documents']} documents, {result['chunks']} chunks removed{unknown}")
    raise typer.Exit(1 if result["unknown"] else 0)


@app.command()
def verify(domain: Domain, as_json: Json = False) -> None:
    """Compare index, stored texts and offsets of a domain; says what differs."""
    from ingest.target import verify as run_verify

    with _refusals(), _target(domain, create=False) as target:
        problems = run_verify(target)
        documents, chunks = target.store.counts()
    if as_json:
        _print_json({"domain": domain, "documents": documents, "chunks": chunks, "problems": problems})
    else:
        for problem in problems:
            typer.echo(problem)
        state = f"{len(problems)} problems" if problems else "all is well"
        typer.echo(f"{domain}: {documents} documents, {chunks} chunks, {state}")
    raise typer.Exit(1 if problems else 0)


def _delete_documents(domain: str, wanted: list[str]) -> dict[str, Any]:
    with _target(domain, create=False) as target:
        known = {item.id for item in target.store.summaries()}
        present = [name for name in dict.fromkeys(wanted) if name in known]
        chunks = target.delete(present) if present else 0
    unknown = [name for name in wanted if name not in known]
    return {"domain": domain, "documents": len(present), "chunks": chunks, "unknown": unknown}


def _delete_domain(domain: str) -> dict[str, Any]:
    from rag.build import delete_domain, open_catalog
    from rag.documents import DocumentStore
    from rag.settings import load

    settings = load()
    store = DocumentStore(open_catalog(settings).live(domain).documents_path, writable=False)
    documents, chunks = store.counts()
    store.close()
    delete_domain(settings, domain)
    return {"domain": domain, "documents": documents, "chunks": chunks, "unknown": []}


@contextmanager
def _target(domain: str, *, create: bool, **declared: Any) -> Iterator[Target]:
    from ingest.target import Target
    from rag.build import open_catalog, open_embedder, open_index
    from rag.settings import load

    settings: Settings = load()
    embedder = open_embedder(settings)
    try:
        target = Target(
            domain,
            catalog=open_catalog(settings),
            embedder=embedder,
            open_index=lambda generation, make: open_index(settings, generation, create=make),
            backend=settings.index.backend,
            create=create,
            **declared,
        )
        try:
            yield target
        finally:
            target.close()
    finally:
        embedder.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """Errors that are told in one sentence, with exit status 2."""
    try:
        yield
    except RagError as error:
        typer.echo(f"understudy: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        typer.echo("understudy: stopped; what was written is safe, run the same command to go on", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _bar(name: str, *, silent: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress bar on a terminal, a line every ten seconds elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    if silent:
        yield None
        return
    if not sys.stderr.isatty():
        last = [0.0]

        def line(state: Progress) -> None:
            if state.seconds - last[0] >= 10:
                last[0] = state.seconds
                rate = state.chunks / max(state.seconds, 1e-9)
                left = (state.total - state.documents) * state.seconds / max(1, state.documents)
                typer.echo(
                    f"{name}: {state.documents} of about {state.total} documents, {state.chunks} chunks, "
                    f"{rate:.0f} chunks/s, about {left:.0f} s left",
                    err=True,
                )

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None, rate="")

        def draw(state: Progress) -> None:
            rate = f"{state.chunks / max(state.seconds, 1e-9):.0f} chunks/s"
            bar.update(task, completed=state.documents, total=state.total, rate=rate)

        yield draw


def _print_summary(summary: Summary) -> None:
    typer.echo(
        f"{summary.domain}: {summary.new} new, {summary.changed} changed, {summary.unchanged} unchanged, "
        f"{summary.removed} removed, {len(summary.unreadable)} unreadable; {summary.chunks} chunks embedded in "
        f"{summary.seconds:.1f} s"
    )
    if summary.repaired:
        typer.echo(f"{summary.repaired} documents of an interrupted run were put right first")
    for item in summary.unreadable:
        typer.echo(f"unreadable: {item.source}: {item.reason}", err=True)


def _print_table(columns: list[str], rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    Console().print(table)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, default=str))
