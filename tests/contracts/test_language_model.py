"""What every language model keeps: the fake, the OpenAI-compatible adapter on a real server, and llama.cpp's engine."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.adapters.llama_model import LlamaModel
from rag.adapters.model_files import resolve
from rag.adapters.openai_model import OpenAIModel
from rag.errors import Cancelled, InvalidQuestion, ModelTimeout, Unscorable
from rag.protocols import LanguageModel
from rag.types import Message, Piece, Prompt
from tests.fakes.gguf_files import write_gguf
from tests.fakes.language_model import ENDLESS, FakeLanguageModel
from tests.fakes.openai_server import serving

CONTEXT = 512


@pytest.fixture(scope="module")
def fake() -> LanguageModel:
    return FakeLanguageModel(context_tokens=CONTEXT, seconds_a_piece=0.001)


@pytest.fixture(scope="module")
def remote() -> Iterator[LanguageModel]:
    with serving(FakeLanguageModel(context_tokens=4 * CONTEXT, seconds_a_piece=0.001)) as server:
        model = OpenAIModel(
            base_url=server.url,
            api_key="sk-loopback",
            model="fake",
            context_tokens=CONTEXT,
            timeout_seconds=30,
            retries=0,
        )
        yield model
        model.close()


def local(path: Path, template: str, name: str) -> LlamaModel:
    return LlamaModel(
        path,
        name=name,
        template=template,
        context_tokens=CONTEXT,
        threads=1,
        gpu_layers=0,
        max_waiting=8,
        fingerprint=f"{name}/1",
    )


@pytest.fixture(scope="module")
def babbling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageModel]:
    """The engine with random weights: its text is noise, its conduct is not."""
    path = tmp_path_factory.mktemp("gguf") / "llama.gguf"
    recipe = write_gguf(path, "llama")
    model = local(path, recipe.template, "tiny")
    yield model
    model.close()


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageModel]:
    file = resolve("smollm2-135m-instruct", cache=tmp_path_factory.mktemp("models"))
    model = local(file.path, file.template, file.name)
    yield model
    model.close()


@pytest.fixture(params=["fake", "remote", "babbling", pytest.param("packaged", marks=pytest.mark.slow)])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    found: LanguageModel = request.getfixturevalue(request.param)
    return found


def prompt(text: str = "Tides follow the moon.\nWhat do tides follow?", **limits: object) -> Prompt:
    messages = (Message(role="system", content="Answer from the text."), Message(role="user", content=text))
    return Prompt.model_validate({"messages": messages, "max_tokens": 24, "timeout_seconds": 60, **limits})


def endless(**limits: object) -> Prompt:
    return prompt(f"Count upwards {ENDLESS}: one two three four five", **limits)


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_its_card_says_what_it_is_and_where_it_runs(model: LanguageModel) -> None:
    card = model.card
    assert card.name
    assert card.fingerprint
    assert card.device
    assert card.context_tokens == CONTEXT
    assert model.card == card


def test_it_counts_the_tokens_of_each_text_in_order(model: LanguageModel) -> None:
    short, none, long = model.count_tokens(["one", "", "one two three four five six"])
    assert none == 0
    assert 1 <= short < long
    assert model.count_tokens([]) == []


def test_markers_in_a_text_count_as_the_characters_they_are(model: LanguageModel) -> None:
    assert model.count_tokens(["<|im_end|>"])[0] > 1


def test_a_prompt_has_more_tokens_than_its_contents(model: LanguageModel) -> None:
    messages = prompt().messages
    contents = sum(model.count_tokens([message.content for message in messages]))
    assert contents < model.prompt_tokens(messages) < contents + 40


def test_only_the_last_piece_tells_the_end_and_the_counts(model: LanguageModel) -> None:
    *earlier, last = list(model.generate(prompt()))
    assert last.finish in ("stop", "length")
    assert last.prompt_tokens
    assert last.completion_tokens is not None
    assert last.completion_tokens <= 24
    assert all(piece.finish is None and piece.prompt_tokens is None for piece in earlier)


def test_the_same_prompt_at_temperature_zero_gives_the_same_text(model: LanguageModel) -> None:
    first = text_of(list(model.generate(prompt())))
    list(model.generate(prompt("Something else altogether.\nWhat else?")))
    assert first
    assert text_of(list(model.generate(prompt()))) == first


def test_the_limit_ends_a_text_and_says_so(model: LanguageModel) -> None:
    pieces = list(model.generate(endless(max_tokens=5)))
    assert pieces[-1].finish == "length"
    assert pieces[-1].completion_tokens == 5 or isinstance(model, OpenAIModel)


def test_a_stop_string_ends_the_text_before_it(model: LanguageModel) -> None:
    whole = text_of(list(model.generate(endless())))
    stop = whole[4:8]
    pieces = list(model.generate(endless(stop=(stop,))))
    assert text_of(pieces) == whole[: whole.index(stop)]
    assert pieces[-1].finish == "stop"


def test_a_prompt_beyond_the_context_is_refused_and_the_next_one_answered(model: LanguageModel) -> None:
    with pytest.raises(InvalidQuestion, match=f"{CONTEXT}"):
        list(model.generate(prompt("word " * 3 * CONTEXT)))
    assert text_of(list(model.generate(prompt())))


def test_a_request_that_is_cancelled_from_the_first_writes_one_piece_at_most(model: LanguageModel) -> None:
    stream = model.generate(endless(), cancelled=lambda: True)
    with pytest.raises(Cancelled):
        list(itertools.islice(stream, 2))
    assert text_of(list(model.generate(prompt())))


def test_a_request_that_is_cancelled_while_it_runs_ends_there(model: LanguageModel) -> None:
    gone = threading.Event()
    stream = model.generate(endless(max_tokens=400), cancelled=gone.is_set)
    next(stream)
    gone.set()
    with pytest.raises(Cancelled):
        list(stream)
    assert text_of(list(model.generate(prompt())))


def test_a_closed_iterator_ends_the_generation(model: LanguageModel) -> None:
    stream = model.generate(endless(max_tokens=400))
    assert list(itertools.islice(stream, 1))
    stream.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator
    assert text_of(list(model.generate(prompt())))


def test_no_answer_within_the_time_is_a_timeout(model: LanguageModel) -> None:
    with pytest.raises(ModelTimeout):
        list(model.generate(endless(max_tokens=400, timeout_seconds=0.002)))


def test_callers_at_the_same_time_get_what_each_would_get_alone(model: LanguageModel) -> None:
    # Words that no other come near: where two nearly tie, rows beside it may turn a text (docs/decisions.md).
    codes = {"red": 4477, "blue": 9182}
    prompts = [prompt(f"The code of the {gate} gate is {code}.\nWhat is its code?") for gate, code in codes.items()]
    alone = [text_of(list(model.generate(one))) for one in prompts]
    together: dict[int, str] = {}

    def ask(place: int) -> None:
        together[place] = text_of(list(model.generate(prompts[place % 2])))

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == {place: alone[place % 2] for place in range(4)}


OPTIONS = ("the moon", "the moon and the sun and the wind", "<|im_end|>")


def test_continuations_are_scored_in_order_and_alike_every_time(model: LanguageModel) -> None:
    if not model.card.scores:
        with pytest.raises(Unscorable):
            model.score(prompt(), OPTIONS)
        return
    first, long, marker = model.score(prompt(), OPTIONS)
    assert first.tokens < long.tokens
    assert long.logprob < first.logprob < 0
    assert first.mean == pytest.approx(first.logprob / first.tokens)
    assert marker.tokens > 1, "a marker in an option is plain text"
    list(model.generate(prompt("Something else altogether.\nWhat else?")))
    assert model.score(prompt(), OPTIONS[::-1]) == [marker, long, first]


def test_a_scoring_beyond_the_context_or_cancelled_is_refused_and_the_next_one_done(model: LanguageModel) -> None:
    if not model.card.scores:
        return
    with pytest.raises(InvalidQuestion, match=f"{CONTEXT}"):
        model.score(prompt(), ["word " * 2 * CONTEXT])
    with pytest.raises(Cancelled):
        model.score(prompt(), ["moon " * 20] * 40, cancelled=lambda: True)
    assert len(model.score(prompt(), OPTIONS)) == len(OPTIONS)


TEXTS = ("Tides follow the moon.", "Zoë’s clock shows 10:30 and 5,000 °C.")


def test_extracted_answers_are_whole_words_of_the_texts_or_an_alternative(model: LanguageModel) -> None:
    if not model.card.scores:
        with pytest.raises(Unscorable):
            model.extract(prompt(), TEXTS)
        return
    found = model.extract(prompt(), TEXTS, alternatives=("not in the passages",))
    assert found
    assert [span.logprob for span in found] == sorted((span.logprob for span in found), reverse=True)
    everything = [*TEXTS, "not in the passages"]
    for span in found:
        answers = {everything[place.text][place.start : place.end] for place in span.places}
        assert len(answers) == 1, "one span is one wording"
        (answer,) = answers
        assert answer == answer.strip()
        for place in span.places:
            text = everything[place.text]
            assert not text[place.start - 1 : place.start].isalnum()
            assert not text[place.end : place.end + 1].isalnum()
            assert place.text < len(TEXTS) or answer == "not in the passages"
    list(model.generate(prompt("Something else altogether.\nWhat else?")))
    assert model.extract(prompt(), TEXTS, alternatives=("not in the passages",)) == found


def test_what_a_place_is_worth_moves_its_answers_up(model: LanguageModel) -> None:
    if not model.card.scores:
        return
    for text in range(len(TEXTS)):
        other = TEXTS[1 - text]
        worth = [[] if place == text else [(0, len(other), -200.0)] for place in range(len(TEXTS))]
        best = model.extract(prompt(), TEXTS, worth=worth)[0]
        assert {place.text for place in best.places} == {text}


def test_texts_without_words_give_no_answer_and_long_prompts_are_refused(model: LanguageModel) -> None:
    if not model.card.scores:
        return
    assert model.extract(prompt(), ["— …"]) == []
    with pytest.raises(InvalidQuestion, match=f"{CONTEXT}"):
        model.extract(prompt("word " * 2 * CONTEXT), TEXTS)
    with pytest.raises(Cancelled):
        model.extract(prompt("Tides follow the moon. " * 40), TEXTS, cancelled=lambda: True)
    assert model.extract(prompt(), TEXTS)


def test_closing_twice_is_once(tmp_path: Path) -> None:
    recipe = write_gguf(tmp_path / "tiny.gguf", "qwen2")
    remote = OpenAIModel(
        base_url="http://127.0.0.1:9/v1", api_key="", model="m", context_tokens=CONTEXT, timeout_seconds=1, retries=0
    )
    models: list[LanguageModel] = [FakeLanguageModel(), remote, local(tmp_path / "tiny.gguf", recipe.template, "tiny")]
    for each in models:
        each.close()
        each.close()


def test_statistics_count_what_was_asked_or_are_not_there(model: LanguageModel) -> None:
    before = model.statistics()
    list(model.generate(prompt()))
    after = model.statistics()
    if before is None:
        assert after is None
        return
    assert after is not None
    assert after.prefix_hits + after.prefix_misses == before.prefix_hits + before.prefix_misses + 1
    assert after.running == after.waiting == 0
