"""The reports of several runs as one table: suite by arm, each recorded model, the verdict. Pure; no pooled number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from evaluation.report import Report
from evaluation.scoring import OURS
from rag.errors import InvalidCorpus


def read_reports(folder: Path) -> list[tuple[str, Report]]:
    """(folder's name, report) of every report.json one level below. Raises InvalidCorpus where there is none."""
    found = []
    for path in sorted(folder.glob("*/report.json")):
        try:
            found.append((path.parent.name, Report.model_validate_json(path.read_bytes())))
        except ValidationError as error:
            raise InvalidCorpus(f"{path} is no report of this version ({error.error_count()} bad fields)") from None
    if not found:
        raise InvalidCorpus(f"{folder} holds no report: `make report SUITES=DIR` makes them")
    return found


def summary(reports: Sequence[tuple[str, Report]]) -> str:
    """A Markdown page: what was found, the main table, and how each suite was asked."""
    lines = ["# Small model with retrieval against large models without", ""]
    lines += [
        "Made by `make report SUITES=DIR`; each suite has its own report in its folder. Nothing is pooled over suites.",
        "",
    ]
    for name, report in reports:
        lines += [f"- [{name}]({name}/report.md): {said}" for said in report.sentences]
    lines += [
        "",
        "| suite | arm | system | n | right, judged % | corrected % (95%) | grounded % | macro-F1 % | p50 ms |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for _, report in reports:
        for part in report.parts:
            for row in part.rows:
                bold = "**" if row.arm == OURS else ""
                cells = [
                    part.name,
                    f"{bold}{row.arm}{bold}",
                    row.model,
                    str(part.n),
                    f"{bold}{row.rate.judged * 100:.1f}{bold}",
                    f"{row.rate.corrected * 100:.1f} ({row.rate.low * 100:.1f} to {row.rate.high * 100:.1f})",
                    *("–" if x is None else f"{x * 100:.1f}" for x in (row.grounded, row.macro_f1)),
                    "–" if row.p50_ms is None else f"{row.p50_ms:,.0f}",
                ]
                lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| suite | slm+rag against | difference, points (95%) | margin | verdict | corrected |",
        "|---|---|---|---|---|---|",
    ]
    for _, report in reports:
        for part in report.parts:
            for c in part.comparisons:
                d = c.difference
                against = f"{'**primary** ' if c.primary else ''}{c.model}, {c.arm}"
                points = f"{d.estimate * 100:+.1f} ({d.low * 100:+.1f} to {d.high * 100:+.1f})"
                margin = f"{report.declared.margin * 100:.0f}"
                lines.append(f"| {part.name} | {against} | {points} | {margin} | {c.verdict} | {c.shifted} |")
    lines += [
        "",
        "Recorded systems' answers were given elsewhere; their latency is not known here. How each suite was asked:",
        "",
    ]
    for name, report in reports:
        said = report.declared
        lines.append(
            f"- {name}: {len(said.questions)} of {said.of} questions (seed {said.seed}), model {said.model}, code "
            f"{said.code}, {said.date}, {said.hardware}."
        )
    return "\n".join(lines) + "\n"
