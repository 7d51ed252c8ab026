"""Trials: parts replaced for a while, and answers that are remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.ablations import changed, limits, replaced
from bench.remembered import Memory, RememberedEmbedder, RememberedModel
from bench.variants import VARIANTS, best_sentence, whole_passages, with_neighbours, without_repeats
from rag import extraction
from rag.reading import Sentence
from rag.settings import Settings
from rag.types import Message, Passage, Prompt
from tests.fakes.embedder import HashedWords
from tests.fakes.language_model import FakeLanguageModel

TEXT = "The pump leaks. It was mended. The pump leaks oil."
PASSAGE = Passage(
    document_id="d", title="T", heading="", text=TEXT, start=0, end=len(TEXT), text_sha256="0" * 64, score=1.0
)
FIRST, SECOND, THIRD = (Sentence(PASSAGE, a, b, 1.0 - a / 100, 0.0) for a, b in ((0, 15), (16, 30), (31, 50)))


def test_what_a_variant_replaces_is_put_back() -> None:
    before = extraction.SENTENCE_WEIGHT
    with replaced({"rag.extraction.SENTENCE_WEIGHT": 0.0, "rag.extraction.choose": best_sentence}):
        assert extraction.SENTENCE_WEIGHT == 0.0
        assert extraction.choose([], [], [FIRST, SECOND]).best is not None
    assert before == extraction.SENTENCE_WEIGHT
    assert extraction.choose([], [], [FIRST]).best is None


def test_every_variant_names_settings_and_parts_that_exist() -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
    for variant in VARIANTS:
        settings = changed(Settings(), variant.settings)
        assert settings.model_dump() == Settings.model_validate(settings.model_dump()).model_dump()
        assert limits(settings).min_confidence == 0.0
        with replaced(variant.parts):
            pass


def test_excerpts_of_the_trials() -> None:
    assert [p.text for p in whole_passages([SECOND, FIRST])] == [TEXT]
    assert [p.text for p in with_neighbours([SECOND])] == [TEXT]
    assert [p.text for p in without_repeats([FIRST, SECOND, THIRD])] == ["The pump leaks. It was mended."]


def test_what_was_asked_once_is_remembered(tmp_path: Path) -> None:
    plain = HashedWords()
    said: list[str] = []

    def answer(prompt: Prompt) -> str:
        said.append(prompt.messages[-1].content)
        return "the pump"

    prompt = Prompt(messages=(Message(role="user", content="What leaks?"),), max_tokens=8)
    for _ in range(2):
        memory = Memory(tmp_path / "memory.sqlite")
        embedder, model = RememberedEmbedder(plain, memory), RememberedModel(FakeLanguageModel(answer=answer), memory)
        np.testing.assert_array_equal(embedder.embed(["a", "b"]), HashedWords().embed(["a", "b"]))
        assert embedder.embed([]).shape == (0, plain.dimensions)
        assert "".join(piece.text for piece in model.generate(prompt)) == "the pump"
        assert model.extract(prompt, ["It is the pump."])[0].places[0].start == 6
        memory.close()
    assert plain.embedded == ["a", "b"]
    assert len(said) == 2  # generated once, extracted once
