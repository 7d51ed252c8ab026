"""The deterministic judge: is an answer correct, given the gold answers? The same code for every system.

A logistic regression over the features of `evaluation/judge_features.py`, fitted once on human labels and shipped as
`evaluation/judge.json`; its card is `evaluation/JUDGE.md`. Evaluated with numpy alone. Knows no system's name, no
suite and no model: only the question, the gold answers and the answer. Options and yes/no(/maybe) need no
coefficients: they are parsed and compared exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from evaluation.answers import tokens
from evaluation.choices import choice, refusals, yes_no
from evaluation.judge_features import VERSION, features
from rag.errors import InvalidCorpus
from rag.types import Value

SHIPPED = Path(__file__).with_name("judge.json")

Style = Literal["short", "sentence", "long", "exact"]
"""How long an answer is: at most 5 words, at most 40, more; "exact" where nothing had to be judged."""


class StyleError(Value):
    """How often the judge is right on answers of one style, counted in cross-validation against human labels."""

    correct: int = Field(ge=0, description="answers the humans called correct")
    correct_found: int = Field(ge=0, description="of these, those the judge called correct")
    wrong: int = Field(ge=0, description="answers the humans called wrong")
    wrong_found: int = Field(ge=0, description="of these, those the judge called wrong")

    @property
    def sensitivity(self) -> float:
        """Share of correct answers that are called correct; 1.0 without data."""
        return self.correct_found / self.correct if self.correct else 1.0

    @property
    def specificity(self) -> float:
        """Share of wrong answers that are called wrong; 1.0 without data."""
        return self.wrong_found / self.wrong if self.wrong else 1.0


class Fitted(Value):
    """The fitted file: coefficients on clipped and standardised features, word weights, and measured errors."""

    version: int
    features: tuple[str, ...]
    low: tuple[float, ...] = Field(description="features are clipped from below: 0.5th percentile of the fit")
    high: tuple[float, ...] = Field(description="features are clipped from above: 99.5th percentile of the fit")
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    rarity: dict[str, float] = Field(description="stem -> weight in (0, 1]; a stem not named weighs 1")
    errors: dict[str, StyleError] = Field(description="by style, in cross-validation by question")
    errors_left_out: dict[str, StyleError] = Field(description="by style, each system left out of the fit as well")
    fitted_on: str


class Judgement(Value):
    """What the judge says of one answer."""

    correct: bool
    probability: float = Field(ge=0, le=1)
    refused: bool = Field(description="the answer declines, whatever else it says")
    style: Style
    features: dict[str, float] = Field(default_factory=dict, description="what it looked at; empty for exact ones")


def style_of(answer: str) -> Style:
    """Which style an answer is of, by its number of words."""
    count = len(tokens(answer))
    return "short" if count <= 5 else "sentence" if count <= 40 else "long"


class Judge:
    """Judges answers with one fitted file."""

    def __init__(self, fitted: Fitted) -> None:
        self.fitted = fitted
        self._low, self._high = np.array(fitted.low), np.array(fitted.high)
        self._mean, self._scale = np.array(fitted.mean), np.array(fitted.scale)
        self._coefficients = np.array(fitted.coefficients)

    def judge(self, question: str, golds: Sequence[str], answer: str) -> Judgement:
        """Judge a free-text answer. Raises ValueError without a gold answer: there is nothing to judge by then."""
        if not any(gold.strip() for gold in golds):
            raise ValueError(f"no gold answer is given for the question {question[:80]!r}")
        if not answer.strip():
            return Judgement(correct=False, probability=0.0, refused=True, style="exact")
        vector = features(question, [gold for gold in golds if gold.strip()], answer, self.fitted.rarity)
        x = np.array([vector[name] for name in self.fitted.features])
        z = (np.clip(x, self._low, self._high) - self._mean) / self._scale
        logit = float(z @ self._coefficients) + self.fitted.intercept
        probability = float(1.0 / (1.0 + np.exp(-logit)))
        return Judgement(
            correct=probability >= 0.5,
            probability=probability,
            refused=refusals(answer) > 0 and probability < 0.5,
            style=style_of(answer),
            features=vector,
        )


def judge_choice(options: Mapping[str, str], gold_letter: str, answer: str) -> Judgement:
    """Judge a multiple-choice answer exactly: by its letter or its option's text. No parsable choice is wrong."""
    named = choice(answer, options)
    return _exact(named == gold_letter, refused=named is None)


def judge_yes_no(gold: str, answer: str) -> Judgement:
    """Judge a yes/no(/maybe) answer exactly; `gold` is "yes", "no" or "maybe". No parsable answer is wrong."""
    said = yes_no(answer)
    return _exact(said == gold.strip().lower(), refused=said is None)


def _exact(correct: bool, *, refused: bool) -> Judgement:
    return Judgement(correct=correct, probability=float(correct), refused=refused, style="exact")


def load_judge(path: Path = SHIPPED) -> Judge:
    """Read a fitted judge. Raises InvalidCorpus when the file is missing, damaged or of another version."""
    again = "fit it again with `python -m evaluation.fit_judge --suites DIR`"
    try:
        raw = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidCorpus(f"the judge file {path} cannot be read ({error.strerror}): {again}") from None
    except ValueError as error:
        raise InvalidCorpus(f"the judge file {path} is damaged ({error}): {again}") from None
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise InvalidCorpus(
            f"the judge file {path} is of version {version!r}, this code reads version {VERSION}: {again}"
        )
    try:
        fitted = Fitted.model_validate(raw)
    except ValidationError as error:
        raise InvalidCorpus(f"the judge file {path} is damaged ({error.error_count()} bad fields): {again}") from None
    widths = {len(getattr(fitted, name)) for name in ("features", "low", "high", "mean", "scale", "coefficients")}
    if len(widths) != 1:
        raise InvalidCorpus(f"the judge file {path} is damaged (columns of unequal length): {again}")
    return Judge(fitted)


@lru_cache(maxsize=1)
def shipped_judge() -> Judge:
    """The judge that ships with the product, read once."""
    return load_judge()
