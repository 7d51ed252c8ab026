"""Fits the confidence of a domain's answers on some runs, and checks it on another. Asks no model.

A run that is fitted on was made with `UNDERSTUDY_ANSWER__MIN_CONFIDENCE=0`, so that every question got the best
answer there is. The weights are those of a logistic regression with a small penalty on the standardised signals; the
threshold is the highest that refuses no more of the answerable questions than the stated share. An answer of given
options has a confidence and no threshold: who gives options wants one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from evaluation.finished import Finished
from evaluation.judge import Judge
from evaluation.judging import own_answer
from evaluation.metrics.abstention import calibration_error
from evaluation.records import Record
from evaluation.suites import Use
from rag.calibration import Calibration, Checked, Fit, Trusted
from rag.errors import InvalidCorpus

ARM = "slm+rag"
LEAST = 30
"""Answers of one basis that a fit takes at least."""
ALWAYS_GIVEN = frozenset({"option"})
"""Bases whose answers no threshold keeps back."""
SAME = 0.1
"""A signal that is the same in all answers but this share gets no weight: the few exceptions would set it."""
PENALTY = 1.0
"""Of the squared standardised weights, in answers."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, whether it is right, and whether its question has an answer."""

    basis: str
    signals: dict[str, float]
    right: bool
    answerable: bool
    given: bool


def cases(run: Finished, judge: Judge) -> list[Case]:
    """The answers of `slm+rag` as the judge sees them."""
    questions = {question.id: question for question in run.questions}
    return [
        Case(
            basis=record.basis,
            signals=record.signals,
            right=own_answer(questions[record.id], record, judge).judgement.correct and not record.abstained,
            answerable=questions[record.id].use is Use.ANSWERABLE,
            given=not record.abstained,
        )
        for record in _ours(run)
    ]


def fit(
    runs: Sequence[Finished], judge: Judge, *, max_refused: float, weights: str, for_any_domain: bool
) -> Calibration:
    """Fit every basis that has answers enough. Raises InvalidCorpus where none has, or where the runs do not match.

    runs: of one model and embedder, and of one domain unless the fit is for any; several where settings or questions
        bring out several kinds of answers
    """
    first = runs[0].declared
    for run in runs[1:]:
        if _asked(run)[for_any_domain:] != _asked(runs[0])[for_any_domain:]:
            raise InvalidCorpus(f"{run.folder} and {runs[0].folder} asked other domains or models: fit them apart")
    found = [cases(run, judge) for run in runs]
    fits: dict[str, Fit] = {}
    for basis in sorted({case.basis for part in found for case in part if case.signals and case.given}):
        parts = [part for part in found if sum(case.basis == basis for case in part) >= LEAST]
        own = [case for part in parts for case in part if case.basis == basis and case.signals]
        if own and len({case.right for case in own}) == 2:
            silent = _silent([case for part in parts for case in part])
            found_fit = fit_cases(own, max_refused, silent=silent)
            fits[basis] = found_fit.model_copy(update={"threshold": 0.0}) if basis in ALWAYS_GIVEN else found_fit
    if not fits:
        raise InvalidCorpus(
            f"no kind of answer stands in {runs[0].folder} {LEAST} times, right and wrong: ask more questions, with "
            "UNDERSTUDY_ANSWER__MIN_CONFIDENCE=0"
        )
    return Calibration(
        fits=fits,
        max_refused=max_refused,
        n=sum(case.basis in fits for part in found for case in part),
        suite=", ".join(dict.fromkeys(run.declared.suite for run in runs)),
        date=max(run.declared.date for run in runs),
        weights=weights,
        embedder=first.embedder_fingerprint,
        generation="" if for_any_domain else first.generation,
    )


def _asked(run: Finished) -> tuple[tuple[str, str], str, str]:
    declared = run.declared
    return (declared.domain, declared.generation), declared.model_fingerprint, declared.embedder_fingerprint


def added(before: Calibration | None, fitted: Calibration) -> Calibration:
    """The new fits beside those of other bases that were made on the same weights before, whose check stays."""
    if before is None or (before.weights, before.embedder) != (fitted.weights, fitted.embedder):
        return fitted
    return fitted.model_copy(
        update={
            "fits": {**before.fits, **fitted.fits},
            "n": fitted.n + before.n,
            "suite": ", ".join(dict.fromkeys(f"{before.suite}, {fitted.suite}".split(", "))),
            "checked": before.checked or fitted.checked,
            "trusted": {**before.trusted, **fitted.trusted},
        }
    )


def trusted(calibration: Calibration, runs: Sequence[Finished], judge: Judge) -> dict[str, Trusted]:
    """By basis, whether the confidence means what it says, over runs that were made without thresholds."""
    found: dict[str, list[tuple[float, bool]]] = {}
    for case in (case for run in runs for case in cases(run, judge)):
        fitted = calibration.fits.get(case.basis)
        if fitted and case.given:
            found.setdefault(case.basis, []).append((fitted.confidence(case.signals), case.right))
    return {
        basis: Trusted(
            n=len(pairs),
            right=sum(right for _, right in pairs) / len(pairs),
            confidence=sum(trust for trust, _ in pairs) / len(pairs),
            calibration_error=calibration_error(*map(list, zip(*pairs, strict=True))),
        )
        for basis, pairs in sorted(found.items())
    }


def check(calibration: Calibration, runs: Sequence[Finished], judge: Judge) -> Checked:
    """What the thresholds do to runs that were made without them."""
    given, refused, outside, silent = [], 0, 0, 0
    confidence, right = [], []
    answerable = 0
    for case in (case for run in runs for case in cases(run, judge)):
        fitted = calibration.fits.get(case.basis)
        trust = fitted.confidence(case.signals) if fitted else 1.0
        kept = case.given and (fitted is None or trust >= fitted.threshold)
        if fitted and case.given:
            confidence.append(trust)
            right.append(case.right)
        answerable += case.answerable
        outside += not case.answerable
        refused += case.answerable and not kept
        silent += not case.answerable and not kept
        if kept:
            given.append(case.right)
    return Checked(
        answerable=answerable,
        refused=refused / max(1, answerable),
        out_of_corpus=outside,
        refused_out_of_corpus=silent / max(1, outside),
        accuracy_of_given=sum(given) / max(1, len(given)),
        calibration_error=calibration_error(confidence, right) if confidence else 0.0,
    )


def _ours(run: Finished) -> Sequence[Record]:
    return [record for record in run.records if record.arm == ARM and not record.failure]


def _silent(found: Sequence[Case]) -> tuple[int, int]:
    """(answerable questions, those of them that got no answer whatever the threshold)."""
    asked = [case for case in found if case.answerable]
    return len(asked), sum(not case.given for case in asked)


def fit_cases(own: Sequence[Case], max_refused: float, *, silent: tuple[int, int]) -> Fit:
    """The fit of one basis.

    own: its answers, right and wrong ones among them
    max_refused: share of the answerable questions that may get no answer
    silent: (answerable questions, those of them that got no answer whatever the threshold)
    """
    names = sorted({name for case in own for name in case.signals})
    x = np.array([[case.signals.get(name, 0.0) for name in names] for case in own])
    y = np.array([case.right for case in own], np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    low, high = np.quantile(x, [SAME / 2, 1 - SAME / 2], axis=0)
    scale[high - low < 1e-9] = np.inf
    z = (x - mean) / scale

    def loss(w: Vector) -> tuple[float, Vector]:
        margin = z @ w[:-1] + w[-1]
        value = float(np.logaddexp(0.0, margin).sum() - y @ margin + 0.5 * PENALTY * w[:-1] @ w[:-1])
        residual = 1.0 / (1.0 + np.exp(-margin)) - y
        return value, np.append(z.T @ residual + PENALTY * w[:-1], residual.sum())

    w = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B").x
    weights = w[:-1] / scale
    fitted = Fit(
        weights={name: float(weight) for name, weight in zip(names, weights, strict=True)},
        bias=float(w[-1] - weights @ mean),
        threshold=0.0,
    )
    return fitted.model_copy(update={"threshold": _threshold(fitted, own, max_refused, silent)})


def _threshold(fitted: Fit, own: Sequence[Case], max_refused: float, silent: tuple[int, int]) -> float:
    """The highest confidence below which the stated share of the answerable questions lies, at most."""
    asked, refused = silent
    trusts = sorted(fitted.confidence(case.signals) for case in own if case.answerable and case.given)
    spare = int(max_refused * asked) - refused
    if not trusts or spare <= 0:
        return 0.0
    return trusts[min(spare, len(trusts) - 1)]
