"""The bookkeeping's benchmark on a few documents: what it times is done and checked."""

from pathlib import Path

import numpy as np

from bench.bookkeeping import Synthetic, deleted, unchanged_and_changed
from rag.settings import DataSettings, Settings


def test_every_row_is_measured_and_checked(tmp_path: Path) -> None:
    settings = Settings(data=DataSettings(directory=tmp_path / "data"))
    result = unchanged_and_changed(tmp_path, settings, 30) | deleted(tmp_path, settings, 40)
    assert list(result) == ["first", "unchanged", "changed", "delete_documents", "delete_filter", "delete_domain"]
    assert all(seconds > 0 for seconds in result.values())


def test_synthetic_vectors_are_unit_rows_that_depend_on_the_text_alone() -> None:
    one, two = Synthetic().embed(["a", "b"]), Synthetic().embed(["b"])
    assert one.shape == (2, 384)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(one[1], two[0])
