"""How likely an answer is right, and from which confidence on it is given: a logistic fit over its signals. Pure.

Platt 1999, "Probabilistic outputs for support vector machines": the signals of one basis (how the answer came about)
weighed into a probability. `understudy evaluate calibrate` fits one file from the records of a run, for the domain it
asked; `rag/tuned/calibration.json` stands in where a domain has none. A fit knows which weights and which generation
it was made on: under others it still orders answers, but its numbers are a guess, and it says so.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import Field, NonNegativeInt, ValidationError

from rag.errors import InvalidSettings
from rag.protocols import LanguageModel
from rag.types import Value


class Fit(Value):
    """Answers of one basis: confidence = 1 / (1 + exp(-(bias + sum of weight x signal)))."""

    weights: dict[str, float]
    bias: float
    threshold: float = Field(ge=0, le=1, description="an answer of less confidence is not given")

    def confidence(self, signals: Mapping[str, float]) -> float:
        """In [0, 1]; a signal that is not there counts as 0."""
        total = self.bias + sum(weight * signals.get(name, 0.0) for name, weight in self.weights.items())
        return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, total))))


class Checked(Value):
    """What the thresholds did on questions that they were not fitted on."""

    answerable: NonNegativeInt
    refused: float = Field(description="share of the answerable questions that got no answer")
    out_of_corpus: NonNegativeInt
    refused_out_of_corpus: float
    accuracy_of_given: float = Field(description="share of the given answers that are right")
    calibration_error: float = Field(description="expected, of the confidence taken as a probability")


class Trusted(Value):
    """How far the confidence of one basis is to be trusted, on questions that it was not fitted on."""

    n: NonNegativeInt
    right: float = Field(description="share of right answers")
    confidence: float = Field(description="mean confidence: what that share should be")
    calibration_error: float = Field(description="expected, in ten bins")


class Calibration(Value):
    """The fits of one domain, and what they were made on."""

    fits: dict[str, Fit] = Field(description="basis of an answer -> its fit")
    max_refused: float = Field(description="stated risk: the most answerable questions that may be refused, as a share")
    n: NonNegativeInt = Field(description="questions fitted on")
    suite: str
    date: str
    weights: str = Field(description="of the model, adapter included: `identity`")
    embedder: str = Field(description="fingerprint")
    generation: str = Field(default="", description="of the domain; empty for one that is meant for any")
    checked: Checked | None = None
    trusted: dict[str, Trusted] = Field(default={}, description="basis of an answer -> how its confidence held")

    def stale(self, *, weights: str, embedder: str, generation: str) -> str:
        """Why the numbers are a guess here, or nothing."""
        changed = [
            name
            for name, then, now in (
                ("the model or its adapter", self.weights, weights),
                ("the embedder", self.embedder, embedder),
                ("the indexed documents", self.generation or generation, generation),
            )
            if then != now
        ]
        if not changed:
            return ""
        return (
            f"the confidence was calibrated on {self.date[:10]} and {' and '.join(changed)} changed since: "
            "`understudy evaluate calibrate` fits it anew"
        )


def read(path: Path) -> Calibration | None:
    """A calibration, or None where there is no such file. Raises InvalidSettings for one that cannot be read."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise InvalidSettings(
            f"the calibration {path} cannot be read ({type(error).__name__}): remove it, or fit it anew by "
            "`understudy evaluate calibrate`"
        ) from None


def identity(model: LanguageModel, domain: str) -> str:
    """The weights that answer a domain: file and adapter, whatever format they are served in."""
    return f"{model.card.weights}+{model.adapter(domain)}"


@functools.cache
def shipped() -> Calibration | None:
    """The calibration of the default model with its adapter, for any domain without its own."""
    return read(Path(str(files("rag"))) / "tuned" / "calibration.json")
