"""The report of a run: one value, written as JSON, Markdown and one self-contained HTML page. Calls no model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from evaluation.cost import (
    HOURS_A_MONTH,
    LEFT_OUT,
    Measured,
    ModelPrice,
    Prices,
    Range,
    Volume,
    break_even,
    conversation_cost,
    published_ratio,
    token_cost,
    volume_table,
)
from evaluation.finished import Finished
from evaluation.judge import Judge
from evaluation.published import PUBLISHED, USE_CASES, ModelRow, UseCase, our_row, published_latency
from evaluation.recommendation import Recommendation, Threshold, recommend
from evaluation.records import Declared, Record
from evaluation.scoring import OURS, Part, Right
from evaluation.statistics import Verdict
from evaluation.suites import SuiteQuestion
from evaluation.workloads import Workload
from rag.types import Value

if TYPE_CHECKING:
    from jinja2 import Environment

FEW = 30
LARGE = "GPT-4"
"""The large model of the price table that costs are compared with."""


class Cost(Value):
    """What the measured arm costs on one machine of the price table, beside the large model by the token."""

    hardware: str
    large: str
    measured: Measured
    volumes: tuple[Volume, ...]
    break_even: Range | None = Field(description="queries a month; None where ours never costs less")
    published_ratio: float
    left_out: str
    sources: tuple[str, ...]


class Thousand(Value):
    """What a thousand answers of one system cost, beside how many it has right."""

    part: str
    arm: str
    model: str
    right: float
    usd: Range = Field(description="our machines kept busy, cheapest to dearest; large models by the token")


class Example(Value):
    """A question worth reading, with what was said; empty texts where the suite may not be quoted."""

    kind: str
    id: str
    question: str
    gold: str
    said: str
    cited: str
    passages: str = Field(description="documents retrieved, best first")


class Report(Value):
    """Everything a reader gets to see."""

    declared: Declared
    sentences: tuple[str, ...] = Field(description="the verdict of each part, in one sentence")
    parts: tuple[Part, ...]
    costs: tuple[Cost, ...]
    thousand: tuple[Thousand, ...] = Field(default=(), description="systems with a known price")
    examples: tuple[Example, ...] = Field(description="the worst and the most surprising answers")
    recommendations: tuple[Recommendation, ...] = ()
    models: tuple[ModelRow, ...] = Field(default=(), description="published rows, and ours measured")
    use_cases: tuple[UseCase, ...] = USE_CASES
    workloads: tuple[Workload, ...] = Field(default=(), description="our use cases; empty where they were not run")
    conversations: tuple[tuple[str, Range], ...] = Field(
        default=(), description="dollars for a million conversations of 500 to 1,000 tokens each way, by token price"
    )
    judge: str
    complete: bool = Field(description="every arm answered every question")


def build(
    run: Finished, judge: Judge, prices: Prices, threshold: Threshold, *, quotable: bool, fallback_large: str = LARGE
) -> Report:
    """Judge and score a run, and put everything that a reader gets to see together. Raises InvalidCorpus.

    quotable: whether questions and answers of the suite may be shown
    fallback_large: the published model whose latency stands in where the run measured none
    """
    parts, right = run.scored(judge)
    ours = next((row for part in parts for row in part.rows if row.arm == OURS), None)
    mine = our_row(ours, parameters=parameters_of(run.declared.model), machines=prices.hardware) if ours else None
    file = run.folder / "workloads.json"
    measured = json.loads(file.read_text("utf-8")) if file.exists() else []
    return Report(
        declared=run.declared.model_copy(update={"source": ""}),  # a path is nobody's business but the runner's
        sentences=tuple(sentence(part, run.declared) for part in parts),
        parts=parts,
        costs=costs(parts, prices),
        thousand=thousand(parts, prices),
        examples=surprising(run.questions, run.records, right, quotable=quotable),
        recommendations=tuple(
            recommend(part, threshold, published_large_ms=published_latency(fallback_large)) for part in parts
        ),
        models=(*PUBLISHED, *([mine] if mine else [])),
        workloads=tuple(Workload.model_validate(row) for row in measured),
        conversations=tuple((price.name, conversation_cost(price)) for price in prices.model),
        judge=f"One judge for all systems, version {judge.fitted.version}: {judge.fitted.fitted_on}. "
        "Exact for options, yes and no; free text is corrected for its error, counted with each system left out.",
        complete=run.complete,
    )


def parameters_of(model: str) -> str:
    """The size that a model's name tells, such as 135M; empty where it tells none."""
    found = re.search(r"\d+(?:\.\d+)?[MB](?![a-z])", model)
    return found[0] if found else ""


def sentence(part: Part, declared: Declared) -> str:
    """The verdict of a part, as a person would say it."""
    ours = next((row for row in part.rows if row.arm == OURS), None)
    if ours is None:
        return f"{part.name}: no verdict, the arm slm+rag did not run to its end."
    said = f"{ours.rate.judged:.1%} of {part.n} questions"
    few = f" With n = {part.n} nothing fine can be claimed." if part.n < FEW * 2 else ""
    chosen = next((c for c in part.comparisons if c.primary), None)
    if chosen is None:
        return (
            f"{part.name}: {declared.model} with retrieval answers {said} rightly ({ours.rate.corrected:.1%} corrected "
            f"for the judge's error, 95% interval {ours.rate.low:.1%} to {ours.rate.high:.1%}); no large model is "
            f"recorded here.{few}"
        )
    d = chosen.difference
    interval = f"{d.estimate * 100:+.1f} points, 95% interval {d.low * 100:+.1f} to {d.high * 100:+.1f}"
    words = {
        Verdict.WINS: "wins against",
        Verdict.COMPETES: "competes with",
        Verdict.LOSES: "loses to",
        Verdict.INCONCLUSIVE: "cannot be told from",
    }[chosen.verdict]
    moved = (
        f" Corrected for the judge's error the verdict is: {chosen.shifted}."
        if chosen.shifted != chosen.verdict
        else ""
    )
    return (
        f"{part.name}: {declared.model} with retrieval {words} {chosen.model} without ({said} right; {interval}; "
        f"margin {declared.margin * 100:.0f} points, least detectable difference {chosen.detectable * 100:.1f})."
        f"{moved}{few}"
    )


def costs(parts: Sequence[Part], prices: Prices) -> tuple[Cost, ...]:
    """Cost tables from the measured tokens and the time of an answer, one for each machine of the price table."""
    rows = [row for part in parts for row in part.rows if row.arm == OURS and row.tokens and row.p50_ms]
    if not rows:
        return ()
    tokens = sum(row.tokens or 0.0 for row in rows) / len(rows)
    seconds = sum(row.p50_ms or 0.0 for row in rows) / len(rows) / 1000
    measured = Measured(tokens_per_answer=tokens, answers_per_second=1 / seconds)
    large = prices.price_of(LARGE)
    sources = tuple(f"{p.name}: {p.source}, {p.date}" for p in (large, *prices.hardware))
    return tuple(
        Cost(
            hardware=machine.name,
            large=large.name,
            measured=measured,
            volumes=tuple(volume_table(measured, machine, large, large_tokens=tokens)),
            break_even=break_even(measured, machine, large, large_tokens=tokens),
            published_ratio=published_ratio(prices),
            left_out="; ".join(LEFT_OUT) if not isinstance(LEFT_OUT, str) else LEFT_OUT,
            sources=sources,
        )
        for machine in prices.hardware
    )


def thousand(parts: Sequence[Part], prices: Prices) -> tuple[Thousand, ...]:
    """Dollars of a thousand answers: of our arms by machine time, of large models by the tokens of the closed book.

    A recorded model has a price where the table names its family; others are left out.
    """
    found = []
    months = [machine.monthly() for machine in prices.hardware]
    for part in parts:
        bare = next((row.tokens for row in part.rows if row.arm == "slm" and row.tokens), None)
        for row in part.rows:
            price = priced_as(row.model, prices)
            if row.usd is not None:
                usd = Range(low=row.usd / part.n * 1000, high=row.usd / part.n * 1000)
            elif row.p50_ms and months:
                share = row.p50_ms / 1000 * 1000 / (HOURS_A_MONTH * 3600)
                usd = Range(low=min(m.low for m in months) * share, high=max(m.high for m in months) * share)
            elif row.arm.startswith("llm (") and price is not None and bare:
                usd = Range(low=token_cost(price, bare, 1000), high=token_cost(price, bare, 1000))
            else:
                continue
            found.append(Thousand(part=part.name, arm=row.arm, model=row.model, right=row.rate.judged, usd=usd))
    return tuple(found)


def priced_as(model: str, prices: Prices) -> ModelPrice | None:
    """The price of a recorded model: its own, or that of GPT-4 or GPT-4 Turbo for their versions; None for others."""
    name = model.lower()
    family = model
    if "gpt-4" in name:
        family = "GPT-4 Turbo" if "turbo" in name or "1106" in name else "GPT-4"
    return next((price for price in prices.model if price.name == family), None)


def surprising(
    questions: Sequence[SuiteQuestion], records: Sequence[Record], right: Right, *, quotable: bool, count: int = 6
) -> tuple[Example, ...]:
    """The worst and the most surprising answers of slm+rag; ids alone where the texts may not be shown.

    Worst: wrong with the highest confidence. Surprising: right where the primary comparator is wrong, and wrong though
    the first passage is of a gold document.
    """
    by_id = {q.id: q for q in questions}
    ours = sorted((r for r in records if r.arm == OURS), key=lambda r: (-(r.confidence or 0.0), r.id))
    ok = right[OURS]
    wrong = [r for r in ours if not ok.get(r.id, True) and not r.abstained]
    kinds = (
        ("wrong, most confident", wrong),
        (
            "right where the large model is wrong",
            [r for r in ours if ok.get(r.id) and not right["primary"].get(r.id, True)],
        ),
        (
            "wrong with a gold document first",
            [r for r in wrong if r.passages and r.passages[0].document_id in by_id[r.id].gold_doc_ids],
        ),
    )
    shown: dict[str, Example] = {}
    for kind, found in kinds:
        for r in [r for r in found if r.id not in shown][:count]:
            q = by_id[r.id]
            shown[r.id] = Example(
                kind=kind,
                id=r.id,
                question=q.question if quotable else "",
                gold=" / ".join(q.answers[:3]) if quotable else "",
                said=r.text if quotable else "",
                cited="; ".join(f"{c.document_id} {c.start}-{c.end}: {c.quote}"[:240] for c in r.citations)
                if quotable
                else "",
                passages=", ".join(p.document_id for p in r.passages[:5]),
            )
    return tuple(shown.values())


def write(report: Report, folder: Path) -> list[Path]:
    """Write report.json, report.md and report.html; the paths."""
    from evaluation.plots import pictures

    folder.mkdir(parents=True, exist_ok=True)
    environment = _environment()
    names = {"report.json": report.model_dump_json(indent=1)}
    names["report.md"] = environment.get_template("report.md").render(report=report)
    names["report.html"] = environment.get_template("report.html").render(
        report=report, pictures=pictures(report.parts, report.costs, report.thousand)
    )
    for name, text in names.items():
        (folder / name).write_text(text.rstrip() + "\n", "utf-8")
    return [folder / name for name in names]


def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined, select_autoescape

    templates = files("evaluation").joinpath("templates")
    loader = DictLoader({name: templates.joinpath(name).read_text("utf-8") for name in ("report.md", "report.html")})
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        pct=lambda x: "–" if x is None else f"{x * 100:.1f}",
        points=lambda x: f"{x * 100:+.1f}",
        ms=lambda x: "–" if x is None else f"{x:,.0f}",
        p=lambda x: f"{x:.3f}" if x >= 0.001 else "< 0.001",
        cell=lambda x: " ".join(str(x).split()).replace("|", "\\|"),
        usd=lambda x: f"{x:,.2f}",
        num=lambda x: "–" if x is None else f"{x:g}" if x == round(x, 1) else f"{x:.1f}",
        span=lambda x: f"{x.low:,.2f}" if x.low == x.high else f"{x.low:,.2f} to {x.high:,.2f}",
    )
    return environment
