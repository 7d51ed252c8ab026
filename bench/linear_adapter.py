"""A linear map of a question's vector, trained by contrast: right candidates nearer, wrong ones and others' further.

Only questions are turned, so that stored vectors stay valid: the linear adapter of LlamaIndex, with the loss that
Sentence-Transformers call MultipleNegativesRankingLoss (InfoNCE; van den Oord et al. 2018, arXiv:1807.03748).
Knows no suite, index or text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

HARD, BATCH, RATE = 15, 32, 1e-4
"""Wrong candidates of a question, questions of a batch, Adam's step."""
TEMPERATURES, STEPS, FOLDS = (0.02, 0.05, 0.1), (30, 100, 300, 1000), 5


@dataclass(frozen=True)
class Asked:
    """A question with what is ranked for it, the best first."""

    cluster: str
    """questions of one cluster share a right candidate"""
    vector: Floats
    """(d,) of the question, unit length"""
    candidates: Floats
    """(n, d) unit rows"""
    right: Flags
    """(n,)"""
    wrong: Flags
    """(n,) can be trained against; one that is neither cannot"""
    score: Callable[[Floats], Floats]
    """(n,) cosines to what candidates are ranked by"""


def turned(vectors: Floats, matrix: Floats) -> Floats:
    """(d,) or (n, d) vectors of questions, turned and of unit length."""
    moved: Floats = vectors @ matrix
    unit: Floats = moved / np.linalg.norm(moved, axis=-1, keepdims=True)
    return unit


def hits(asked: Asked, matrix: Floats, ranks: Sequence[int]) -> list[bool]:
    """Whether a right candidate stands within each of the ranks."""
    order = np.argsort(-asked.score(asked.candidates @ turned(asked.vector, matrix)), kind="stable")
    return [bool(asked.right[order[:k]].any()) for k in ranks]


def loss(matrix: Floats, batch: Sequence[Asked], *, temperature: float) -> tuple[float, Floats]:
    """(mean InfoNCE of a batch, its gradient). Several right candidates of a question count together, as one."""
    pool = np.concatenate([asked.candidates for asked in batch])
    right = np.concatenate([asked.right for asked in batch])
    owner = np.repeat(np.arange(len(batch)), [len(asked.right) for asked in batch])
    clusters = np.array([asked.cluster for asked in batch])
    own = owner == np.arange(len(batch))[:, None]
    vectors = np.stack([asked.vector for asked in batch])
    unit = turned(vectors, matrix)
    logits = unit @ pool.T / temperature
    logits[(clusters[:, None] == clusters[owner]) & ~own] = -np.inf  # another question's, but right for this one too
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    positive = weights * (own & right)
    share, total = positive.sum(axis=1, keepdims=True), weights.sum(axis=1, keepdims=True)
    outer = (weights / total - positive / share) @ pool / (temperature * len(batch))
    length = np.linalg.norm(vectors @ matrix, axis=1, keepdims=True)
    inner = (outer - unit * (outer * unit).sum(axis=1, keepdims=True)) / length
    return float(np.log(total / share).mean()), vectors.T @ inner


def train(
    questions: Sequence[Asked], *, temperature: float, steps: Sequence[int], rate: float = RATE, seed: int = 0
) -> list[Floats]:
    """The matrix after each of some numbers of steps, in ascending order, by Adam from the identity."""
    taught = [_taught(asked) for asked in questions if asked.right.any() and asked.wrong.any()]
    matrix: Floats = np.eye(taught[0].candidates.shape[1], dtype=np.float32)
    first, second = np.zeros_like(matrix), np.zeros_like(matrix)
    found: list[Floats] = []
    batches = _batches(len(taught), np.random.default_rng(seed))
    for step, rows in zip(range(1, max(steps) + 1), batches, strict=False):
        _, gradient = loss(matrix, [taught[i] for i in rows], temperature=temperature)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        matrix = matrix - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        if step in steps:
            found.append(matrix)
    return found


def _taught(asked: Asked) -> Asked:
    """A question with its right candidates and the first wrong ones."""
    kept = asked.right | (asked.wrong & (asked.wrong.cumsum() <= HARD))
    return replace(asked, candidates=asked.candidates[kept], right=asked.right[kept], wrong=asked.wrong[kept])


def _batches(count: int, generator: np.random.Generator) -> Iterator[list[int]]:
    while True:
        order = generator.permutation(count)
        yield from (order[at : at + BATCH].tolist() for at in range(0, count, BATCH))


@dataclass(frozen=True)
class Chosen:
    """What cross-validation says, and the matrix of all questions."""

    temperature: float
    steps: int
    tries: dict[str, float]
    """"temperature · steps" -> share of the questions with a right one in front, each by a matrix that never saw it"""
    held_out: npt.NDArray[np.bool_]
    """(n, ranks) hits at the chosen setting, each by a matrix that never saw the question"""
    matrix: Floats


def choose(
    questions: Sequence[Asked],
    ranks: Sequence[int],
    *,
    name: str,
    temperatures: Sequence[float] = TEMPERATURES,
    steps: Sequence[int] = STEPS,
    rate: float = RATE,
) -> Chosen:
    """Temperature and steps by what stands within the first of the ranks; a cluster lies in one fold."""
    names = sorted({asked.cluster for asked in questions})
    place = dict(zip(names, np.random.default_rng(0).permutation(len(names)) % FOLDS, strict=True))
    folds = np.array([place[asked.cluster] for asked in questions])
    grid = {(t, n): np.zeros((len(questions), len(ranks)), np.bool_) for t in temperatures for n in steps}
    tries = [(t, fold) for t in temperatures for fold in range(FOLDS)]
    for t, fold in track(tries, description=f"{name}: choosing", transient=True):
        others = [questions[i] for i in np.flatnonzero(folds != fold).tolist()]
        for n, matrix in zip(steps, train(others, temperature=t, steps=steps, rate=rate), strict=True):
            for i in np.flatnonzero(folds == fold).tolist():
                grid[t, n][i] = hits(questions[i], matrix, ranks)
    best, most = max(grid, key=lambda setting: float(grid[setting][:, 0].mean()))
    shares = {f"{t} · {n}": float(found[:, 0].mean()) for (t, n), found in grid.items()}
    (matrix,) = train(questions, temperature=best, steps=[most], rate=rate)
    return Chosen(best, most, shares, grid[best, most], matrix)
