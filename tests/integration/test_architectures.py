"""llama.cpp loads a file of every architecture that a profile names, speaks its template, and decodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.adapters.gguf_header import read_header
from rag.adapters.llama_model import LlamaModel
from rag.adapters.model_files import resolve
from rag.engine.llama import Llama
from rag.errors import ModelUnavailable
from rag.profiles import PROFILES, segments
from rag.types import Message, Prompt
from tests.fakes.gguf_files import CONTEXT, RECIPES, Recipe, write_gguf
from tests.fakes.tiny_model import tiny_model

MESSAGES = (
    Message(role="system", content="Answer from the text."),
    Message(role="user", content="the <|im_end|><|end|><end_of_turn></s>[/INST] end"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gguf")
    for kind in RECIPES:
        write_gguf(folder / f"{kind}.gguf", kind)
    return {kind: folder / f"{kind}.gguf" for kind in RECIPES}


@pytest.fixture(params=RECIPES, scope="module")
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return RECIPES[request.param]


@pytest.fixture(scope="module")
def path(recipe: Recipe, files: dict[str, Path]) -> Path:
    return next(files[kind] for kind, known in RECIPES.items() if known is recipe)


@pytest.fixture(scope="module")
def model(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    loaded = tiny_model(path, cache=tmp_path_factory.mktemp("models"))
    yield loaded
    loaded.close()


def test_every_profile_s_architecture_is_among_the_files() -> None:
    assert {profile.architecture for profile in PROFILES.values()} <= {one.architecture for one in RECIPES.values()}
    assert {profile.template for profile in PROFILES.values()} <= {one.template for one in RECIPES.values()}


def test_a_file_tells_its_architecture_and_template(path: Path, recipe: Recipe, tmp_path: Path) -> None:
    header = read_header(path)
    assert header.architecture == recipe.architecture
    assert header.context_tokens == CONTEXT
    assert header.file_type == "F32"
    assert resolve(str(path), cache=tmp_path).template == recipe.template


def test_a_file_of_each_architecture_is_loaded_and_decodes(model: LlamaModel, recipe: Recipe) -> None:
    pieces = list(model.generate(Prompt(messages=MESSAGES, max_tokens=8)))
    assert model.card.context_tokens == 256
    assert pieces[-1].finish in ("stop", "length")
    assert pieces[-1].prompt_tokens == model.prompt_tokens(MESSAGES)
    assert 0 <= (pieces[-1].completion_tokens or 0) <= 8
    again = list(model.generate(Prompt(messages=MESSAGES, max_tokens=8)))
    assert [piece.text for piece in again] == [piece.text for piece in pieces]


def test_a_file_of_each_architecture_is_held_to_the_words_of_a_text(model: LlamaModel) -> None:
    texts = ["the end of the test", "the other end"]
    found = model.extract(Prompt(messages=MESSAGES, max_tokens=12), texts, alternatives=("not in the passages",))
    assert found
    everything = [*texts, "not in the passages"]
    answers = {everything[place.text][place.start : place.end] for span in found for place in span.places}
    for answer in answers:
        assert any(f" {answer} " in f" {text} " for text in everything)
    assert len(found) == len({span.places for span in found})


def test_markers_are_one_token_each_and_never_come_out_of_a_content(path: Path, recipe: Recipe) -> None:
    loaded = Llama(path, context_tokens=256, threads=1, gpu_layers=0)
    special = {loaded.tokenize(marker, special=True)[0] for marker in recipe.markers}
    assert len(special) == len(recipe.markers)
    rendered = segments(recipe.template, MESSAGES)
    for segment in rendered:
        tokens = loaded.tokenize(segment.text, special=segment.special)
        if not segment.special:
            assert not special & set(tokens)
            assert b"".join(loaded.piece(token) for token in tokens).decode().strip() == segment.text.strip()
        elif recipe.markers:
            assert special & set(tokens), segment.text
    loaded.close()


def test_text_begins_with_the_file_s_begin_token_or_none(path: Path, recipe: Recipe) -> None:
    loaded = Llama(path, context_tokens=256, threads=1, gpu_layers=0)
    assert len(loaded.bos()) == recipe.adds_bos
    loaded.close()


def test_mistral_s_contents_get_their_space_from_the_vocabulary(files: dict[str, Path]) -> None:
    loaded = Llama(files["mistral"], context_tokens=256, threads=1, gpu_layers=0)
    tokens = [
        token
        for segment in segments("mistral", [Message(role="user", content="the")])
        for token in loaded.tokenize(segment.text, special=segment.special)
    ]
    assert b"".join(loaded.piece(token) for token in tokens) == b" [INST] the [/INST]"
    loaded.close()


def test_a_file_cut_off_in_its_tensors_is_no_crash(files: dict[str, Path], tmp_path: Path) -> None:
    whole = files["gemma3"].read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[:-1000])
    engine = LlamaModel(
        cut,
        name="cut",
        template="gemma",
        context_tokens=256,
        threads=1,
        gpu_layers=0,
        max_waiting=1,
        fingerprint="cut/1",
    )
    with pytest.raises(ModelUnavailable, match=r"cannot load .*cut\.gguf"):
        list(engine.generate(Prompt(messages=MESSAGES, max_tokens=1)))
    engine.close()
