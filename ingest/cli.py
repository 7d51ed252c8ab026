"""The command line of ingestion: plan, apply, show, delete, verify. Knows no reader and no chunk.

Exit status: 0 all is well · 1 some documents are unreadable, or `verify` found differences · 2 refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.cli_copies import backup, migrate, restore
from ingest.cli_generations import generations, rebuild, rollback
from ingest.cli_watch import watch
from ingest.console import bar, otherwise, print_json, print_table, refusals, sentence, shortfalls

if TYPE_CHECKING:
    from ingest.corpus import Corpus
    from ingest.plan import Plan
    from ingest.run import Summary
    from ingest.target import Target

app = typer.Typer(help="Bring documents into a domain, look at them, take them out.", no_args_is_help=True)
app.command()(generations)
app.command()(rollback)
app.command()(rebuild)
app.command()(watch)
app.command()(backup)
app.command()(restore)
app.command()(migrate)

Domain = Annotated[str, typer.Option("--domain", "-d", help="The domain: a collection of documents asked together.")]
SHOWN = 20
"""Documents of each kind that `plan` names; --json names all."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


Source = Annotated[Path, typer.Argument(help="A folder (with or without corpus.toml), a file, or a suite.")]
Prune = Annotated[bool, typer.Option("--prune", help="Remove documents that the path no longer holds.")]
IdField = Annotated[str, typer.Option(help="Rows: the field with the document's id.")]
TitleField = Annotated[str, typer.Option(help="Rows: the field with the title.")]
TextField = Annotated[list[str] | None, typer.Option(help="Rows: a field of the text; may be repeated.")]


@app.command()
def plan(
    path: Source,
    domain: Domain,
    *,
    prune: Prune = False,
    id_field: IdField = "",
    title_field: TitleField = "",
    text_field: TextField = None,
    as_json: Json = False,
) -> None:
    """Show what `apply` with the same flags would change, and about how long it would take. Writes nothing."""
    from ingest.plan import plan as run_plan

    with refusals():
        corpus = _corpus(path, id_field, title_field, text_field)
        with _target_of(corpus, domain) as target, bar(f"plan {domain}", silent=as_json) as progress:
            found = run_plan(corpus, target, prune=prune, progress=progress)
    if as_json:
        print_json({**asdict(found), "exit": 1 if found.unreadable else 0})
    else:
        _print_plan(found)
    raise typer.Exit(1 if found.unreadable else 0)


@app.command()
def apply(
    path: Source,
    domain: Domain,
    *,
    prune: Prune = False,
    id_field: IdField = "",
    title_field: TitleField = "",
    text_field: TextField = None,
    as_json: Json = False,
) -> None:
    """Bring PATH into a domain, at once when all is in; what did not change is not embedded again.

    One bad file never stops the rest. A service that runs goes on answering, from the new documents once they are in.
    """
    from ingest.run import apply as run_apply

    with refusals():
        corpus = _corpus(path, id_field, title_field, text_field)
        with _target_of(corpus, domain) as target, bar(f"ingest {domain}", silent=as_json) as progress:
            summary = run_apply(corpus, target, prune=prune, progress=progress)
    if as_json:
        print_json({**asdict(summary), "exit": 1 if summary.unreadable else 0})
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
    with refusals():
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
        print_json(rows)
        return
    columns = (
        ["id", "title", "characters", "chunks", "source"] if domain else ["domain", "title", "documents", "chunks"]
    )
    print_table(columns, rows)


@app.command()
def delete(
    domain: Domain,
    *,
    document: Annotated[list[str] | None, typer.Option("--document", help="A document's id; may be repeated.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="FIELD=VALUE of the documents' metadata; several must all hold.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole domain, its files included.")] = False,
    leave: Annotated[
        bool, typer.Option("--leave-collections", help="With --all: also where its Qdrant server does not answer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove documents from a domain, or a whole domain; the counts are of what is gone."""
    with refusals():
        if sum(map(bool, (document, where, everything))) != 1 or (leave and not everything):
            raise typer.BadParameter("give --document ID (once or more), --where FIELD=VALUE, or --all")
        result = (
            _delete_domain(domain, leave=leave)
            if everything
            else _delete_documents(domain, document or [], where or [])
        )
    if as_json:
        print_json(result)
    else:
        unknown = f"; not there: {', '.join(result['unknown'])}" if result["unknown"] else ""
        typer.echo(f"{domain}: {result['documents']} documents, {result['chunks']} chunks removed{unknown}")
    raise typer.Exit(1 if result["unknown"] else 0)


@app.command()
def verify(domain: Domain, as_json: Json = False) -> None:
    """Compare index, stored texts and offsets of a domain; says what differs."""
    from ingest.verifying import verify as run_verify

    with refusals(), _target(domain, create=False) as target:
        problems = run_verify(target)
        documents, chunks = target.store.counts()
    if as_json:
        print_json({"domain": domain, "documents": documents, "chunks": chunks, "problems": problems})
    else:
        for problem in problems:
            typer.echo(problem)
        state = f"{len(problems)} problems" if problems else "all is well"
        typer.echo(f"{domain}: {documents} documents, {chunks} chunks, {state}")
    raise typer.Exit(1 if problems else 0)


def _delete_documents(domain: str, wanted: list[str], where: list[str]) -> dict[str, Any]:
    from ingest.removal import conditions, matching, remove, unknown_fields

    asked = conditions(where) if where else {}
    with _target(domain, create=False) as target:
        missing = unknown_fields(target, asked) if asked else []
        result = asdict(remove(target, matching(target, asked) if asked else wanted))
    return {**result, "unknown": [*result["unknown"], *(f"a field {name!r}" for name in missing)]}


def _corpus(path: Path, id_field: str, title_field: str, text_field: list[str] | None) -> Corpus:
    from ingest.corpus import open_corpus
    from ingest.reading_process import ReadingProcess
    from ingest.rows import Mapping
    from rag.settings import load

    mapping = None
    if id_field or title_field or text_field:
        mapping = Mapping(id=id_field, title=title_field, text=tuple(text_field or ()))
    limits = load().uploads
    reading = ReadingProcess(seconds=limits.file_seconds, megabytes=limits.file_megabytes)
    return open_corpus(path, mapping=mapping, reading=reading)


@contextmanager
def _target_of(corpus: Corpus, domain: str) -> Iterator[Target]:
    declared = corpus.declaration
    about = declared.corpus
    with _target(domain, create=True, fields=declared.filterable, title=about.title, language=about.language) as target:
        yield target


def _delete_domain(domain: str, *, leave: bool) -> dict[str, Any]:
    from ingest.deleting import delete_domain
    from rag.settings import load

    documents, chunks = delete_domain(load(), domain, leave_collections=leave)
    return {"domain": domain, "documents": documents, "chunks": chunks, "unknown": []}


@contextmanager
def _target(domain: str, *, create: bool, **declared: Any) -> Iterator[Target]:
    from ingest.opening import open_target
    from rag.build import open_embedder
    from rag.settings import load

    settings = load()
    embedder = open_embedder(settings)
    try:
        target = open_target(settings, domain, embedder, create=create, **declared)
        try:
            yield target
        finally:
            target.close()
    finally:
        embedder.close()


def _print_plan(found: Plan) -> None:
    old, new = {pair[0] for pair in found.renamed}, {pair[1] for pair in found.renamed}
    lists: list[tuple[str, list[str]]] = [
        ("new", [name for name in found.new if name not in new]),
        ("changed", found.changed),
        ("moved", [f"{before} -> {after}" for before, after in found.moved]),
        ("renamed, the old one kept without --prune", [f"{before} -> {after}" for before, after in found.renamed]),
        (
            "removed" if found.prune else "gone from the source, kept without --prune",
            [name for name in found.gone if name not in old],
        ),
    ]
    for name, items in lists:
        for item in items[:SHOWN]:
            typer.echo(f"{name}: {item}")
        if len(items) > SHOWN:
            typer.echo(f"{name}: {len(items) - SHOWN} more; --json lists all")
    for line in shortfalls(found.unreadable[:SHOWN], found.partly[:SHOWN]):
        typer.echo(line)
    for name, count in (("unreadable", len(found.unreadable)), ("partly read", len(found.partly))):
        if count > SHOWN:
            typer.echo(f"{name}: {count - SHOWN} more; --json lists all")
    for line in otherwise(found.otherwise, found.domain):
        typer.echo(line)
    partly = f", {len(found.partly)} partly read" if found.partly else ""
    typer.echo(
        f"{found.domain}: {len(found.new)} new, {len(found.changed)} changed, {len(found.moved)} moved, "
        f"{found.unchanged} unchanged, {len(found.gone) if found.prune else 0} removed, {len(found.unreadable)} "
        f"unreadable{partly}; {found.chunks} chunks to embed, {found.reused} taken over, about {found.seconds:.0f} s"
    )


def _print_summary(summary: Summary) -> None:
    typer.echo(sentence(summary))
    if summary.repaired:
        typer.echo(f"{summary.repaired} documents of an interrupted run were put right first")
    for line in (*shortfalls(summary.unreadable, summary.partly), *otherwise(summary.otherwise, summary.domain)):
        typer.echo(line, err=True)
