"""The command line of keys: `understudy keys create | list | revoke`. A running service follows at once.

Exit status: 0 done · 2 refused.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from api.keys import Key

app = typer.Typer(help="Create, list and revoke the keys of the REST API.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, in your words.")],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, ingest or admin; give it once for each. None implies another. Default: read."),
    ] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A domain it opens; give it once for each.")] = None,
    all_domains: Annotated[bool, typer.Option("--all-domains", help="Every domain, also those still to come.")] = False,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day it is good for, in UTC.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Its own limit; default by UNDERSTUDY_LIMITS__REQUESTS_PER_MINUTE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept. Without --json standard output is the key alone."""
    from api.audit import AuditLog
    from api.caller import SCOPES
    from api.keys import Keys, now
    from rag.catalog import Catalog
    from rag.settings import load

    scopes = [known for known in SCOPES if known in (scope or ["read"])]
    for given in scope or ():
        if given not in SCOPES:
            raise typer.BadParameter(f"{given!r} is none of {', '.join(SCOPES)}", param_hint="--scope")
    if all_domains == bool(domain):
        raise typer.BadParameter("name each domain that it opens by --domain, or say --all-domains")
    if not 1 <= len(name.strip()) <= 100:
        raise typer.BadParameter("a name has 1 to 100 characters", param_hint="NAME")
    until = expires.replace(tzinfo=UTC) + timedelta(days=1) if expires else None
    if until is not None and until <= now():
        raise typer.BadParameter(f"{expires:%Y-%m-%d} is over", param_hint="--expires")
    directory = load().data.directory
    key, text = Keys(directory).create(
        name.strip(),
        scopes=scopes,
        domains=None if all_domains else domain,
        expires=until,
        requests_per_minute=requests_per_minute,
    )
    AuditLog(directory).write("keys create", outcome="created", key=key.id, domain=", ".join(key.domains or ()))
    if as_json:
        typer.echo(json.dumps({"key": text} | _shown(key), ensure_ascii=False, indent=1))
        return
    typer.echo(f"{_sentence(key)} It is shown this once:", err=True)
    typer.echo(text)
    for missing in sorted(set(key.domains or ()) - set(Catalog(directory).domains())):
        typer.echo(f"Note: there is no domain {missing!r} yet; the key opens it once there is.", err=True)


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """Every key that was ever created, without its secret."""
    from api.keys import Keys
    from rag.settings import load

    found = Keys(load().data.directory).all()
    if as_json:
        typer.echo(json.dumps([_shown(key) for key in found], ensure_ascii=False, indent=1))
        return
    if not found:
        typer.echo("There are no keys: the API serves this machine alone, to everybody on it.", err=True)
        return
    columns = ("id", "name", "state", "scopes", "domains", "a minute", "created", "expires", "last used")
    rows = [columns, *(_row(key) for key in found)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    for row in rows:
        typer.echo("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def revoke(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")],
    as_json: Json = False,
) -> None:
    """Take a key back, for good; a running service refuses it from now on."""
    from api.audit import AuditLog
    from api.keys import Keys
    from rag.settings import load

    directory = load().data.directory
    key = Keys(directory).revoke(identity)
    AuditLog(directory).write("keys revoke", outcome="revoked", key=key.id, domain=", ".join(key.domains or ()))
    if as_json:
        typer.echo(json.dumps(_shown(key), ensure_ascii=False, indent=1))
        return
    typer.echo(f"Key {key.id} ({key.name}) opens nothing any more.")


def _sentence(key: Key) -> str:
    opens = "every domain" if key.domains is None else "the domains " + ", ".join(key.domains)
    return f"Key {key.id} ({key.name}) may {', '.join(key.scopes)} in {opens}."


def _shown(key: Key) -> dict[str, Any]:
    """A key for a program: everything but the hash, and its state."""
    from api.keys import now

    return key.model_dump(mode="json", exclude={"sha256"}) | {"state": key.state(now())}


def _row(key: Key) -> tuple[str, ...]:
    from api.keys import now

    return (
        key.id,
        key.name,
        key.state(now()),
        ", ".join(key.scopes),
        "all" if key.domains is None else ", ".join(key.domains),
        str(key.requests_per_minute or ""),
        f"{key.created:%Y-%m-%d}",
        f"{key.expires - timedelta(days=1):%Y-%m-%d}" if key.expires else "",
        str(key.last_used or ""),
    )
