"""Do the intervals hold what they say? Simulated suites with known truth: coverage and false "competes".

Two systems answer n questions in clusters of 1 to 3 that share a difficulty; accuracies, the correlation of the two
systems and of questions within a cluster are set, so the true difference is known exactly. Coverage: share of 95%
intervals that hold it. False "competes": share of verdicts "competes" or "wins" where the truth lies exactly on the
margin; false "wins": where it is 0. The declared one-sided error is 5%. Exits with 1 when coverage leaves 93-97% or
false "competes" passes 5% by more than the simulation's own error.

    python -m bench.statistics [--simulations N] [--resamples N] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.machine import hardware
from evaluation.statistics import Verdict, paired_difference, verdict

MARGINS = {50: 0.10, 200: 0.05, 1000: 0.05}
"""Margin by number of questions, as declared for the suites: 10 points for FinanceBench's 50, else 5."""
SETTINGS = ((0.5, 0.2, 0.0), (0.5, 0.5, 0.5), (0.75, 0.3, 0.3), (0.75, 0.6, 0.6), (0.9, 0.3, 0.3), (0.15, 0.5, 0.3))
"""Accuracy of the comparator, correlation of the two systems, correlation within a cluster (of the latent normals)."""


def simulate(
    n: int, ours: float, theirs: float, *, pair: float, within: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """One suite: (n,) outcomes of both systems, and the cluster of each question."""
    sizes = generator.integers(1, 4, size=n)
    clusters = np.repeat(np.arange(n), sizes)[:n]
    shared = generator.standard_normal((2, n))[:, clusters]  # of a cluster: of both systems, and of each alone
    own = generator.standard_normal((2, n))
    outcomes = []
    both = math.sqrt(within) * shared[0] + math.sqrt(1 - within) * generator.standard_normal(n)
    for k, rate in enumerate((ours, theirs)):
        alone = math.sqrt(within) * generator.standard_normal(n)[clusters] + math.sqrt(1 - within) * own[k]
        latent = math.sqrt(pair) * both + math.sqrt(1 - pair) * alone
        outcomes.append((latent < NormalDist().inv_cdf(rate)).astype(np.float64))
    return outcomes[0], outcomes[1], [str(c) for c in clusters]


def measure(n: int, setting: tuple[float, float, float], *, simulations: int, resamples: int) -> dict[str, Any]:
    """One row of the table."""
    margin = MARGINS[n]
    theirs, pair, within = setting
    generator = np.random.default_rng(n)
    held = competes = wins = 0
    at_margin = max(0.02, theirs - margin)
    for _ in range(simulations):
        a, b, clusters = simulate(n, theirs, theirs, pair=pair, within=within, generator=generator)
        difference = paired_difference(a, b, clusters, resamples=resamples)
        held += difference.low <= 0.0 <= difference.high
        wins += verdict(difference, margin=margin) is Verdict.WINS
        a, b, clusters = simulate(n, at_margin, theirs, pair=pair, within=within, generator=generator)
        difference = paired_difference(a, b, clusters, resamples=1)  # verdicts need no bootstrap
        competes += verdict(difference, margin=theirs - at_margin) in (Verdict.COMPETES, Verdict.WINS)
    return {
        "n": n,
        "accuracy": theirs,
        "pair_correlation": pair,
        "within_cluster": within,
        "coverage": held / simulations,
        "false_competes": competes / simulations,
        "false_wins": wins / simulations,
    }


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=999)
    parser.add_argument("--sizes", type=int, nargs="+", default=sorted(MARGINS), choices=sorted(MARGINS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [
        measure(n, setting, simulations=arguments.simulations, resamples=arguments.resamples)
        for n in arguments.sizes
        for setting in SETTINGS
    ]
    error = 1.96 * math.sqrt(0.05 * 0.95 / arguments.simulations)
    failed = [
        row
        for row in rows
        if not 0.93 - error <= row["coverage"] <= 0.97 + error or row["false_competes"] > 0.05 + error
    ]
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "simulations": arguments.simulations, "rows": rows}, indent=1))
    else:
        print(f"{hardware()} · {arguments.simulations} simulations a row, error ±{100 * error:.1f} points")
        print("    n  accuracy  pair  within  coverage %  false competes %  false wins %")
        for row in rows:
            print(
                f"{row['n']:5d}  {row['accuracy']:8.2f}  {row['pair_correlation']:4.1f}  {row['within_cluster']:6.1f}  "
                f"{100 * row['coverage']:10.1f}  "
                f"{100 * row['false_competes']:16.1f}  {100 * row['false_wins']:12.1f}"
            )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
