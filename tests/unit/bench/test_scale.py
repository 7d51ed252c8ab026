"""What decides the figures of the index at scale: the drawn chunks, the recall, and what counts as held."""

from pathlib import Path

import numpy as np
import pytest

from bench import scale
from rag.protocols import EVERYTHING


def test_the_same_chunks_are_drawn_each_time_and_each_is_its_own() -> None:
    first, again = ([chunk for batch in scale.Drawn(1500).chunks() for chunk in batch] for _ in range(2))
    assert len({chunk.id for chunk in first}) == len({(c.document_id, c.chunk.start) for c in first}) == 1500
    assert [chunk.chunk.text for chunk in first] == [chunk.chunk.text for chunk in again]
    np.testing.assert_array_equal(np.array([c.vector for c in first]), np.array([c.vector for c in again]))
    np.testing.assert_allclose(np.linalg.norm([chunk.vector for chunk in first], axis=1), 1, atol=1e-5)


def test_a_quarter_of_the_questions_has_no_filter_and_every_filter_admits_something() -> None:
    filters = [chosen for _, _, chosen in scale.Drawn(4000).questions(40)]
    assert filters.count(EVERYTHING) == 10
    assert {len(chosen.conditions) for chosen in filters if chosen.documents is None} == {0, 1, 2}
    assert sum(chosen.documents is not None for chosen in filters) == 10


def test_a_small_index_is_measured_and_finds_all(tmp_path: Path) -> None:
    row = scale.written(1200, str(tmp_path)) | scale.asked(1200, str(tmp_path), 24)
    assert (row["chunks"], row["recall@10"]) == (1200, 1.0)
    assert 0 < row["p50 ms"] <= row["p95 ms"]
    assert row["disk MB"] > 0
    picture = tmp_path / "scale.svg"
    scale.plot([row, row | {"chunks": 2400}], picture)
    assert "<svg" in picture.read_text("utf-8")


@pytest.mark.parametrize(
    ("chunks", "p95", "recall", "held"),
    [(10_000, 4.9, 1.0, True), (10_000, 5.1, 1.0, False), (1_000_000, 29.0, 0.97, False), (500, 3.0, 0.99, True)],
)
def test_a_size_is_held_to_its_own_must(chunks: int, p95: float, recall: float, held: bool) -> None:
    assert scale.held({"chunks": chunks, "p95 ms": p95, "recall@10": recall}) is held
