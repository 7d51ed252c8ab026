"""Fits the judge on the human labels of `nq_evouna` and writes `evaluation/judge.json`. Needs scikit-learn.

Only the public answers with labels of the suite's own annotators are used; the two `openqaeval` files were judged by
others and stay out, as do questions that the suite excludes as improper. FinanceBench is read for validation only.

    python -m evaluation.fit_judge --suites DIR [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.answers import tokens
from evaluation.judge import SHIPPED, Fitted, StyleError, style_of
from evaluation.judge_features import VERSION, features

Floats = NDArray[np.float64]
STRENGTH = 0.1
"""Inverse of the L2 penalty. Agreement in cross-validation: 93.5 at 0.01, 93.7 at 0.04, 93.8 at 0.1 to 0.6."""
FOLDS = 10
COMMON_WORDS = 2500


@dataclass(frozen=True)
class Labelled:
    """Answers with human labels: one row an answer."""

    questions: tuple[str, ...]
    systems: tuple[str, ...]
    answers: tuple[str, ...]
    correct: NDArray[np.bool_]
    vectors: Floats
    names: tuple[str, ...]


def rarity_of(corpus: Path) -> dict[str, float]:
    """Weight of the commonest stems of a corpus: log inverse document frequency, 1 for one in 8 documents or fewer."""
    counts: Counter[str] = Counter()
    documents = 0
    with corpus.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            counts.update(set(tokens(row["title"] + " " + row["text"])))
            documents += 1
    top = math.log(max(documents, 16) / 8)
    common = [(word, count) for word, count in counts.most_common(COMMON_WORDS) if count >= 8]
    return {word: round(min(1.0, max(0.1, math.log(documents / count) / top)), 2) for word, count in common}


def labelled_answers(suite: Path, rarity: dict[str, float]) -> Labelled:
    """Every answer of a suite with a human label, with its features; improper questions left out."""
    rows = {row["id"]: row for row in _jsonl(suite / "questions.jsonl") if row.get("use") != "excluded_improper"}
    questions, systems, answers, correct, vectors = [], [], [], [], []
    names: tuple[str, ...] = ()
    for path in sorted((suite / "baselines").glob("*.jsonl")):
        if "openqaeval" in path.name:
            continue
        for row in _jsonl(path):
            question = rows.get(row["id"])
            if question is None or row["correct"] is None:
                continue
            answer = row["answer"] or ""
            vector = features(question["question"], question["answers"], answer, rarity)
            names = tuple(vector)
            questions.append(row["id"])
            systems.append(path.stem)
            answers.append(answer)
            correct.append(row["correct"])
            vectors.append(list(vector.values()))
    return Labelled(tuple(questions), tuple(systems), tuple(answers), np.array(correct), np.array(vectors), names)


def _jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


@dataclass(frozen=True)
class Model:
    """A fitted logistic regression on clipped, standardised features."""

    low: Floats
    high: Floats
    mean: Floats
    scale: Floats
    coefficients: Floats
    intercept: float

    def probabilities(self, x: Floats) -> Floats:
        """(n, d) features -> (n,) probability of correct."""
        z = (np.clip(x, self.low, self.high) - self.mean) / self.scale
        return np.asarray(1.0 / (1.0 + np.exp(-(z @ self.coefficients + self.intercept))), dtype=np.float64)


def fit(x: Floats, correct: NDArray[np.bool_]) -> Model:
    """Fit on (n, d) features and (n,) labels."""
    from sklearn.linear_model import LogisticRegression  # needed at fitting time only

    low, high = np.percentile(x, [0.5, 99.5], axis=0)
    clipped = np.clip(x, low, high)
    mean, scale = clipped.mean(axis=0), clipped.std(axis=0)
    scale = np.where(scale < 1e-9, 1.0, scale)
    regression = LogisticRegression(C=STRENGTH, max_iter=3000).fit((clipped - mean) / scale, correct)
    return Model(low, high, mean, scale, regression.coef_[0], float(regression.intercept_[0]))


def cross_validated(data: Labelled, *, leave_out_system: bool, seed: int = 0) -> Floats:
    """(n,) probability of each answer by a model that saw neither its question nor, if asked, its system."""
    ids = sorted(set(data.questions))
    order = np.random.default_rng(seed).permutation(len(ids))
    fold_of = {ids[i]: int(place) % FOLDS for place, i in enumerate(order)}
    folds = np.array([fold_of[question] for question in data.questions])
    systems = np.array(data.systems)
    out = np.zeros(len(folds))
    for system in sorted(set(data.systems)) if leave_out_system else [""]:
        mine = systems == system if system else np.ones(len(folds), dtype=bool)
        for fold in range(FOLDS):
            train = (folds != fold) & (~mine if system else True)
            held = (folds == fold) & mine
            out[held] = fit(data.vectors[train], data.correct[train]).probabilities(data.vectors[held])
    return out


def errors_by_style(
    answers: Sequence[str], correct: NDArray[np.bool_], called: NDArray[np.bool_]
) -> dict[str, StyleError]:
    """The judge's hits and misses by answer style."""
    styles = np.array([style_of(answer) for answer in answers])
    return {
        str(style): StyleError(
            correct=int((correct & (styles == style)).sum()),
            correct_found=int((correct & called & (styles == style)).sum()),
            wrong=int((~correct & (styles == style)).sum()),
            wrong_found=int((~correct & ~called & (styles == style)).sum()),
        )
        for style in ("short", "sentence", "long")
    }


def fitted_judge(suites: Path) -> Fitted:
    """Fit on all labels; the errors come from cross-validation, never from the fit itself."""
    suite = suites / "nq_evouna"
    rarity = rarity_of(suite / "corpus.jsonl")
    data = labelled_answers(suite, rarity)
    seen = cross_validated(data, leave_out_system=False) >= 0.5
    unseen = cross_validated(data, leave_out_system=True) >= 0.5
    model = fit(data.vectors, data.correct)
    short = [tuple(float(f"{value:.6g}") for value in column) for column in
             (model.low, model.high, model.mean, model.scale, model.coefficients)]  # fmt: skip
    return Fitted(
        version=VERSION,
        features=data.names,
        low=short[0],
        high=short[1],
        mean=short[2],
        scale=short[3],
        coefficients=short[4],
        intercept=float(f"{model.intercept:.6g}"),
        rarity=rarity,
        errors=errors_by_style(data.answers, data.correct, seen),
        errors_left_out=errors_by_style(data.answers, data.correct, unseen),
        fitted_on=f"nq_evouna: {len(data.answers)} answers of {len(set(data.systems))} systems to "
        f"{len(set(data.questions))} questions, labels of EVOUNA (arXiv:2305.12421)",
    )


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    fitted = fitted_judge(Path(arguments.suites))
    arguments.out.write_text(json.dumps(fitted.model_dump(), separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
