"""The embedder's tuning: the identity changes nothing, the gradient is one, and what was learned carries over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.contrastive import table
from bench.linear_adapter import Asked, Floats, choose, hits, loss, train, turned

DIMENSIONS = 8
IDENTITY = np.eye(DIMENSIONS)


def asked(vector: npt.ArrayLike, candidates: npt.ArrayLike, right: Sequence[bool], cluster: str) -> Asked:
    unit = [row / np.linalg.norm(row) for row in np.vstack([vector, candidates])]
    flags = np.array(right)
    return Asked(cluster, unit[0], np.stack(unit[1:]), flags, ~flags, lambda cosines: cosines)


def toys(count: int, *, seed: int) -> list[Asked]:
    """Questions that ask in the first half of the dimensions for what stands in the second, beside a decoy."""
    generator = np.random.default_rng(seed)
    half = generator.standard_normal((count, DIMENSIONS // 2))
    nothing = np.zeros(DIMENSIONS // 2)
    return [
        asked([*row, *nothing], [[*0.3 * row, *row[::-1]], [*row, *-row[::-1]]], [True, False], str(i))
        for i, row in enumerate(half)
    ]


def in_front(questions: Sequence[Asked], matrix: Floats) -> float:
    return float(np.mean([hits(question, matrix, [1]) for question in questions]))


def test_the_identity_ranks_as_without_it() -> None:
    questions = toys(20, seed=0)
    for question in questions:
        np.testing.assert_allclose(turned(question.vector, IDENTITY), question.vector)
    assert in_front(questions, IDENTITY) == 0.0
    assert np.all([hits(question, IDENTITY, [2]) for question in questions])


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    generator = np.random.default_rng(1)
    matrix = IDENTITY + 0.1 * generator.standard_normal(IDENTITY.shape)
    batch = [
        *toys(3, seed=2),
        asked(generator.standard_normal(8), generator.standard_normal((3, 8)), [True, True, False], "0"),
    ]
    _, gradient = loss(matrix, batch, temperature=0.2)
    for place in [(0, 0), (2, 5), (7, 1)]:
        step = np.zeros_like(matrix)
        step[place] = 1e-6
        slope = (loss(matrix + step, batch, temperature=0.2)[0] - loss(matrix - step, batch, temperature=0.2)[0]) / 2e-6
        np.testing.assert_allclose(gradient[place], slope, atol=1e-6)


def test_a_right_candidate_of_the_same_cluster_is_nobodys_wrong_one() -> None:
    one, other = asked([1.0] * 8, [[1.0] * 8], [True], "same"), asked([1.0] * 8, [[1.0] * 8], [True], "same")
    assert loss(IDENTITY, [one, other], temperature=0.1)[0] == 0.0


def test_what_was_learned_puts_unseen_right_ones_in_front() -> None:
    before, after = train(toys(64, seed=3), temperature=0.1, steps=[1, 100], rate=0.01)
    unseen = toys(50, seed=4)
    assert in_front(unseen, before) == 0.0
    assert in_front(unseen, after) > 0.9


def test_settings_are_chosen_by_questions_that_were_held_out() -> None:
    questions = toys(40, seed=5)
    chosen = choose(questions, (1, 2), name="toys", temperatures=(0.1, 0.2), steps=(1, 100), rate=0.01)
    assert chosen.steps == 100  # the toys need a long way
    assert chosen.held_out[:, 1].all()
    assert chosen.tries[f"{chosen.temperature} · 100"] == chosen.held_out[:, 0].mean() == max(chosen.tries.values())


def test_a_table_has_a_row_for_each_rank() -> None:
    first, second = table(
        ["a", "b", "c", "d"], [[[1, 1], [0, 1]], [[1, 1], [0, 1]], [[0, 1], [0, 1]], [[0, 1], [1, 1]]], (1, 5)
    )
    assert (first["plain"], first["turned"], first["difference"], first["changed"]) == (0.25, 0.5, 0.25, 3)
    assert (second["k"], second["difference"], second["changed"]) == (5, 0.0, 0)
