"""What a serving benchmark leaves behind: one JSON file with where and how it was measured. Knows no benchmark.

A part that is measured already is not measured again: `Results.once` returns what the file says, unless the commit or
the part's settings differ.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluation.machine import commit, hardware

FOLDER = Path(".cache/bench/serving")

Row = dict[str, Any]


class Results:
    """The file of one benchmark."""

    def __init__(self, name: str, *, fresh: bool = False) -> None:
        """`fresh`: forget what was measured before."""
        self.path = FOLDER / f"{name}.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.data: Row = {"name": name, "parts": {}}
        if not fresh and self.path.is_file():
            known = json.loads(self.path.read_text("utf-8"))
            if known.get("commit") == commit():
                self.data = known

    def once(self, part: str, settings: Row, measure: Callable[[], Row]) -> Row:
        """What `measure` gives, kept at once; from the file where the same part with the same settings stands there."""
        known = self.data["parts"].get(part)
        if known is not None and known["settings"] == settings:
            print(f"{self.data['name']}: {part} is measured already", file=sys.stderr, flush=True)
            found: Row = known["result"]
            return found
        print(f"{self.data['name']}: {part} …", file=sys.stderr, flush=True)
        result = measure()
        self.data["parts"][part] = {"settings": settings, "result": result}
        self.keep()
        return result

    def keep(self) -> None:
        """Write the file, with where, when and by which command."""
        command = " ".join(["python -m", _module(), *(_argument(word) for word in sys.argv[1:])])
        self.data |= {
            "hardware": hardware().partition(" · commit")[0],
            "commit": commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "command": command,
        }
        aside = self.path.with_suffix(".new")
        aside.write_text(json.dumps(self.data, indent=1, ensure_ascii=False) + "\n", "utf-8")
        aside.replace(self.path)


def _module() -> str:
    """The benchmark that runs, as it is called."""
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec is not None else "bench.serving"


def _argument(word: str) -> str:
    """Of a path only what it stands for: no result tells of one machine's folders."""
    return "DIR" if "/" in word else word


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile, `share` in [0, 1]; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4)


def spread(values: Sequence[float]) -> Row:
    """Median, 95th percentile, greatest and number."""
    middle = round(statistics.median(values), 4) if values else None
    most = round(max(values), 4) if values else None
    return {"p50": middle, "p95": percentile(values, 0.95), "max": most, "n": len(values)}


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and intercept of the straight line through (x, y) points with the least squares; 0 and the mean of one."""
    if len(points) < 2:
        return 0.0, points[0][1] if points else 0.0
    fit = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return fit.slope, fit.intercept


def show(title: str, rows: Sequence[Row]) -> None:
    """A table on standard output; one column a key of the first row."""
    table = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ():
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(width=150 if not sys.stdout.isatty() else None).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "–" if value is None else str(value)
