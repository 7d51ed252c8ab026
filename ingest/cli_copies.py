"""The commands that copy a whole domain: into a file, out of one, to the other backend. Knows no document."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.console import bar, print_json, refusals

if TYPE_CHECKING:
    from ingest.target import Target
    from rag.catalog import Generation
    from rag.settings import Settings

Domain = Annotated[str, typer.Option("--domain", "-d", help="The domain.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


class Place(StrEnum):
    """Where a domain's vectors may be, as an operator names it."""

    SERVER = "server"
    EMBEDDED = "embedded"

    @property
    def backend(self) -> str:
        """As a manifest and the settings name it."""
        return "edge" if self is Place.EMBEDDED else "server"


def backup(
    domain: Domain,
    out: Annotated[Path, typer.Option("--out", help="The tar file to write; it must not be there yet.")],
    as_json: Json = False,
) -> None:
    """Write the live generation of a domain, its vectors included, into one file; a service goes on answering.

    It holds what was ingested: not the feedback that callers gave, nor a calibration of the domain's own.
    """
    from ingest.backup import write
    from ingest.copying import opened
    from ingest.opening import on_backend
    from rag.build import open_catalog, open_index
    from rag.settings import load
    from rag.writer_lock import WriterLock

    with refusals(stopped="no backup was written"):
        settings = load()
        catalog = open_catalog(settings)
        catalog.live(domain)
        lock = WriterLock(settings.data.directory, domain)
        try:
            live = catalog.live(domain)
            there = on_backend(settings, live.manifest.backend)
            with (
                opened(live, lambda generation, make: open_index(there, generation, create=make)) as source,
                bar(f"backup {domain}", silent=as_json) as progress,
            ):
                contents = write(source, out, progress=progress)
        finally:
            lock.release()
    result = {
        "domain": domain,
        "generation": live.manifest.generation,
        "documents": contents.documents,
        "chunks": contents.chunks,
        "file": str(out),
        "bytes": out.stat().st_size,
    }
    if as_json:
        print_json(result)
    else:
        size = f"{result['bytes']:,} bytes"
        typer.echo(f"{domain}: {contents.documents} documents, {contents.chunks} chunks in {out} ({size})")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.")],
    domain: Annotated[str, typer.Option("--domain", "-d", help="Its name here; default: the one it had.")] = "",
    as_json: Json = False,
) -> None:
    """Bring a backup in as a domain, at once when all of it is checked; what the domain held is kept for `rollback`.

    Nothing is embedded: the embedder must be the one that the backup was made with.
    """
    from ingest.backup import Backup
    from ingest.copying import fill
    from ingest.opening import open_target
    from rag.build import open_embedder
    from rag.catalog import check_domain_name
    from rag.settings import load

    with refusals(), closing(Backup(file)) as source:
        settings = load()
        name = check_domain_name(domain or source.manifest.domain)
        with closing(open_embedder(settings)) as embedder:
            source.check(embedder)
        with (
            closing(open_target(settings, name, None, create=True, like=source.manifest)) as target,
            bar(f"restore {name}", silent=as_json) as progress,
        ):
            done = fill(target, source, purpose=f"restore/{source.digest}", progress=progress)
    if as_json:
        print_json(asdict(done))
    else:
        typer.echo(
            f"{done.domain}: {done.documents} documents, {done.chunks} chunks restored in {done.seconds:.1f} s; "
            f"{done.generation} is live"
        )


def migrate(
    domain: Domain,
    to: Annotated[Place, typer.Option("--to", help="A Qdrant server (UNDERSTUDY_INDEX__URL), or this process.")],
    remove_source: Annotated[
        bool, typer.Option("--remove-source", help="Remove what the domain has on the other side, now or later.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy a domain's vectors to a Qdrant server or back, and make the copy live; nothing is embedded anew.

    The other side is kept until --remove-source. Until the service is started with UNDERSTUDY_INDEX__BACKEND as it is
    told here, it refuses questions to this domain.
    """
    from rag.settings import load

    with refusals():
        settings = load()
        result = _migrate(settings, domain, to, silent=as_json)
        result["removed"] = _remove_elsewhere(settings, domain) if remove_source else []
    if as_json:
        print_json(result)
        return
    if result["from"] == result["generation"]:
        typer.echo(f"{domain}: {result['generation']} is on {to} already")
    else:
        typer.echo(
            f"{domain}: {result['documents']} documents, {result['chunks']} chunks copied to {to} in "
            f"{result['seconds']:.1f} s; {result['generation']} is live"
        )
    if result["removed"]:
        typer.echo(f"{domain}: removed from the other side: {', '.join(result['removed'])}")
    if settings.index.backend != to.backend:
        typer.echo(f"set UNDERSTUDY_INDEX__BACKEND={to.backend} for whatever uses this domain from now on")


def _migrate(settings: Settings, domain: str, to: Place, *, silent: bool) -> dict[str, Any]:
    from ingest.copying import fill, opened
    from ingest.opening import on_backend, open_target
    from rag.build import open_catalog, open_index

    live = open_catalog(settings).live(domain)
    left = live.manifest.generation
    if live.manifest.backend == to.backend:
        return {"domain": domain, "from": left, "generation": left, "to": str(to)}
    here, there = on_backend(settings, live.manifest.backend), on_backend(settings, to.backend)
    with (
        closing(open_target(there, domain, None, create=False, like=live.manifest)) as target,
        opened(_still(target, live), lambda generation, make: open_index(here, generation, create=make)) as source,
        bar(f"migrate {domain}", silent=silent) as progress,
    ):
        done = fill(target, source, purpose=f"migrate/{left}/{to}", progress=progress)
    return {"from": left, "to": str(to), **asdict(done)}


def _still(target: Target, live: Generation) -> Generation:
    """The live generation, if it is the one still now that nobody else may change the domain. Raises IndexLocked."""
    from rag.errors import IndexLocked

    if target.generation is None or target.generation.manifest != live.manifest:
        raise IndexLocked(f"domain {live.manifest.domain!r} was changed in this moment: run the command again")
    return live


def _remove_elsewhere(settings: Settings, domain: str) -> list[str]:
    from ingest.generations import remove_elsewhere
    from rag.build import drop_index, open_catalog
    from rag.writer_lock import WriterLock

    lock = WriterLock(settings.data.directory, domain)
    try:
        catalog = open_catalog(settings)
        return remove_elsewhere(catalog, domain, drop_index=lambda generation: drop_index(settings, generation))
    finally:
        lock.release()
