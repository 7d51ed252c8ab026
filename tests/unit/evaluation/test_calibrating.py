"""Confidence fitted on one run and checked on another: made-up signals with a known truth."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from evaluation.calibrating import LEAST, added, check, fit, trusted
from evaluation.finished import Finished
from evaluation.judge import shipped_judge
from evaluation.records import Declared, Record
from evaluation.suites import Suite, SuiteQuestion, Use
from rag.errors import InvalidCorpus


def run(seed: int, *, n: int = 160, basis: str = "span", model: str = "m") -> Finished:
    """Half the answers right where `span` is high; a quarter of the questions is out of corpus, with low ones."""
    rng = random.Random(seed)
    questions, records = [], []
    for i in range(n):
        outside = i % 4 == 0
        strength = rng.gauss(-3 if outside else 0, 1)
        right = not outside and strength + rng.gauss(0, 0.5) > -0.5
        questions.append(
            SuiteQuestion(
                id=str(i),
                question=f"In which year was gate {i} built?",
                answers=() if outside else ("1901",),
                use=Use.OUT_OF_CORPUS if outside else Use.ANSWERABLE,
                file="q",
                line=i + 1,
            )
        )
        text = "It was built in 1901." if right else "It was painted blue."
        signals = {"span": strength, "noise": rng.gauss(0, 1)}
        records.append(Record(id=str(i), arm="slm+rag", text=text, basis=basis, signals=signals))
    declared = Declared(
        suite="s", suite_sha256="0", domain="d", arms=("slm+rag",), questions=tuple(q.id for q in questions), of=n,
        seed=0, margin=0.05, primary={}, model=model, model_fingerprint=model, embedder_fingerprint="e",
        generation="g1", code="c", hardware="h", date=f"2026-11-2{seed % 10}",
    )  # fmt: skip
    suite = Suite(name="s", root="", questions=tuple(questions))
    return Finished(Path("run"), declared, records, suite, questions, {q.id: q for q in questions})


def test_the_threshold_refuses_no_more_than_stated_and_most_of_what_has_no_answer() -> None:
    judge = shipped_judge()
    fitted = fit([run(1)], judge, max_refused=0.1, weights="w", for_any_domain=False)
    one = fitted.fits["span"]
    assert one.weights["span"] > 5 * abs(one.weights["noise"])
    assert 0.0 < one.threshold < 1.0
    assert (fitted.generation, fitted.weights, fitted.n) == ("g1", "w", 160)
    own = check(fitted, [run(1)], judge)
    assert own.refused <= 0.1
    other = check(fitted, [run(2)], judge)
    assert (other.answerable, other.out_of_corpus) == (120, 40)
    assert other.refused < 0.2
    assert other.refused_out_of_corpus > 0.8
    assert other.calibration_error < 0.15


def test_a_signal_that_hardly_ever_differs_gets_no_weight() -> None:
    def with_support(low: int) -> float:
        asked = run(1)
        wrong = [r for r in asked.records if "painted" in r.text][:low]
        records = [
            r.model_copy(update={"signals": {**r.signals, "support": 0.8 if r in wrong else 1.0}})
            for r in asked.records
        ]
        made = dataclasses.replace(asked, records=records)
        fitted = fit([made], shipped_judge(), max_refused=0.1, weights="w", for_any_domain=True)
        return fitted.fits["span"].weights["support"]

    assert with_support(4) == 0.0, "one in forty: what happens to be wrong about four answers holds of no other"
    assert with_support(24) > 0.0


def test_several_runs_bring_several_kinds_of_answers() -> None:
    fitted = fit([run(1), run(3, basis="quote")], shipped_judge(), max_refused=0.1, weights="w", for_any_domain=True)
    assert set(fitted.fits) == {"span", "quote"}
    assert fitted.generation == ""
    assert fitted.date == "2026-11-23"


def test_too_few_answers_or_runs_of_other_models_are_refused() -> None:
    judge = shipped_judge()
    with pytest.raises(InvalidCorpus, match="MIN_CONFIDENCE=0"):
        fit([run(1, n=LEAST - 2)], judge, max_refused=0.1, weights="w", for_any_domain=True)
    with pytest.raises(InvalidCorpus, match="apart"):
        fit([run(1), run(2, model="other")], judge, max_refused=0.1, weights="w", for_any_domain=True)


def test_answers_of_given_options_have_a_confidence_and_no_threshold() -> None:
    fitted = fit([run(1, basis="option")], shipped_judge(), max_refused=0.3, weights="w", for_any_domain=True)
    assert fitted.fits["option"].threshold == 0.0
    assert fitted.fits["option"].weights["span"] > 0.5


def test_whether_a_confidence_means_what_it_says_is_told_by_basis() -> None:
    judge = shipped_judge()
    fitted = fit([run(1), run(3, basis="quote")], judge, max_refused=0.1, weights="w", for_any_domain=True)
    held = trusted(fitted, [run(2), run(4, basis="quote"), run(5, basis="model")], judge)
    assert set(held) == {"span", "quote"}
    for basis in held.values():
        assert basis.n == 160
        assert basis.confidence == pytest.approx(basis.right, abs=0.1)
        assert basis.calibration_error < 0.15


def test_fits_of_other_bases_are_kept_where_the_weights_are_the_same() -> None:
    judge = shipped_judge()
    spans = fit([run(1)], judge, max_refused=0.1, weights="w", for_any_domain=True)
    quotes = fit([run(3, basis="quote")], judge, max_refused=0.1, weights="w", for_any_domain=True)
    both = added(spans, quotes)
    assert both.fits == {**spans.fits, **quotes.fits}
    assert both.n == spans.n + quotes.n
    assert added(None, quotes) == quotes
    assert added(spans.model_copy(update={"weights": "other"}), quotes) == quotes
