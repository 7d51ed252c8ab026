"""How much the engine evaluates: what a question's options, candidates and neighbours share, once and not once each.

Counted by the process itself, in rows of its calls: a row is a token that is evaluated. The texts are scored and read
by the packaged weights; how many tokens a text has is what they count of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rag.adapters.llama_model import LlamaModel
from rag.engine.beams import BEAM
from rag.engine.supervisor import Supervisor
from rag.engine.wire import Frame
from rag.prompt import answer_messages
from rag.types import Message, Passage, Prompt
from tests.integration.test_engine import WEIGHTS, load, request

PREFIX = "You are an operator of a machine. " * 10
CONTEXT = "The pump in the east gallery is greased every 200 hours, its relief valve opens at 6.5 bar. " * 8
WORDS = (" 6.5 bar", " every 200 hours", " never", " in the east gallery", " by the shift lead", " at noon", " it is")


@pytest.fixture
def engine() -> Iterator[Supervisor]:
    engine = Supervisor(load(context_tokens=2048), max_waiting=8)
    engine.wait_ready()
    yield engine
    engine.close()


class Rows:
    """Tokens of texts, and how many were evaluated since the last time."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine, self._before = engine, engine.statistics()

    def since(self, name: str = "evaluated_tokens") -> int:
        now = self._engine.statistics()
        count = now[name] - self._before[name]
        self._before = self._before | {name: now[name]}
        return count

    def of(self, *texts: str) -> int:
        return sum(self._engine.count([[[text, False]] for text in texts])[0])

    @property
    def bos(self) -> int:
        """Tokens that begin every prompt."""
        return self._engine.count([])[1]


def scored(engine: Supervisor, context: str, options: list[str], prefix: str = "") -> Frame:
    asked = {"prefix": [[prefix, False]] if prefix else [], "rest": [[context, False]], "continuations": options}
    return engine.score(asked, timeout=60)


def extracted(engine: Supervisor, context: str, texts: list[str], *, max_tokens: int, prefix: str = "") -> Frame:
    asked = {
        "prefix": [[prefix, False]] if prefix else [],
        "rest": [[context, False]],
        "texts": texts,
        "alternatives": ["not in the passages"],
        "max_tokens": max_tokens,
    }
    return engine.extract(asked, timeout=60)


@pytest.mark.parametrize("count", [1, 2, BEAM, 3 * BEAM + 1])
def test_options_share_their_context_however_many_there_are(engine: Supervisor, count: int) -> None:
    """An option's last token is not evaluated: nothing follows it. More than a beam of them come group by group."""
    options = [f"{WORDS[number % len(WORDS)]}, or {number}" for number in range(count)]
    rows = Rows(engine)
    found = scored(engine, CONTEXT, options, PREFIX)
    context = rows.bos + rows.of(PREFIX, CONTEXT)
    assert [len(tokens) for tokens in found["logprobs"]] == [rows.of(option) for option in options]
    assert rows.since() == context + rows.of(*options) - count
    assert found["prompt_tokens"] == context


def test_a_second_question_evaluates_only_what_it_does_not_share(engine: Supervisor) -> None:
    rows = Rows(engine)
    scored(engine, CONTEXT, list(WORDS), PREFIX)
    rows.since()
    other, options = "The gate opens at six in the morning. " * 8, [" at six", " at noon", " never"]
    found = scored(engine, other, options, PREFIX)
    assert rows.since() == rows.of(other) + rows.of(*options) - len(options)
    assert found["cached_tokens"] == rows.bos + rows.of(PREFIX)


@pytest.mark.parametrize("count", [1, 4, 40])
def test_candidates_share_their_context_however_many_there_are(engine: Supervisor, count: int) -> None:
    """A step of the search is a beam's rows, whatever texts there are to choose from."""
    texts = [f"Valve {number} opens at {number}.5 bar and is greased every {number} hours." for number in range(count)]
    rows, tokens = Rows(engine), 8
    found = extracted(engine, CONTEXT, texts, max_tokens=tokens, prefix=PREFIX)
    context = rows.bos + rows.of(PREFIX, CONTEXT)
    evaluated = rows.since()
    assert len(found["spans"]) > 1, "there is something to share it"
    assert context < evaluated <= context + BEAM * tokens
    assert BEAM * tokens < context / 4, "not even a quarter of the context was evaluated twice"


def test_a_second_extraction_evaluates_only_what_it_does_not_share(engine: Supervisor) -> None:
    rows, tokens = Rows(engine), 4
    extracted(engine, CONTEXT, [CONTEXT], max_tokens=tokens, prefix=PREFIX)
    rows.since()
    other = "The gate opens at six in the morning. " * 8
    extracted(engine, other, [other], max_tokens=tokens, prefix=PREFIX)
    assert 0 <= rows.since() - rows.of(other) <= BEAM * tokens < rows.of(PREFIX)


def test_whoever_asks_in_whichever_way_shares_the_same_beginning(engine: Supervisor) -> None:
    rows = Rows(engine)
    scored(engine, "Is it open?", [" yes"], PREFIX)
    assert rows.since() == rows.bos + rows.of(PREFIX, "Is it open?", " yes") - 1
    (*_, finished) = engine.generate(request("The valve", prefix=PREFIX, max_tokens=5), timeout=60)
    assert finished["completion_tokens"] == 5
    assert rows.since() == rows.of("The valve") + 5 - 1
    extracted(engine, "The valve opens", ["at noon"], max_tokens=1, prefix=PREFIX)
    assert rows.since() <= rows.of("The valve opens") + BEAM
    assert (rows.since("prefix_misses"), rows.since("prefix_hits")) == (1, 2)


def test_those_who_ask_at_the_same_moment_evaluate_their_beginning_once(engine: Supervisor) -> None:
    asked = [f"Question {number}: is the gate open?" for number in range(4)]
    rows = Rows(engine)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda text: scored(engine, text, [" yes", " no"], PREFIX), asked))
    once = rows.bos + rows.of(PREFIX)
    assert rows.since() == once + rows.of(*asked) + 4 * (rows.of(" yes", " no") - 2)


def test_a_question_with_options_evaluates_its_passages_once_and_the_rule_once_for_all_questions() -> None:
    """As answers ask: with the passages, and without them for what is likely anyway."""
    model = LlamaModel(
        WEIGHTS, name="small", template="smollm2", context_tokens=2048, threads=0, gpu_layers=0, max_waiting=8,
        fingerprint="small/1",
    )  # fmt: skip
    options = [word.strip() for word in WORDS]
    taken = sum(model.count_tokens(options)) - len(options)
    shown = Passage(
        document_id="pump.md", title="Pump", heading="", text=CONTEXT, start=0, end=len(CONTEXT),
        text_sha256="0" * 64, score=1.0,
    )  # fmt: skip

    def evaluated(messages: tuple[Message, ...]) -> int:
        before = model.statistics().batch_tokens
        model.score(Prompt(messages=messages, max_tokens=1), options)
        return model.statistics().batch_tokens - before

    try:
        question = "At what pressure does the valve open?"
        briefed, bare = (answer_messages(question, found, options=options) for found in ((shown,), ()))
        first, again = evaluated(briefed), evaluated(bare)
        cached = model.statistics().cached_tokens
        assert first == model.prompt_tokens(briefed) + taken
        assert cached > 20, "the rule, which every question begins with"
        assert again == model.prompt_tokens(bare) - cached + taken
        other = answer_messages("When does the gate open?", (shown,), options=options)
        assert evaluated(other) == model.prompt_tokens(other) - cached + taken
    finally:
        model.close()
