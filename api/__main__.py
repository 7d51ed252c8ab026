"""The console script `understudy`: serve, ask, config, and the other doors' commands. Knows no route.

Nothing heavy is imported until a command needs it, so that `--help` and completion come at once.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from rag.errors import RagError

USAGE = 2
"""Exit status of every error; 3 says that a question was left unanswered."""


class Mounted(click.Command):
    """Another door's command line, imported when it is called and not when it is listed."""

    def __init__(self, name: str, load: Callable[[], typer.Typer], summary: str) -> None:
        """`summary` stands in the list of commands; the door's own help tells the rest."""
        super().__init__(name, help=summary)
        self._load = load

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # click's own signature
    ) -> click.Context:
        """A context of the door's real command: click goes on with the context's command, not with this one."""
        return typer.main.get_group(self._load()).make_context(info_name, args, parent, **extra)


def _ingest() -> typer.Typer:
    from ingest.cli import app as door

    return door


def _evaluate() -> typer.Typer:
    from evaluation.cli import app as door

    return door


def _models() -> typer.Typer:
    from api.models_cli import app as door

    return door


def _keys() -> typer.Typer:
    from api.keys_cli import app as door

    return door


def _feedback() -> typer.Typer:
    from api.feedback_cli import app as door

    return door


def _tune() -> typer.Typer:
    from tuning.cli import app as door

    return door


class Doors(TyperGroup):
    """The commands here and those of the other doors that are installed."""

    def __init__(self, **extra: Any) -> None:  # typer's own signature
        """Add what is installed."""
        super().__init__(**extra)
        if find_spec("ingest.cli"):
            self.add_command(Mounted("ingest", _ingest, "Bring a corpus in; show, verify and delete what is stored."))
        if find_spec("evaluation.cli"):
            self.add_command(
                Mounted("evaluate", _evaluate, "Compare the small model with a large one; write a report.")
            )
        if find_spec("tuning"):
            self.add_command(Mounted("tune", _tune, "Tune a small adapter to your questions or documents."))
        if find_spec("api.feedback_cli"):
            self.add_command(Mounted("feedback", _feedback, "Export what callers said of answers."))
        if find_spec("api.models_cli"):
            self.add_command(Mounted("models", _models, "List, pull and verify language models."))
        if find_spec("api.keys_cli"):
            self.add_command(Mounted("keys", _keys, "Create, list and revoke keys of the REST API."))


app = typer.Typer(
    name="understudy",
    cls=Doors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Answers from your own documents by a small local language model, each claim tied to the exact words it "
    "rests on.",
    epilog="Settings are environment variables: `understudy config show` lists them all.",
)
config = typer.Typer(no_args_is_help=True, help="Show the settings in force.")
app.add_typer(config, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"understudy {importlib.metadata.version('understudy')}")
        raise typer.Exit


@app.callback()
def understudy(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default by UNDERSTUDY_SERVER__HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one; default by UNDERSTUDY_SERVER__PORT.")
    ] = None,
) -> None:
    """Serve the API until interrupted; prints the address once questions are taken."""
    from api.serving import serve as serve_until_stopped
    from rag.settings import load

    serve_until_stopped(load(), host=host, port=port)


@app.command()
def ask(
    questions: Annotated[list[str], typer.Argument(metavar="QUESTION...", help="One or more, each in quotes.")],
    domain: Annotated[str, typer.Option(help="Which documents are asked.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each question.")] = False,
    passages: Annotated[int | None, typer.Option(min=1, max=50, help="Passages retrieved; default by setting.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="An answer to choose from; give it twice or more.")] = None,
) -> None:
    """Answer questions from a domain. Exit status 0: all answered; 3: one was not; 2: an error."""
    from api.asking import ask_all
    from rag.settings import load

    status = ask_all(load(), questions, domain=domain, passages=passages, options=option or (), as_json=as_json)
    raise typer.Exit(status)


@config.callback()
def configuration() -> None:
    """Show the settings in force."""


@config.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="As a JSON array.")] = False) -> None:
    """Every setting: variable, value in force, default and meaning; secrets are redacted."""
    from api.configuration import print_settings
    from rag.settings import load

    print_settings(load(), as_json=as_json)


def main() -> None:
    """Run the command line; an error that was raised on purpose is one sentence and status 2."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its escape rather than no answer.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="understudy")
    except RagError as error:
        print(f"understudy: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except Exception as error:
        if os.environ.get("UNDERSTUDY_LOG__LEVEL") == "debug":
            raise
        print(
            f"understudy: unexpected {type(error).__name__}: {error} (UNDERSTUDY_LOG__LEVEL=debug shows where)",
            file=sys.stderr,
        )
        sys.exit(USAGE)


if __name__ == "__main__":
    main()
