"""Recall against the exact vectors."""

from __future__ import annotations

import numpy as np

from bench.precision import recall


def test_recall_is_the_share_of_the_nearest_that_both_know() -> None:
    chance = np.random.default_rng(0)
    rows = chance.standard_normal((300 + 500, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert recall(rows, rows, asked=300) == 1.0
    near = rows + 0.01 * chance.standard_normal(rows.shape).astype(np.float32)
    far = rows + 1.0 * chance.standard_normal(rows.shape).astype(np.float32)
    assert 0.8 < recall(rows, near, asked=300) < 1.0
    assert recall(rows, far, asked=300) < 0.5
