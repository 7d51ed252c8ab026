"""The command line of the evaluation: `understudy evaluate …`. Knows no arm's inside.

Exit status: 0 all is well · 1 `check` found errors, or `compare --gate` a real loss · 2 refused.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluation.console import bar, refusals

if TYPE_CHECKING:
    from evaluation.recommendation import Threshold

app = typer.Typer(help="Compare the small model with a large one, question by question.", no_args_is_help=True)

SuitePath = Annotated[Path, typer.Argument(help="A suite folder, a corpus folder, or a .csv or .jsonl of questions.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
NoTexts = Annotated[
    bool, typer.Option("--no-texts", help="Keep questions and answers out of the report: for suites under restriction.")
]
SuiteOption = Annotated[Path | None, typer.Option("--suite", help="Where the suite is now; default: where it was.")]
MinAccuracy = Annotated[
    float | None, typer.Option(min=0.01, max=0.99, help="Least accuracy that production accepts, as a share.")
]
MaxLoss = Annotated[float, typer.Option(min=0.001, max=0.99, help="Most that may be lost to the large model.")]
MinSpeedup = Annotated[float | None, typer.Option(min=0.01, help="Latency gain that the loss is accepted for.")]
PricesFile = Annotated[
    Path | None, typer.Option("--prices", help="Your own price table (TOML); it goes over ours, by name.")
]


@app.command()
def check(suite: SuitePath, *, as_json: Json = False) -> None:
    """Find what would make a comparison wrong, by file and line."""
    from evaluation.suites import check as check_suite

    with refusals("evaluate"):
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
        str, typer.Option(help="Comma-separated, of slm, slm+rag, slm+gold, overlap, llm, llm+rag.")
    ] = "slm,slm+rag,overlap",
    limit: Annotated[int, typer.Option(min=0, help="At most so many questions, drawn by seed; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the sample, the order of options and the intervals.")] = 0,
    margin: Annotated[float | None, typer.Option(min=0.001, max=0.5, help="Declared margin as a share.")] = None,
    llm: Annotated[str, typer.Option("--llm", help="The large model's id, for the arms llm and llm+rag.")] = "",
    llm_url: Annotated[
        str, typer.Option("--llm-url", help="Its OpenAI-compatible endpoint; without one, only what is recorded.")
    ] = "",
    llm_key_env: Annotated[
        str, typer.Option("--llm-key-env", help="The environment variable that holds its key.")
    ] = "OPENAI_API_KEY",
    recording: Annotated[
        Path | None, typer.Option("--recording", help="Where its answers are kept; default: llm.jsonl in --out.")
    ] = None,
    max_usd: Annotated[float, typer.Option("--max-usd", min=0, help="What the recording may cost in all.")] = 1.0,
    prices: PricesFile = None,
    min_accuracy: MinAccuracy = None,
    max_accuracy_loss: MaxLoss = 0.05,
    min_speedup: MinSpeedup = None,
    only: Annotated[
        Path | None,
        typer.Option("--only", exists=True, dir_okay=False, help="A file of question ids: nothing else is asked."),
    ] = None,
    no_texts: NoTexts = False,
    as_json: Json = False,
) -> None:
    """Ask every arm every question, then write the report. A killed run goes on where it was."""
    from evaluation.cost import SHIPPED, load_prices
    from evaluation.running import Live, ask
    from evaluation.suites import read_suite

    threshold = _threshold(min_accuracy, max_accuracy_loss, min_speedup)
    with refusals("evaluate"):
        load_prices(prices or SHIPPED)  # a table that will be refused is refused before the first question
        read, problems = read_suite(suite)
        for problem in problems:
            typer.echo(problem, err=True)
        live = Live(llm, llm_url, os.environ.get(llm_key_env, ""), recording or out / "llm.jsonl", max_usd, prices)
        with bar() as progress:
            ask(
                read,
                suite,
                out,
                domain=domain or read.name.replace("_", "-"),
                arms=[arm.strip() for arm in arms.split(",") if arm.strip()],
                limit=limit,
                seed=seed,
                margin=margin,
                live=live,
                only=frozenset(only.read_text("utf-8").split()) if only else None,
                progress=progress,
            )
        _report(out, suite, prices, threshold, no_texts=no_texts, as_json=as_json)


@app.command()
def calibrate(
    folders: Annotated[
        list[Path], typer.Argument(help="Runs made with UNDERSTUDY_ANSWER__MIN_CONFIDENCE=0; they are fitted on.")
    ],
    *,
    against: Annotated[
        list[Path] | None, typer.Option("--check", help="Another such run, of other questions, to check the fit on.")
    ] = None,
    max_refused: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Most answerable questions that may be refused, as a share.")
    ] = 0.08,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write here, for any domain; default: beside the one asked."),
    ] = None,
    suite: SuiteOption = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep the fits of other kinds of answers that are there already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit how far answers can be trusted, and from where on they are not given. Asks no model."""
    from evaluation.calibrating import added, check, fit, trusted
    from evaluation.finished import read_run
    from evaluation.judge import shipped_judge
    from evaluation.running import current_weights
    from rag import calibration
    from rag.build import open_catalog
    from rag.settings import load

    with refusals("evaluate"):
        runs, judge = [read_run(folder, suite) for folder in folders], shipped_judge()
        run = runs[0]
        fitted = fit(runs, judge, max_refused=max_refused, weights=current_weights(run), for_any_domain=out is not None)
        if against:
            others = [read_run(folder, suite) for folder in against]
            checks = {"checked": check(fitted, others, judge), "trusted": trusted(fitted, others, judge)}
            fitted = fitted.model_copy(update=checks)
        path = out or open_catalog(load()).calibration_path(run.declared.domain)
        kept = added(calibration.read(path), fitted) if add else fitted
        path.write_text(kept.model_dump_json(indent=1) + "\n", "utf-8")
    if as_json:
        typer.echo(fitted.model_dump_json(indent=1))
        return
    typer.echo(f"fitted on {fitted.n} answers of {fitted.suite}: {', '.join(fitted.fits)}; wrote {path}")
    if fitted.checked:
        seen = fitted.checked
        typer.echo(
            f"checked: refuses {seen.refused:.1%} of {seen.answerable} answerable and {seen.refused_out_of_corpus:.1%} "
            f"of {seen.out_of_corpus} out-of-corpus questions; {seen.accuracy_of_given:.1%} of what it gives is right; "
            f"calibration error {seen.calibration_error * 100:.1f} points"
        )
        for basis, held in fitted.trusted.items():
            typer.echo(
                f"  {basis}: {held.right:.1%} of {held.n} right, mean confidence {held.confidence:.1%}, "
                f"calibration error {held.calibration_error * 100:.1f} points"
            )
    else:
        typer.echo("not checked on other questions: --check RUN does")


@app.command()
def options(
    suite: SuitePath,
    out: Annotated[Path, typer.Option("--out", help="Write the questions here, a table that `run` takes (.jsonl).")],
    *,
    seed: Annotated[int, typer.Option(help="Of the wrong options and their order.")] = 0,
) -> None:
    """Give questions that have none four options each, so that a confidence of options can be fitted."""
    from evaluation.made_options import with_options
    from evaluation.suites import read_suite

    with refusals("evaluate"):
        made = with_options(read_suite(suite)[0].used(), seed=seed)
    fields = {"id", "question", "answers", "options", "answer_choice", "gold_doc_ids", "use"}
    out.write_text("".join(question.model_dump_json(include=fields) + "\n" for question in made), "utf-8")
    typer.echo(f"wrote {len(made)} questions to {out}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.")],
    *,
    suite: SuiteOption = None,
    prices: PricesFile = None,
    min_accuracy: MinAccuracy = None,
    max_accuracy_loss: MaxLoss = 0.05,
    min_speedup: MinSpeedup = None,
    no_texts: NoTexts = False,
    as_json: Json = False,
) -> None:
    """Judge the records of a run anew and write its report. Asks no model."""
    threshold = _threshold(min_accuracy, max_accuracy_loss, min_speedup)
    with refusals("evaluate"):
        _report(folder, suite, prices, threshold, no_texts=no_texts, as_json=as_json)


@app.command()
def summary(
    folder: Annotated[Path, typer.Argument(help="A folder of folders with a report.json each.")],
    *,
    as_json: Json = False,
) -> None:
    """One table over several reports: writes README.md into the folder."""
    from evaluation.summary import read_reports
    from evaluation.summary import summary as summarised

    with refusals("evaluate"):
        reports = read_reports(folder)
        (folder / "README.md").write_text(summarised(reports), "utf-8")
    if as_json:
        typer.echo(json.dumps({name: list(report.sentences) for name, report in reports}, indent=1))
    else:
        for _, report in reports:
            for said in report.sentences:
                typer.echo(said)
        typer.echo(f"wrote {folder / 'README.md'}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="The folder of the run before.")],
    second: Annotated[Path, typer.Argument(help="The folder of the run after.")],
    *,
    arm: Annotated[str, typer.Option(help="Which arm is compared.")] = "slm+rag",
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 for a loss that is no chance.")] = False,
    suite: SuiteOption = None,
    no_texts: NoTexts = False,
    as_json: Json = False,
) -> None:
    """What changed from one run to another, question by question."""
    from evaluation.finished import read_run
    from evaluation.gate import gate as gated
    from evaluation.judge import shipped_judge

    with refusals("evaluate"):
        found = gated(read_run(first, suite), read_run(second, suite), shipped_judge(), arm=arm, quotable=not no_texts)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        for sign, changes in (("+", found.gained), ("-", found.lost)):
            for change in changes:
                typer.echo(f"{sign} {change.id}: {change.before!r} -> {change.after!r}")
        d = found.difference
        typer.echo(
            f"{found.arm}: {found.before:.1%} -> {found.after:.1%} of {found.n} questions, {len(found.gained)} gained, "
            f"{len(found.lost)} lost; {d.estimate * 100:+.1f} points, 95% interval {d.low * 100:+.1f} to "
            f"{d.high * 100:+.1f}, McNemar p {found.mcnemar:.3f}: "
            + ("a real loss" if found.real_loss else "no loss beyond chance")
        )
    raise typer.Exit(1 if gate and found.real_loss else 0)


@app.command()
def judge(
    suite: SuitePath,
    *,
    llm: Annotated[
        str, typer.Option("--llm", help="Also measure this model as judge; 'local': the one of the settings.")
    ] = "",
    llm_url: Annotated[str, typer.Option("--llm-url", help="Its OpenAI-compatible endpoint.")] = "",
    llm_key_env: Annotated[
        str, typer.Option("--llm-key-env", help="The environment variable that holds its key.")
    ] = "OPENAI_API_KEY",
    limit: Annotated[int, typer.Option(min=0, help="At most so many answers of each system; 0: all.")] = 0,
    as_json: Json = False,
) -> None:
    """How far the judge, and a model as judge, agree with a suite's human labels, by system."""
    from evaluation.judge import shipped_judge
    from evaluation.llm_judge import agreement
    from evaluation.running import open_llm
    from evaluation.suites import read_suite

    with refusals("evaluate"):
        read, _ = read_suite(suite)
        model = open_llm(llm, llm_url, os.environ.get(llm_key_env, "")) if llm else None
        try:
            with bar() as progress:
                rows = agreement(read, shipped_judge(), model, limit=limit, progress=progress)
        finally:
            if model:
                model.close()
    if as_json:
        typer.echo(json.dumps([row.model_dump() for row in rows], indent=1))
        return
    typer.echo(f"{'system':46} {'n':>5} {'human':>6} {'judge':>6} {'agree':>6} {'llm':>6} {'agree':>6} {'failed':>6}")
    for row in rows:
        shown = [f"{x * 100:.1f}" for x in (row.human_rate, row.judge_rate, row.judge_agreement)]
        shown += ["-" if x is None else f"{x * 100:.1f}" for x in (row.llm_rate, row.llm_agreement)]
        shown.append("-" if row.llm_failures is None else str(row.llm_failures))
        typer.echo(f"{row.system[:46]:46} {row.answers:5} " + " ".join(f"{x:>6}" for x in shown))


@app.command()
def workloads(
    suite: SuitePath,
    *,
    domain: Annotated[str, typer.Option("--domain", "-d", help="The indexed domain; default: the suite's name.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="A run's folder: its report shows the table.")] = None,
    requests: Annotated[int, typer.Option(min=1, help="Requests of each use case.")] = 20,
    edge_only: Annotated[bool, typer.Option("--edge-only", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Latency of the use cases on this machine: chatbot, document analysis, an edge device of one core."""
    from evaluation.suites import read_suite
    from evaluation.workloads import use_cases

    with refusals("evaluate"):
        read, _ = read_suite(suite)
        name = domain or read.name.replace("_", "-")
        found = use_cases(read, suite, name, requests=requests, edge_only=edge_only)
    text = json.dumps([row.model_dump() for row in found], indent=1)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "workloads.json").write_text(text + "\n", "utf-8")
    if as_json:
        typer.echo(text)
        return
    for row in found:
        fits = "" if row.fits is None else ", fits one core and 1 GB" if row.fits else ", does not fit 1 GB"
        typer.echo(
            f"{row.name:18} first token {row.first_ms:7.0f} ms, whole {row.whole_ms:7.0f} ms, {row.cores} core(s), "
            f"{row.memory_mb:.0f} MB{fits} (median of {row.requests})"
        )


def _threshold(min_accuracy: float | None, max_loss: float, min_speedup: float | None) -> Threshold:
    from evaluation.recommendation import Threshold

    return Threshold(min_accuracy=min_accuracy, max_accuracy_loss=max_loss, min_speedup=min_speedup)


def _report(
    folder: Path, suite: Path | None, prices: Path | None, threshold: Threshold, *, no_texts: bool, as_json: bool
) -> None:
    from evaluation import report as reporting
    from evaluation.cost import SHIPPED, load_prices
    from evaluation.finished import read_run
    from evaluation.judge import shipped_judge

    made = reporting.build(
        read_run(folder, suite), shipped_judge(), load_prices(prices or SHIPPED), threshold, quotable=not no_texts
    )
    paths = reporting.write(made, folder)
    if as_json:
        typer.echo(made.model_dump_json(indent=1))
    else:
        for said in made.sentences:
            typer.echo(said)
        typer.echo(f"wrote {', '.join(str(path) for path in paths)}")


def main() -> None:
    """`python -m evaluation`."""
    app(prog_name="python -m evaluation")
