"""The pictures of a report, as SVG to be put into the page. Knows no model; colours follow the page's by CSS."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evaluation.scoring import OURS, Part

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.report import Cost, Thousand

_OWN, _RECORDED, _CONTROL = "#2457c5", "#b4501e", "#777777"
_INK = "#010203"
"""Replaced by `currentColor`, so that text and axes are light on a dark page."""


def pictures(parts: Sequence[Part], costs: Sequence[Cost] = (), thousand: Sequence[Thousand] = ()) -> dict[str, str]:
    """Name -> SVG: accuracy, pareto, price, retrieval, risk, split, cascade, cost; only those there is data for."""
    import matplotlib as mpl

    mpl.use("svg")
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "understudy",
        "text.color": _INK,
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "font.family": "sans-serif",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    made: dict[str, str] = {}
    with mpl.rc_context(settings):
        made["accuracy"] = _svg(_accuracy(parts), "Accuracy of every arm with its 95% interval")
        if any(row.p50_ms for part in parts for row in part.rows):
            made["pareto"] = _svg(_pareto(parts), "Accuracy against the median time of an answer")
        if any(part.risk for part in parts):
            made["risk"] = _svg(_risk(parts), "Share of wrong answers among those kept, by coverage")
        if thousand:
            made["price"] = _svg(_price(thousand), "Accuracy against what a thousand answers cost")
        if any(part.retrieval for part in parts):
            made["retrieval"] = _svg(_retrieval(parts), "Share of questions with a gold document found, by depth")
        if any(row.split for part in parts for row in part.rows):
            made["split"] = _svg(_split(parts), "What became of the questions, of every arm that cites")
        if costs:
            made["cost"] = _svg(_cost(costs), "Dollars a month by queries a month, with the break-even")
        if any(part.cascade for part in parts):
            made["cascade"] = _svg(_cascade(parts), "Accuracy when the least confident answers escalate")
    return made


def _accuracy(parts: Sequence[Part]) -> Figure:
    from matplotlib.figure import Figure

    rows = sum(len(part.rows) for part in parts)
    figure = Figure(figsize=(6.6, 0.9 * len(parts) + 0.3 * rows), layout="constrained")
    axes = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[len(part.rows) for part in parts])[:, 0]
    for ax, part in zip(axes, parts, strict=True):
        ordered = sorted(part.rows, key=lambda row: row.rate.corrected)
        for place, row in enumerate(ordered):
            own = row.arm.startswith("slm")
            colour = _OWN if own else _CONTROL if row.arm in {"majority", "overlap"} else _RECORDED
            rate = row.rate
            ax.plot([rate.low * 100, rate.high * 100], [place, place], color=colour, linewidth=2)
            ax.plot(rate.corrected * 100, place, marker="o" if own else "s", color=colour)
        ax.set_yticks(range(len(ordered)), [f"{row.arm} · {row.model}"[:60] for row in ordered])
        ax.set_xlim(0, 100)
        ax.set_title(f"{part.name} (n = {part.n})", loc="left", fontsize=10)
    axes[-1].set_xlabel("% right, corrected for the judge's error")
    return figure


def _pareto(parts: Sequence[Part]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 4), layout="constrained")
    ax = figure.subplots()
    for part in parts:
        points = [(row.p50_ms, row.rate.judged * 100, row.arm) for row in part.rows if row.p50_ms]
        ax.scatter([x for x, _, _ in points], [y for _, y, _ in points], label=part.name)
        for x, y, arm in points:
            ax.annotate(arm, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    ax.set_xscale("log")
    ax.set_xlabel("milliseconds of the median answer (log)")
    ax.set_ylabel("% right, as judged")
    ax.legend(frameon=False)
    return figure


def _price(thousand: Sequence[Thousand]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 4), layout="constrained")
    ax = figure.subplots()
    for part in dict.fromkeys(row.part for row in thousand):
        rows = [row for row in thousand if row.part == part]
        middle = [(row.usd.low * row.usd.high) ** 0.5 for row in rows]
        errors = [
            [m - row.usd.low for m, row in zip(middle, rows, strict=True)],
            [row.usd.high - m for m, row in zip(middle, rows, strict=True)],
        ]
        ax.errorbar(middle, [row.right * 100 for row in rows], xerr=errors, fmt="o", label=part)
        for m, row in zip(middle, rows, strict=True):
            name = row.model if row.arm.startswith("llm") else row.arm
            ax.annotate(name, (m, row.right * 100), textcoords="offset points", xytext=(4, 4), fontsize=8)
    ax.set_xscale("log")
    ax.set_xlabel("$ a thousand answers (log): ours on a busy machine, large ones by the token")
    ax.set_ylabel("% right, as judged")
    ax.legend(frameon=False)
    return figure


def _retrieval(parts: Sequence[Part]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 3.5), layout="constrained")
    ax = figure.subplots()
    for part in parts:
        if part.retrieval:
            depths = [int(k) for k in part.retrieval]
            (line,) = ax.plot(
                depths, [m["hit"] * 100 for m in part.retrieval.values()], "o-", label=f"{part.name}, hit"
            )
            ndcg = [m["ndcg"] * 100 for m in part.retrieval.values()]
            ax.plot(depths, ndcg, "s--", color=line.get_color(), label=f"{part.name}, nDCG")
    ax.set_xlabel("passages looked at (k)")
    ax.set_ylabel("%")
    ax.set_ylim(0, 101)
    ax.legend(frameon=False)
    return figure


def _split(parts: Sequence[Part]) -> Figure:
    from matplotlib.figure import Figure

    rows = [(f"{part.name} · {row.arm}", row.split) for part in parts for row in part.rows if row.split]
    figure = Figure(figsize=(6.6, 1.2 + 0.45 * len(rows)), layout="constrained")
    ax = figure.subplots()
    left = [0.0] * len(rows)
    colours = ("#2457c5", "#7ea2e6", "#b4501e", "#e0a98c", "#4a8f5c", "#999999")
    for name, colour in zip(rows[0][1], colours, strict=True):
        shares = [split[name] * 100 for _, split in rows]
        ax.barh(range(len(rows)), shares, left=left, color=colour, label=name)
        left = [a + b for a, b in zip(left, shares, strict=True)]
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    ax.set_xlabel("% of questions")
    ax.set_xlim(0, 100)
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    return figure


def _cost(costs: Sequence[Cost]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 4), layout="constrained")
    ax = figure.subplots()
    queries = [v.queries for v in costs[0].volumes]
    ax.plot(
        queries, [v.large for v in costs[0].volumes], "s-", color=_RECORDED, label=f"{costs[0].large}, by the token"
    )
    for cost, style in zip(costs, ("-", "--", ":", "-."), strict=False):
        low, high = [v.ours.low for v in cost.volumes], [v.ours.high for v in cost.volumes]
        ax.fill_between(queries, low, high, alpha=0.2, color=_OWN)
        ax.plot(queries, high, style, color=_OWN, label=f"ours, {cost.hardware}")
        if cost.break_even:
            ax.axvspan(cost.break_even.low, cost.break_even.high, alpha=0.12, color=_CONTROL)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("queries a month (log); grey: where ours begins to cost less")
    ax.set_ylabel("$ a month (log)")
    ax.legend(frameon=False)
    return figure


def _risk(parts: Sequence[Part]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 3.5), layout="constrained")
    ax = figure.subplots()
    for part in parts:
        if part.risk:
            coverage = [c * 100 for c in part.risk.coverage]
            ax.plot(coverage, [r * 100 for r in part.risk.risk], label=f"{part.name}, AURC {part.aurc:.3f}")
    ax.set_xlabel("% of questions answered, most confident first")
    ax.set_ylabel("% wrong among them")
    ax.legend(frameon=False)
    return figure


def _cascade(parts: Sequence[Part]) -> Figure:
    from matplotlib.figure import Figure

    drawn = [part for part in parts if part.cascade]
    figure = Figure(figsize=(6.6, 3.2 * len(drawn)), layout="constrained")
    for ax, part in zip(figure.subplots(len(drawn), 1, squeeze=False)[:, 0], drawn, strict=True):
        share = [row[0] * 100 for row in part.cascade]
        for column, label, style in (
            (1, f"least confident of {OURS}", "-"),
            (2, "at random", "--"),
            (3, "oracle", ":"),
        ):
            ax.plot(share, [row[column] * 100 for row in part.cascade], style, label=label)
        ax.set_title(part.name, loc="left", fontsize=10)
        ax.set_xlabel("% of questions that go to the recorded large model")
        ax.set_ylabel("% right, as judged")
        ax.legend(frameon=False)
    return figure


def _svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element with a title for screen readers, ids of its own, no date and no fixed size."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'(?<= )(?:width|height)="[\d.]+pt" ?', "", svg, count=2)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
