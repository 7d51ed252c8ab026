"""The pictures of the serving report, as SVG files. Knows no measurement: figures in, files out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]
_OWN, _PEER = "#2457c5", "#b4501e"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "understudy",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(folder: Path, parts: Mapping[str, Mapping[str, Row]]) -> dict[str, str]:
    """Name -> file, of those pictures that there are figures for. `parts`: benchmark to its parts' results."""
    import matplotlib as mpl

    mpl.use("svg")
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, str] = {}
    with mpl.rc_context(STYLE):
        if load := parts.get("load"):
            made["latency"] = _save(_latency(load), folder / "latency.svg")
            made["rate"] = _save(_rate(load), folder / "rate.svg")
        if soak := parts.get("soak"):
            made["memory"] = _save(_memory(soak["soak"]["memory"]), folder / "memory.svg")
        if engine := parts.get("engine"):
            made["engine"] = _save(_engine(engine["alone"]["rows"]), folder / "engine.svg")
    return made


def _figure(x: str, y: str) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _lines(load: Mapping[str, Row]) -> dict[str, list[tuple[int, Row]]]:
    """System -> (clients, figures), by clients."""
    found: dict[str, list[tuple[int, Row]]] = {}
    for name, part in load.items():
        system, _, clients = name.partition("-")
        found.setdefault(system, []).append((int(clients), part))
    return {system: sorted(rows, key=lambda row: row[0]) for system, rows in found.items()}


def _latency(load: Mapping[str, Row]) -> Figure:
    figure, axes = _figure("clients (log)", "seconds (log)")
    for system, rows in _lines(load).items():
        colour, line = (_PEER, "s--") if system == "peer" else (_OWN, "o-" if system == "ours" else "^:")
        shown = [(clients, row["first_token"]) for clients, row in rows if row["first_token"]["p95"]]
        axes.plot([c for c, _ in shown], [t["p95"] for _, t in shown], line, color=colour, label=f"{system}, p95")
        axes.plot([c for c, _ in shown], [t["p50"] for _, t in shown], line, color=colour, alpha=0.4)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_title("Time to the first token: 95th percentile, and paler the median", loc="left", fontsize=10)
    axes.legend(frameon=False)
    return figure


def _rate(load: Mapping[str, Row]) -> Figure:
    figure, axes = _figure("clients (log)", "answers a second")
    for system, rows in _lines(load).items():
        colour, line = (_PEER, "s--") if system == "peer" else (_OWN, "o-" if system == "ours" else "^:")
        axes.plot(
            [c for c, _ in rows], [row["answers_per_second"] for _, row in rows], line, color=colour, label=system
        )
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def _memory(points: Sequence[Sequence[float]]) -> Figure:
    figure, axes = _figure("minutes at twice the saturation", "MB")
    axes.plot([at / 60 for at, _ in points], [used for _, used in points], color=_OWN)
    axes.set_ylim(bottom=0)
    return figure


def _engine(rows: Sequence[Row]) -> Figure:
    figure, axes = _figure("sequences", "tokens a second")
    axes.plot([row["sequences"] for row in rows], [row["bare"] for row in rows], "s--", color=_PEER, label="bare loop")
    axes.plot([row["sequences"] for row in rows], [row["engine"] for row in rows], "o-", color=_OWN, label="engine")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def _save(figure: Figure, path: Path) -> str:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    text = path.read_text("utf-8")
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", "utf-8")
    return path.name
