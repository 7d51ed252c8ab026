"""The command line of the evaluation: `understudy evaluate check | run | report`. Knows no arm's inside.

Exit status: 0 all is well · 1 `check` found errors · 2 refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.errors import RagError

if TYPE_CHECKING:
    from evaluation.suites import Suite

app = typer.Typer(help="Compare the small model with a large one, question by question.", no_args_is_help=True)

SuitePath = Annotated[Path, typer.Argument(help="A suite folder, a corpus folder, or a .csv or .jsonl of questions.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
NoTexts = Annotated[
    bool, typer.Option("--no-texts", help="Keep questions and answers out of the report: for suites under restriction.")
]
PricesFile = Annotated[Path | None, typer.Option("--prices", help="Your own price table (TOML) in place of ours.")]


@app.command()
def check(suite: SuitePath, *, as_json: Json = False) -> None:
    """Find what would make a comparison wrong, by file and line."""
    from evaluation.suites import check as check_suite

    with _refusals():
        problems = check_suite(suite)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        typer.echo(json.dumps([problem.model_dump() for problem in problems], indent=1))
    else:
        for problem in problems:
            typer.echo(problem)
        typer.echo(f"{errors} errors, {len(problems) - errors} warnings")
    raise typer.Exit(1 if errors else 0)


@app.command()
def run(
    suite: SuitePath,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; one that was cut off goes on.")],
    *,
    domain: Annotated[str, typer.Option("--domain", "-d", help="The indexed domain; default: the suite's name.")] = "",
    arms: Annotated[
        str, typer.Option(help="Comma-separated, of slm, slm+rag, slm+gold, overlap.")
    ] = "slm,slm+rag,overlap",
    limit: Annotated[int, typer.Option(min=0, help="At most so many questions, drawn by seed; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the sample, the order of options and the intervals.")] = 0,
    margin: Annotated[float | None, typer.Option(min=0.001, max=0.5, help="Declared margin as a share.")] = None,
    prices: PricesFile = None,
    no_texts: NoTexts = False,
    as_json: Json = False,
) -> None:
    """Ask every arm every question, then write the report. A killed run goes on where it was."""
    from evaluation import run as running
    from evaluation.arms import runners
    from evaluation.records import Records
    from evaluation.sampling import sample
    from evaluation.suites import read_suite
    from rag.build import build_pipeline
    from rag.settings import load

    with _refusals():
        read, problems = read_suite(suite)
        for problem in problems:
            typer.echo(problem, err=True)
        questions = sample(read, limit=limit, seed=seed)
        name = domain or read.name.replace("_", "-")
        pipeline = build_pipeline(load())
        try:
            declared = running.declare(
                read,
                questions,
                pipeline,
                domain=name,
                arms=[arm.strip() for arm in arms.split(",") if arm.strip()],
                seed=seed,
                margin=margin,
            )
            with Records(out, declared) as records, _bar() as progress:
                running.run(questions, runners(pipeline, name), records, progress)
        finally:
            pipeline.close()
        _report(read, out, prices, no_texts=no_texts, as_json=as_json)


@app.command()
def report(
    suite: SuitePath,
    folder: Annotated[Path, typer.Argument(help="The folder of a run.")],
    *,
    prices: PricesFile = None,
    no_texts: NoTexts = False,
    as_json: Json = False,
) -> None:
    """Judge the records of a run anew and write its report. Asks no model."""
    from evaluation.suites import read_suite

    with _refusals():
        read, _ = read_suite(suite)
        _report(read, folder, prices, no_texts=no_texts, as_json=as_json)


def _report(read: Suite, folder: Path, prices: Path | None, *, no_texts: bool, as_json: bool) -> None:
    from evaluation import report as reporting
    from evaluation.cost import SHIPPED, load_prices
    from evaluation.judge import shipped_judge
    from evaluation.records import read_declared, read_records
    from evaluation.sampling import fingerprint, shuffled
    from evaluation.scoring import score
    from rag.errors import InvalidCorpus

    declared, records = read_declared(folder), read_records(folder)
    originals = {question.id: question for question in read.used()}
    missing = [name for name in declared.questions if name not in originals]
    if missing:
        raise InvalidCorpus(f"question {missing[0]!r} of the run is not in {read.root}: name the suite that was asked")
    questions = [shuffled(originals[name], declared.seed) for name in declared.questions]
    if fingerprint(questions) != declared.suite_sha256:
        raise InvalidCorpus(f"the questions of {read.root} are not those of the run in {folder}: run it again")
    judge = shipped_judge()
    parts, right = score(declared, questions, originals=originals, records=records, recorded=read.recorded, judge=judge)
    table = load_prices(prices or SHIPPED)
    made = reporting.Report(
        declared=declared,
        sentences=tuple(reporting.sentence(part, declared) for part in parts),
        parts=parts,
        costs=reporting.costs(parts, table),
        wrong=reporting.surprising(questions, records, right, quotable=not no_texts),
        judge=f"One judge for all systems, version {judge.fitted.version}: {judge.fitted.fitted_on}. "
        "Exact for options, yes and no; free text is corrected for its error, counted with each system left out.",
        complete=len(records) == len(declared.arms) * len(declared.questions),
    )
    paths = reporting.write(made, folder)
    if as_json:
        typer.echo(made.model_dump_json(indent=1))
    else:
        for said in made.sentences:
            typer.echo(said)
        typer.echo(f"wrote {', '.join(str(path) for path in paths)}")


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar with counts and the time to go, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)
        yield lambda arm, done, total: progress.update(task, description=arm, completed=done, total=total)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except RagError as error:
        typer.echo(f"evaluate: {error}", err=True)
        raise typer.Exit(2) from None


def main() -> None:
    """`python -m evaluation`."""
    app(prog_name="python -m evaluation")
