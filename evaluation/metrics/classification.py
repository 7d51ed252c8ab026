"""Accuracy and macro-F1 of answers from a small set of labels. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def accuracy(correct: Sequence[bool]) -> float:
    """Share of correct answers; an abstention counts as wrong. Raises ValueError without answers."""
    if not correct:
        raise ValueError("no answer is given: there is no accuracy to report")
    return sum(correct) / len(correct)


def macro_f1(gold: Sequence[str], said: Sequence[str | None]) -> float:
    """Unweighted mean over the gold labels of F1 = 2 tp / (2 tp + fp + fn), in [0, 1].

    said: the label answered, None for none (counts as a miss of the gold label and of nothing else)
    A constant answer scores high accuracy on skewed labels and low macro-F1.
    Raises ValueError on unequal lengths or without answers. Source: Sokolova & Lapalme 2009,
    doi:10.1016/j.ipm.2009.03.002.
    """
    if not gold or len(gold) != len(said):
        raise ValueError(f"{len(gold)} gold labels and {len(said)} answers: one answer for each is needed")
    scores = []
    for label in sorted(set(gold)):
        hits = sum(g == s == label for g, s in zip(gold, said, strict=True))
        wanted, given = sum(g == label for g in gold), sum(s == label for s in said)
        scores.append(2 * hits / (wanted + given))
    return sum(scores) / len(scores)


def majority(gold: Sequence[str]) -> tuple[str, float]:
    """The commonest gold label and the accuracy of always answering it: the control without a model."""
    if not gold:
        raise ValueError("no gold label is given")
    best = max(sorted(set(gold)), key=lambda label: sum(g == label for g in gold))
    return best, sum(g == best for g in gold) / len(gold)
