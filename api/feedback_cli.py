"""The command line of feedback: `understudy feedback export`, a table of questions that `understudy evaluate` reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from api.feedback import FeedbackFolder
from api.feedback_store import Feedback
from rag.build import open_catalog
from rag.catalog import write_atomically
from rag.errors import UnknownDomain
from rag.settings import load

app = typer.Typer(no_args_is_help=True, help="What callers said of answers, for an evaluation.")


@app.callback()
def feedback() -> None:
    """Let `export` be named, also while it is the only command."""


@app.command()
def export(
    domain: Annotated[str, typer.Option(help="Whose answers were rated.")],
    out: Annotated[Path | None, typer.Option(help="A .jsonl file to write; default: standard output.")] = None,
) -> None:
    """Write `id, question, answers` a line, for `understudy evaluate run FILE --domain DOMAIN`.

    A row needs its question and a right answer: the one that was given, or the answer that was rated as right.
    """
    settings = load()
    catalog = open_catalog(settings)
    if domain not in catalog.domains():  # an error and no empty file
        raise UnknownDomain.named(domain)
    kept = FeedbackFolder(catalog, most=settings.server.max_feedback).of(domain).all()
    rows = list(questions(kept))
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomically(out, text)
    left = len(kept) - len(rows)
    sys.stderr.write(f"{len(rows)} questions; {left} without a question or a right answer left out\n")


def questions(kept: Iterable[Feedback]) -> Iterator[dict[str, Any]]:
    """The rows that an evaluation can use."""
    for item in kept:
        if item.question.strip() and item.gold():
            yield {
                "id": item.request_id,
                "question": item.question,
                "answers": item.gold(),
                "rating": item.rating,
                "comment": item.comment,
            }
