"""The commands for a domain's generations: what is kept of it, and going back. Knows no document."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from ingest.console import bar, print_json, print_table, refusals

Domain = Annotated[str, typer.Option("--domain", "-d", help="The domain.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def generations(domain: Domain, as_json: Json = False) -> None:
    """List the generations of a domain that are kept: the live one, and those that `rollback` can go back to."""
    from ingest.generations import stored
    from rag.build import open_catalog
    from rag.settings import load

    with refusals():
        found = stored(open_catalog(load()), domain)
    rows = [item.model_dump(mode="json") for item in found]
    if as_json:
        print_json(rows)
    else:
        print_table(["generation", "live", "created", "documents", "chunks", "bytes"], rows)


def rollback(
    domain: Domain,
    to: Annotated[str, typer.Option("--to", help="The generation; default: the one before the live one.")] = "",
    as_json: Json = False,
) -> None:
    """Make an earlier generation of a domain the live one again, in one step; nothing is lost by it."""
    from ingest.generations import previous
    from rag.build import check_index, open_catalog, publish_index
    from rag.settings import load
    from rag.writer_lock import WriterLock

    with refusals():
        settings = load()
        catalog = open_catalog(settings)
        lock = WriterLock(settings.data.directory, domain)
        try:
            left = catalog.live(domain).manifest.generation
            chosen = previous(catalog, domain, to)
            check_index(settings, chosen)
            catalog.promote(chosen)
            publish_index(settings, chosen)
        finally:
            lock.release()
    result = {"domain": domain, "from": left, "to": chosen.manifest.generation}
    if as_json:
        print_json(result)
    else:
        undo = f"`understudy ingest rollback --domain {domain} --to {left}` undoes it"
        typer.echo(f"{domain}: {result['to']} is live; {undo}")


def rebuild(domain: Domain, as_json: Json = False) -> None:
    """Split and embed a domain's stored texts anew, for a changed embedder or chunker; the old generation is kept.

    Where the embedder is the same and the chunker another, only texts that it cuts otherwise are embedded; where both
    are the same, all.

    A service with the old settings is told to be started again when it asks for the domain next.
    """
    from ingest.opening import open_target
    from ingest.rebuilding import rebuild as run_rebuild
    from rag.build import open_embedder
    from rag.settings import load

    with refusals():
        settings = load()
        with (
            closing(open_embedder(settings)) as embedder,
            closing(open_target(settings, domain, embedder, create=False, afresh=True)) as target,
            bar(f"rebuild {domain}", silent=as_json) as progress,
        ):
            done = run_rebuild(target, progress=progress)
    if as_json:
        print_json(asdict(done))
    else:
        kept = f", {done.reused} with vectors that were there," if done.reused else ""
        typer.echo(
            f"{domain}: {done.changed} documents, {done.chunks} chunks embedded{kept} in {done.seconds:.1f} s; "
            f"{done.generation} is live, `understudy ingest rollback --domain {domain}` goes back"
        )
