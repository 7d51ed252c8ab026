"""A large model asked over a real socket: recorded once, replayed with the server off, never mixed or over the cap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest

from evaluation.cost import ModelPrice
from evaluation.live import LiveModel, Recording, recorded_model
from evaluation.suites import SuiteQuestion, Use
from rag.adapters.openai_model import OpenAIModel
from rag.errors import InvalidCorpus, InvalidSettings, ModelUnreachable
from rag.types import Passage, Question
from tests.fakes.language_model import FakeLanguageModel
from tests.fakes.openai_server import OpenAIServer, Reply, chunk, failure, serving
from tests.fakes.pipeline import passage

PRICE = ModelPrice(
    name="big", usd_per_million_tokens=10.0, usd_per_million_output_tokens=30.0, date=date(2026, 1, 2), source="a list"
)
QUESTIONS = [
    SuiteQuestion(
        id=str(n), question=f"Where does line {n} end?", answers=("Oslo",), use=Use.ANSWERABLE, file="q", line=n + 1
    )
    for n in range(3)
]


def find(question: Question) -> Sequence[Passage]:
    return [passage()]


Remote = Callable[[OpenAIServer], OpenAIModel]


@pytest.fixture
def remote() -> Iterator[Remote]:
    """Models of a server, closed after the test."""
    with ExitStack() as stack:

        def model(server: OpenAIServer) -> OpenAIModel:
            made = OpenAIModel(
                base_url=server.url, api_key="", model="big", context_tokens=4096, timeout_seconds=30, retries=0
            )
            stack.callback(made.close)
            return made

        yield model


def live(recording: Recording, model: OpenAIModel | None, max_usd: float = 1.0) -> LiveModel:
    return LiveModel("big", recording, find=find, domain="plant", model=model, price=PRICE, max_usd=max_usd)


def test_what_was_recorded_is_replayed_with_the_server_off_and_not_paid_for_again(
    tmp_path: Path, remote: Remote
) -> None:
    path = tmp_path / "llm.jsonl"
    with serving() as server, Recording(path, "big") as recording:
        arms = live(recording, remote(server)).runners()
        said = [arms[arm](q) for q in QUESTIONS for arm in ("llm", "llm+rag")]
        assert len(server.bodies) == 6
        again = [arms[arm](q) for q in QUESTIONS for arm in ("llm", "llm+rag")]
        assert len(server.bodies) == 6
        assert again == said
        spent = recording.spent
    first = said[0]
    assert first.usd == pytest.approx((10 * first.prompt_tokens + 30 * first.completion_tokens) / 1e6)
    assert spent == pytest.approx(sum(record.usd for record in said))
    assert passage().text in server.bodies[1]["messages"][-1]["content"]
    assert passage().text not in server.bodies[0]["messages"][-1]["content"]
    assert recorded_model(path) == "big"
    with Recording(path, "big") as recording:
        arms = live(recording, None).runners()
        assert [arms[arm](q) for q in QUESTIONS for arm in ("llm", "llm+rag")] == said
    line = path.read_text("utf-8").splitlines()[0]
    assert all(part in line for part in ("2026-01-02", "a list", "prompt_sha256", server.url))


def test_one_changed_character_of_the_prompt_is_refused(tmp_path: Path, remote: Remote) -> None:
    with serving() as server, Recording(tmp_path / "llm.jsonl", "big") as recording:
        arms = live(recording, remote(server)).runners()
        arms["llm"](QUESTIONS[0])
        changed = QUESTIONS[0].model_copy(update={"question": QUESTIONS[0].question.replace("?", ".")})
        with pytest.raises(InvalidCorpus, match="another prompt"):
            arms["llm"](changed)
        assert len(server.bodies) == 1


def test_a_recording_of_another_model_is_refused(tmp_path: Path, remote: Remote) -> None:
    with serving() as server, Recording(tmp_path / "llm.jsonl", "big") as recording:
        live(recording, remote(server)).runners()["llm"](QUESTIONS[0])
    with pytest.raises(InvalidCorpus, match="is the recording of 'big'"):
        Recording(tmp_path / "llm.jsonl", "bigger")


def test_the_cap_stops_before_it_is_passed_and_a_higher_one_goes_on(tmp_path: Path, remote: Remote) -> None:
    with serving() as server, Recording(tmp_path / "llm.jsonl", "big") as recording:
        cost = live(recording, remote(server)).runners()["llm"](QUESTIONS[0]).usd
        arms = live(recording, remote(server), max_usd=cost * 1.5).runners()
        with pytest.raises(InvalidSettings, match="--max-usd"):
            arms["llm"](QUESTIONS[1])
        assert len(server.bodies) == 1
        assert recording.spent <= cost * 1.5
        live(recording, remote(server), max_usd=1.0).runners()["llm"](QUESTIONS[1])
        assert len(server.bodies) == 2


def test_a_line_that_a_kill_cut_is_taken_off_and_asked_again(tmp_path: Path, remote: Remote) -> None:
    path = tmp_path / "llm.jsonl"
    with serving() as server:
        with Recording(path, "big") as recording:
            arms = live(recording, remote(server)).runners()
            whole = [arms["llm"](q) for q in QUESTIONS]
        path.write_bytes(path.read_bytes()[:-20])
        with Recording(path, "big") as recording:
            arms = live(recording, remote(server)).runners()
            assert [arms["llm"](q).text for q in QUESTIONS] == [record.text for record in whole]
        assert len(server.bodies) == 4


def test_an_answer_that_was_withheld_counts_as_a_failure_and_an_outage_ends_the_run(
    tmp_path: Path, remote: Remote
) -> None:
    with serving(FakeLanguageModel()) as server, Recording(tmp_path / "llm.jsonl", "big") as recording:
        arms = live(recording, remote(server)).runners()
        server.script.append(server_withholds())
        record = arms["llm"](QUESTIONS[0])
        assert record.failure.startswith("answer_withheld")
        assert recording.find("llm", "0", record.prompt_sha256) is not None
        server.script.append(failure(500, "out of order"))
        with pytest.raises(ModelUnreachable):
            arms["llm"](QUESTIONS[1])
        assert arms["llm"](QUESTIONS[1]).failure == ""


def server_withholds() -> Reply:
    return Reply(lines=(chunk("A"), chunk(finish="content_filter"), "data: [DONE]"))


def test_a_replay_without_the_answer_says_what_is_missing(tmp_path: Path) -> None:
    with Recording(tmp_path / "llm.jsonl", "big") as recording, pytest.raises(InvalidCorpus, match="--llm-url"):
        live(recording, None).runners()["llm"](QUESTIONS[0])
