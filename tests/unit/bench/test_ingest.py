"""What bench.ingest says of its own readings."""

import pytest

from bench.ingest import interval


def test_the_interval_is_as_wide_as_the_readings_differ() -> None:
    assert interval([0.9, 0.9, 0.9, 0.9000001]) == (0.9, 0.9)
    # logarithms -0.1 and 0.1 in turns: mean 0, deviation 0.1155, a half-width of 3.182 * 0.1155 / 2 by Student's table
    assert interval([0.904837, 1.105171] * 2) == (0.832, 1.202)
    assert interval([0.9]) is None


@pytest.mark.parametrize("ratios", [[0.5, 2.0] * 20, [0.8, 1.25] * 20])
def test_twice_as_fast_and_half_as_fast_cancel(ratios: list[float]) -> None:
    found = interval(ratios)
    assert found is not None
    assert found[0] < 1 < found[1]
    assert found[0] * found[1] == pytest.approx(1, rel=0.01)
