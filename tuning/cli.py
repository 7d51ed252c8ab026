"""The command line of tuning: `understudy tune …`. Exit status 2 with one sentence for what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evaluation.console import bar, refusals

if TYPE_CHECKING:
    from tuning.checking import Figures
    from tuning.run import Part
    from tuning.suites import Deal

app = typer.Typer(help="Tune a small adapter to your questions or documents.", no_args_is_help=True)

Domain = Annotated[str, typer.Option("--domain", "-d", help="The indexed domain; default: the suite's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Steps = Annotated[
    int, typer.Option(min=1, help="Steps; of 8 examples each 10 to 25 seconds on two cores, half a second on a GPU.")
]
Batch = Annotated[int, typer.Option(min=1, help="Examples of a step; on a GPU 32 take little longer than 8.")]
Seed = Annotated[int, typer.Option(help="Of the deal, the examples and the training.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the adapter; a run that was cut off goes on there.")]
Licence = Annotated[str, typer.Option(help="Of the adapter, for its card.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train; auto: on a GPU where torch finds one.")
]


@app.command()
def suite(
    suites: Annotated[list[Path], typer.Argument(help="Suite folders with questions and answers.")],
    out: Out,
    *,
    domain: Domain = "",
    task: Annotated[list[str] | None, typer.Option(help="Only these sub-suites, where a suite has some.")] = None,
    report: Annotated[
        int, typer.Option(min=0, help="Leave out what `evaluate run --limit N` asks, and its documents; 0: nothing.")
    ] = 300,
    report_seed: Annotated[int, typer.Option(help="`--seed` of that run.")] = 0,
    check: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Questions kept for the figures of the card: once for all suites, or once a suite."),
    ] = None,
    deal_seed: Annotated[int | None, typer.Option(help="Of the deal alone; default: --seed.")] = None,
    made: Annotated[
        int, typer.Option(min=0, help="Learn from so many questions made of each suite's documents too.")
    ] = 0,
    steps: Steps = 200,
    batch: Batch = 8,
    rank: Annotated[int, typer.Option(min=1, max=128, help="Rank of the adapter's matrices.")] = 16,
    seed: Seed = 0,
    licence: Licence = "",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Tune on the questions and answers of suites whose corpora are in."""
    from evaluation.suites import read_suite
    from rag.build import open_documents
    from rag.settings import load
    from tuning.suites import beside, deal

    kept = list(check or [100])
    kept = kept * len(suites) if len(kept) == 1 else kept
    if len(kept) != len(suites):
        typer.echo(
            f"tune: --check is given {len(kept)} times for {len(suites)} suites: once, or once a suite", err=True
        )
        raise typer.Exit(2)
    with refusals("tune"):
        parts = []
        for folder, held in zip(suites, kept, strict=True):
            read, problems = read_suite(folder)
            for problem in problems:
                typer.echo(problem, err=True)
            tasks = [name for name in task or () if name in {question.task for question in read.used()}]
            drawn = seed if deal_seed is None else deal_seed
            dealt = deal(read, report=report, report_seed=report_seed, check=held, seed=drawn, tasks=tasks)
            place = domain or read.name.replace("_", "-")
            parts.append(_part(place, read.name, dealt))
            if made:
                more = beside(dealt, open_documents(load(), place), limit=made, seed=seed)
                parts.append(_part(place, f"questions made from {read.name}", more))
        _tune(
            parts, out, steps=steps, batch=batch, rank=rank, seed=seed, licence=licence, device=device, as_json=as_json
        )


@app.command()
def corpus(
    domain: Annotated[str, typer.Argument(help="The indexed domain.")],
    out: Out,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many questions.")] = 600,
    check: Annotated[int, typer.Option(min=0, help="Of these, kept for the figures of the card.")] = 60,
    steps: Steps = 100,
    batch: Batch = 8,
    rank: Annotated[int, typer.Option(min=1, max=128, help="Rank of the adapter's matrices.")] = 16,
    seed: Seed = 0,
    licence: Licence = "",
    device: Device = "auto",
    only_questions: Annotated[bool, typer.Option("--only-questions", help="Print the questions and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Tune on questions made from a domain's own documents, without labels and without a large model."""
    from rag.build import open_documents
    from rag.errors import InvalidCorpus
    from rag.settings import load
    from tuning.suites import Deal
    from tuning.synthetic import questions

    with refusals("tune"):
        documents = open_documents(load(), domain)
        made = questions(documents, limit=limit, seed=seed)
        if not made:
            raise InvalidCorpus(f"no question could be made from the {len(documents)} documents of {domain}")
        if only_questions:
            for question in made:
                row = {"id": question.id, "question": question.question, "answers": question.answers}
                typer.echo(json.dumps({**row, "gold_doc_ids": question.gold}, ensure_ascii=False))
            return
        checked = {document for question in made[:check] for document in question.gold}
        train = [question for question in made[check:] if not checked & set(question.gold)]
        dealt = Deal(tuple(train), tuple(made[:check]), ())
        part = _part(domain, f"questions made from {domain}", dealt)
        _tune(
            [part], out, steps=steps, batch=batch, rank=rank, seed=seed, licence=licence, device=device, as_json=as_json
        )


@app.command()
def check(
    suites: Annotated[list[Path], typer.Argument(help="The suites that it was checked with, their corpora in.")],
    *,
    adapter: Annotated[str, typer.Option(help="Its GGUF file, its card beside it; auto: the shipped one.")] = "auto",
    questions: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Ask the questions of another adapter's card.")
    ] = None,
    domain: Domain = "",
    write: Annotated[bool, typer.Option("--write", help="Keep the figures in its card.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the questions that an adapter's card keeps for checking, of the plain model and of the tuned one."""
    from evaluation.suites import read_suite
    from rag.build import shipped_adapter
    from rag.errors import InvalidCorpus, ModelUnavailable
    from rag.settings import load
    from tuning.card import Card
    from tuning.run import figures
    from tuning.suites import chosen

    if write and questions:
        typer.echo("tune: --write keeps figures on the card's own questions: leave out --questions", err=True)
        raise typer.Exit(2)
    with refusals("tune"), bar() as progress:
        settings = load()
        path = shipped_adapter(settings) if adapter == "auto" else Path(adapter)
        if path is None or not path.with_suffix(".json").is_file():
            raise ModelUnavailable(f"{path or 'this model'} has no card that says what an adapter was checked with")
        card = Card.model_validate_json(path.with_suffix(".json").read_bytes())
        named = Card.model_validate_json(questions.read_bytes()) if questions else card
        asked = []
        for folder in suites:
            read, _ = read_suite(folder)
            asked.append((domain or read.name.replace("_", "-"), chosen(read, frozenset(named.checked))))
        if not any(questions for _, questions in asked):
            raise InvalidCorpus(f"none of the questions of {questions or path.name} is in these suites")
        before, after = (figures(asked, settings, name, progress) for name in ("none", str(path)))
        if write:
            card.model_copy(update={"before": before, "after": after}).write(path)
    if as_json:
        typer.echo(
            json.dumps({"before": before and before.model_dump(), "after": after and after.model_dump()}, indent=1)
        )
        return
    _tell(before, after)


def _part(domain: str, name: str, dealt: Deal) -> Part:
    import hashlib

    from tuning.card import Source
    from tuning.run import Part

    rows = [[q.id, q.question, list(q.answers), list(q.gold)] for q in dealt.train]
    digest = hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()
    counts = {"trained": len(dealt.train), "checked": len(dealt.check), "left_to_report": len(dealt.report)}
    return Part(domain, dealt, Source(name=name, questions_sha256=digest, **counts))


def _tune(
    parts: Sequence[Part],
    out: Path,
    *,
    steps: int,
    batch: int,
    rank: int,
    seed: int,
    licence: str,
    device: str,
    as_json: bool,
) -> None:
    from importlib.util import find_spec

    if not find_spec("peft"):
        typer.echo("tune: peft is not installed: pip install 'understudy[tune]'", err=True)
        raise typer.Exit(2)
    from rag.settings import load
    from tuning.run import tune
    from tuning.training import Recipe

    with bar() as progress:
        card = tune(
            parts,
            out,
            load(),
            recipe=Recipe(steps=steps, batch=batch, rank=rank, alpha=2.0 * rank, seed=seed),
            licence=licence,
            progress=progress,
            device=device,
        )
    if as_json:
        typer.echo(card.model_dump_json(indent=1, exclude={"trained", "checked"}))
        return
    typer.echo(f"{out / 'adapter.gguf'}: {sum(card.examples.values())} examples, final loss {card.final_loss:.2f}")
    _tell(card.before, card.after)
    typer.echo(f"use it: UNDERSTUDY_MODEL__ADAPTER={out / 'adapter.gguf'}")


def _tell(before: Figures | None, after: Figures | None) -> None:
    for name, found in (("before", before), ("after", after)):
        if found:
            typer.echo(f"{name:7}{_shown(found)}")


def _shown(found: Figures) -> str:
    return (
        f"right {found.right:.1%} of {found.answerable}, wrongly refused {found.refused_wrongly:.1%} · "
        f"refused {found.refused_rightly:.1%} of {found.out_of_corpus} out of corpus · "
        f"options right {found.options_right:.1%} of {found.options} · closed book {found.closed_book_right:.1%}"
    )


def main() -> None:
    """`python -m tuning`."""
    app(prog_name="python -m tuning")
