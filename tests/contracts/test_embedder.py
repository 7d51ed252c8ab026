"""What every Embedder does: one suite on the fake and on the real backends."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rag.adapters.embedding import DEFAULT, open_embedder
from rag.adapters.openvino_embedding import WIDTH, buckets
from rag.errors import ModelUnavailable
from rag.protocols import Embedder
from rag.vector_memory import RememberingEmbedder
from tests.fakes.embedder import HashedWords


def real(backend: str, cache: Path) -> Embedder:
    return open_embedder(
        DEFAULT,
        backend=backend,  # type: ignore[arg-type]  # a parameter of the test
        cache=cache,
        batch_tokens=512,
        threads=0,
        offline=True,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Path:
    return lend(tmp_path_factory.mktemp("embedder") / "data") / "models"


@pytest.fixture(scope="module", params=["fake", "remembering", "openvino", "torch"])
def embedder(request: pytest.FixtureRequest, cache: Path) -> Embedder:
    if request.param == "fake":
        return HashedWords()
    if request.param == "remembering":
        return RememberingEmbedder(HashedWords(), most=4)
    return real(request.param, cache)


TEXTS = ["the pump leaks", "", "valve " * 400, "泵在漏水", "a \ud800 lone surrogate", "the pump is leaking"]


def test_rows_are_unit_vectors_of_the_stated_length(embedder: Embedder) -> None:
    rows = embedder.embed(TEXTS)
    assert rows.shape == (len(TEXTS), embedder.dimensions)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_rows_come_in_the_order_given_whatever_their_lengths(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        assert float(embedder.embed([text])[0] @ row) > 0.999


def test_like_texts_are_nearer_than_unlike_ones(embedder: Embedder) -> None:
    leak, leaking, other = embedder.embed(["the pump leaks", "the pump is leaking", "quarterly revenue grew"])
    assert leak @ leaking > leak @ other


def test_parts_are_of_every_text_once_and_what_is_given_together(embedder: Embedder) -> None:
    texts = [*TEXTS, *(f"valve {n} opens at {n} bar " * (1 + n % 9) for n in range(90))]
    tokenized = embedder.tokenize(texts)
    assert [item.text for item in tokenized] == texts
    out = np.zeros((len(texts), embedder.dimensions), np.float32)
    seen: list[int] = []
    lengths: list[int] = []
    for rows, vectors in embedder.embed_parts(tokenized):
        assert vectors.shape == (len(rows), embedder.dimensions)
        out[list(rows)] = vectors
        seen += rows
        lengths += [tokenized[row].length for row in rows]
    assert sorted(seen) == list(range(len(texts)))
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 5
    assert ((out * embedder.embed(texts)).sum(axis=1) > 0.999).all()
    assert list(embedder.embed_parts([])) == []


def test_others_embed_between_two_parts_and_what_is_left_there_is_given_up(embedder: Embedder) -> None:
    alone = embedder.embed(["the pump leaks"])[0]
    parts = embedder.embed_parts(embedder.tokenize([f"and {n} more of them " * 30 for n in range(300)]))
    for _ in range(3):
        rows, vectors = next(parts)
        assert vectors.shape == (len(rows), embedder.dimensions)
        assert float(embedder.embed(["the pump leaks"])[0] @ alone) > 0.9999
    parts.close()  # type: ignore[attr-defined]  # a generator, as all of them are
    assert float(embedder.embed(["the pump leaks"])[0] @ alone) > 0.9999


def test_concurrent_calls_give_what_single_ones_give(embedder: Embedder) -> None:
    alone = embedder.embed(["one text here"])[0]
    found: list[float] = []

    def ask() -> None:
        found.extend(float(embedder.embed(["one text here"])[0] @ alone) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert min(found) > 0.9999


def test_tokens_are_counted_as_far_as_they_are_read(embedder: Embedder) -> None:
    counts = embedder.count_tokens(["pump", "the pump leaks", "", "valve " * 4000, "valve " * 8000])
    assert counts[0] < counts[1]
    assert counts[2] > 0  # the model's own marks
    assert 100 < counts[3] == counts[4] < 4000
    assert embedder.count_tokens([]) == []


def test_both_backends_give_the_same_vectors_and_fingerprint(cache: Path) -> None:
    torch, openvino = real("torch", cache), real("openvino", cache)
    texts = [*TEXTS, *(f"Alarm A-{i} means that unit {i * 7} is above {i} bar. " * (1 + i % 9) for i in range(40))]
    cosines = (torch.embed(texts) * openvino.embed(texts)).sum(axis=1)
    assert cosines.min() >= 0.9999
    assert torch.fingerprint == openvino.fingerprint
    assert torch.count_tokens(texts) == openvino.count_tokens(texts)


@pytest.mark.parametrize("lengths", [[], [1], [9, 300, 9, 8, 7], list(range(1, 200)), [5000, 2]])
def test_batches_hold_every_row_once_and_few_shapes(lengths: list[int]) -> None:
    batches = list(buckets(lengths, 512))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    shapes = {(len(batch), -(-max(lengths[i] for i in batch) // WIDTH) * WIDTH) for batch in batches}
    assert all(rows == 1 or rows * width <= 512 for rows, width in shapes)
    assert all(width % WIDTH == 0 for _, width in shapes)


def test_a_closed_embedder_lets_go_of_its_model(cache: Path) -> None:
    embedder = open_embedder(DEFAULT, backend="openvino", cache=cache, batch_tokens=512, threads=2, offline=True)
    embedder.embed(["the gate opens"])
    runner = weakref.ref(embedder._runner)
    embedder.close()
    gc.collect()
    assert runner() is None


def test_a_closed_embedder_says_so() -> None:
    embedder = HashedWords()
    embedder.close()
    embedder.close()
    with pytest.raises(ModelUnavailable):
        embedder.embed(["x"])


def test_a_model_that_is_not_at_hand_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="UNDERSTUDY_NETWORK__OFFLINE"):
        open_embedder("nobody/nothing", backend="auto", cache=tmp_path, batch_tokens=512, threads=0, offline=True)
    with pytest.raises(ModelUnavailable, match="holds no sentence-transformers model"):
        open_embedder(str(tmp_path), backend="auto", cache=tmp_path, batch_tokens=512, threads=0, offline=True)
