"""How often the judge agrees with people, by answering system, on answers it was not fitted on.

NQ: cross-validation by question, and again with the answering system left out of the fit as well. FinanceBench: the
shipped judge, which was fitted on no answer of it. Rates: what the judge calls correct less what people call correct.
Exits with 1 when agreement on NQ is under 90.7% or a system's rate is off by more than 3 points.

    python -m bench.judge --suites DIR [--json]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.fit_judge import Labelled, cross_validated, errors_by_style, labelled_answers, rarity_of
from evaluation.judge import load_judge
from evaluation.machine import hardware
from evaluation.rates import score_rate
from evaluation.suites import Suite, read_suite

AGREEMENT, OFF = 0.907, 0.03


def by_system(data: Labelled, called: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Agreement and rates of all answers, then of each system."""
    systems = np.array(data.systems)
    rows = []
    for system in ["all", *sorted(set(data.systems))]:
        mine = systems == system if system != "all" else np.ones(len(systems), dtype=bool)
        rows.append(
            {
                "system": system,
                "answers": int(mine.sum()),
                "agreement": float((called == data.correct)[mine].mean()),
                "human_rate": float(data.correct[mine].mean()),
                "judged_rate": float(called[mine].mean()),
            }
        )
    return rows


def finance(suite: Suite) -> list[dict[str, Any]]:
    """Agreement of the shipped judge on every recorded configuration of FinanceBench, corrected rates beside it."""
    judge = load_judge()
    questions = {question.id: question for question in suite.questions}
    groups: dict[str, list[tuple[bool, Any, str]]] = {}
    for row in suite.recorded:
        if row.correct is not None:
            question = questions[row.id]
            judged = judge.judge(question.question, question.answers, row.answer)
            groups.setdefault(f"{row.model} {row.setting}", []).append((row.correct, judged, question.cluster))
    every = [item for group in groups.values() for item in group]
    rows = []
    for system, items in [("all", every), *sorted(groups.items())]:
        rate = score_rate([i[1] for i in items], judge.fitted.errors, clusters=[i[2] for i in items], resamples=2000)
        rows.append(
            {
                "system": system,
                "answers": len(items),
                "agreement": sum(human == judged.correct for human, judged, _ in items) / len(items),
                "human_rate": sum(human for human, _, _ in items) / len(items),
                "judged_rate": rate.judged,
            }
        )
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print one table."""
    print(f"\n{title}\n  answers  agreement %  people %  judge %   off  system")
    for row in rows:
        off = 100 * (row["judged_rate"] - row["human_rate"])
        print(
            f"  {row['answers']:7d}  {100 * row['agreement']:11.1f}  {100 * row['human_rate']:8.1f}  "
            f"{100 * row['judged_rate']:7.1f}  {off:+4.1f}  {row['system']}"
        )


def main() -> int:
    """Print the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    suite = Path(arguments.suites) / "nq_evouna"
    data = labelled_answers(suite, rarity_of(suite / "corpus.jsonl"))
    seen, unseen = (cross_validated(data, leave_out_system=left) >= 0.5 for left in (False, True))
    result = {
        "hardware": hardware(),
        "nq_cross_validated": by_system(data, seen),
        "nq_system_left_out": by_system(data, unseen),
        "financebench": finance(read_suite(Path(arguments.suites) / "financebench")[0]),
        "errors": {
            style: {"sensitivity": error.sensitivity, "specificity": error.specificity}
            for style, error in errors_by_style(data.answers, data.correct, seen).items()
        },
    }
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        print(result["hardware"])
        show("NQ, folds by question", by_system(data, seen))
        show("NQ, folds by question, the answering system left out of the fit", by_system(data, unseen))
        show("FinanceBench, the shipped judge", finance(read_suite(Path(arguments.suites) / "financebench")[0]))
        print(json.dumps(result["errors"], indent=1))
    rows = [*by_system(data, seen), *by_system(data, unseen)]
    bad = [row for row in rows if abs(row["judged_rate"] - row["human_rate"]) > OFF]
    return 1 if bad or rows[0]["agreement"] < AGREEMENT else 0


if __name__ == "__main__":
    raise SystemExit(main())
