"""Many callers of one service: the same question is worked on once, each key has its share, nobody waits for ever."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.keys import Keys
from rag.errors import Cancelled
from rag.protocols import Vectors
from rag.settings import Settings, load
from rag.types import Event, Passage, Question, RetrievalMode
from tests.fakes.pipeline import FakePipeline
from tests.fakes.server import served
from tests.integration.test_api_server import ready
from tests.integration.test_api_server import until as until_within

ASK = {"question": "How often?", "domain": "plant"}
MANY = 50
PATIENCE = 60.0
"""Seconds: a machine that is busy with something else is slow, not wrong."""


def until(condition: Callable[[], bool]) -> bool:
    return until_within(condition, PATIENCE)


class Gated(FakePipeline):
    """Begins to answer, to search or to embed, and goes on once the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.begun: list[str] = []
        self.searches = self.embeddings = 0

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        self.begun.append(question.text)
        while not self.gate.wait(0.005):
            if cancelled is not None and cancelled():
                raise Cancelled("the caller went away")
        yield from super().stream(question, cancelled=lambda: False)

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        self.searches += 1
        assert self.gate.wait(2 * PATIENCE)
        return super().passages(question, mode=mode)

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        self.embeddings += 1
        assert self.gate.wait(2 * PATIENCE)
        return super().embed(texts)


@pytest.fixture
def pipeline() -> Iterator[Gated]:
    pipeline = Gated()
    yield pipeline
    pipeline.gate.set()


def settings(folder: Path, **server: int) -> Settings:
    chosen = {f"UNDERSTUDY_SERVER__{name.upper()}": str(value) for name, value in server.items()}
    return load({"UNDERSTUDY_DATA__DIRECTORY": str(folder), "UNDERSTUDY_SERVER__WORKERS": "1"} | chosen)


def client(url: str) -> httpx.Client:
    """One for a whole test: what it takes to make one would be most of the time."""
    return httpx.Client(base_url=url, timeout=2 * PATIENCE, limits=httpx.Limits(max_connections=2 * MANY))


def measured(client: httpx.Client, key: str, name: str) -> dict[str, float]:
    """A metric's values by its only label."""
    text = client.get("/metrics", headers={"X-API-Key": key} if key else {}).text
    told = re.findall(rf'^{name}\{{\w+="(\w+)"\}} (\S+)$', text, re.MULTILINE)
    return {label: float(value) for label, value in told}


def test_fifty_callers_with_the_same_question_are_answered_by_one_answer(pipeline: Gated, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    callers = [keys.create(name, scopes=["read"], domains=["plant"])[1] for name in ("one", "two")]
    _, admin = keys.create("admin", scopes=["admin"], domains=None)

    with (
        served(lambda _: pipeline, settings(tmp_path, max_waiting_each=MANY)) as url,
        client(url) as http,
        ThreadPoolExecutor(MANY) as threads,
    ):
        assert until(lambda: ready(url))

        def ask(number: int) -> httpx.Response:
            return http.post("/v1/answers", json=ASK, headers={"X-API-Key": callers[number % len(callers)]})

        asked = [threads.submit(ask, number) for number in range(MANY)]
        assert until(lambda: measured(http, admin, "understudy_answers_spared_total")["joined"] == MANY - 1)
        pipeline.gate.set()
        told = [each.result() for each in asked]
    assert {response.status_code for response in told} == {200}
    assert len({response.content for response in told}) == 1
    assert pipeline.begun == pipeline.started == ["How often?"]


def test_a_key_beyond_its_share_is_refused_while_another_is_served(pipeline: Gated, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    greedy, modest = (keys.create(name, scopes=["read"], domains=["plant"])[1] for name in ("greedy", "modest"))
    _, admin = keys.create("admin", scopes=["admin"], domains=None)

    with (
        served(lambda _: pipeline, settings(tmp_path, max_waiting=8, max_waiting_each=2)) as url,
        client(url) as http,
        ThreadPoolExecutor(4) as threads,
    ):
        assert until(lambda: ready(url))

        def ask(key: str, text: str) -> httpx.Response:
            return http.post("/v1/answers", json=ASK | {"question": text}, headers={"X-API-Key": key})

        def taken(count: int) -> bool:
            return sum(measured(http, admin, "understudy_answers_open").values()) == count

        first = threads.submit(ask, greedy, "first")
        assert until(lambda: pipeline.begun == ["first"])
        waiting = [threads.submit(ask, greedy, f"waits {number}") for number in range(2)]
        assert until(lambda: taken(3))
        refused = ask(greedy, "too many")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) >= 1
        other = threads.submit(ask, modest, "another's")
        assert until(lambda: taken(4))
        pipeline.gate.set()
        assert [each.result().status_code for each in (first, *waiting, other)] == [200] * 4
    assert pipeline.finished[:2] == ["first", "another's"], "of a caller who had no turn yet"


def test_a_deadline_of_the_caller_s_own_ends_the_waiting(pipeline: Gated, tmp_path: Path) -> None:
    with served(lambda _: pipeline, settings(tmp_path)) as url, client(url) as http:
        assert until(lambda: ready(url))
        late = http.post("/v1/answers", json=ASK | {"timeout_seconds": 0.2})
        assert (late.status_code, late.json()["code"]) == (503, "model_timeout")
        assert "0.2 s" in late.json()["detail"]
        pipeline.gate.set()
        assert http.post("/v1/answers", json=ASK).status_code == 200


def test_whose_turn_would_come_too_late_is_told_when_to_come_back_and_so_is_who_ran_out_of_time(
    pipeline: Gated, tmp_path: Path
) -> None:
    with (
        served(lambda _: pipeline, settings(tmp_path)) as url,
        client(url) as http,
        ThreadPoolExecutor(6) as threads,
    ):
        assert until(lambda: ready(url))
        ahead = [threads.submit(http.post, "/v1/answers", json=ASK | {"question": f"{n}?"}) for n in range(5)]
        assert until(lambda: len(pipeline.begun) == 1)
        assert until(lambda: sum(measured(http, "", "understudy_answers_open").values()) == 5)
        # Nothing is measured yet: a second is expected of each of the five ahead.
        refused = http.post("/v1/answers", json=ASK | {"timeout_seconds": 2})
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("model_busy", "3")
        late = http.post("/v1/answers", json=ASK | {"timeout_seconds": 5.2})
        assert (late.json()["code"], late.headers["retry-after"]) == ("model_timeout", "6")
        pipeline.gate.set()
        assert [each.result().status_code for each in ahead] == [200] * 5


def test_a_kept_answer_is_given_again_without_being_made_again(pipeline: Gated, tmp_path: Path) -> None:
    pipeline.gate.set()
    with served(lambda _: pipeline, settings(tmp_path, kept_answers=5)) as url, client(url) as http:
        assert until(lambda: ready(url))
        told = [http.post("/v1/answers", json=ASK) for _ in range(3)]
    assert [response.status_code for response in told] == [200] * 3
    assert len({response.content for response in told}) == 1
    assert pipeline.finished == ["How often?"]


def test_searching_and_embedding_have_places_of_their_own_and_say_when_one_is_free(
    pipeline: Gated, tmp_path: Path
) -> None:
    search = ("/v1/passages", ASK)
    embed = ("/v1/embeddings", {"model": pipeline.embedder_name, "input": "a pump"})
    with (
        served(lambda _: pipeline, settings(tmp_path, max_waiting=1)) as url,
        client(url) as http,
        ThreadPoolExecutor(12) as threads,
    ):
        assert until(lambda: ready(url))

        def post(asked: tuple[str, dict[str, str]]) -> httpx.Response:
            return http.post(asked[0], json=asked[1])

        embedding = [threads.submit(post, embed) for _ in range(6)]  # one is worked on, one waits
        assert until(lambda: pipeline.embeddings == 1 and sum(each.done() for each in embedding) == 4)
        assert pipeline.searches == 0
        searching = [threads.submit(post, search) for _ in range(6)]  # two are worked on, one waits
        assert until(lambda: pipeline.searches == 2 and sum(each.done() for each in searching) == 3)
        refused = [each.result() for each in (*embedding, *searching) if each.done()]
        assert [(each.status_code, each.headers["retry-after"]) for each in refused] == [(503, "1")] * 7
        pipeline.gate.set()
        assert sorted(each.result().status_code for each in embedding) == [200, 200, 503, 503, 503, 503]
        assert sorted(each.result().status_code for each in searching) == [200, 200, 200, 503, 503, 503]


def test_a_key_that_searches_beyond_its_share_is_refused_and_another_is_not(pipeline: Gated, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    greedy, modest = (keys.create(name, scopes=["read"], domains=["plant"])[1] for name in ("greedy", "modest"))
    done: list[str] = []
    with (
        served(lambda _: pipeline, settings(tmp_path, max_waiting=12, max_waiting_each=4)) as url,
        client(url) as http,
        ThreadPoolExecutor(12) as threads,
    ):
        assert until(lambda: ready(url))

        def search(key: str) -> httpx.Response:
            response = http.post("/v1/passages", json=ASK, headers={"X-API-Key": key})
            done.append(f"{'greedy' if key == greedy else 'modest'} {response.status_code}")
            return response

        asked = [threads.submit(search, greedy) for _ in range(8)]  # two are worked on, four wait
        assert until(lambda: pipeline.searches == 2 and len(done) == 2)
        assert done == ["greedy 429"] * 2
        other = threads.submit(search, modest)
        pipeline.gate.set()
        assert other.result().status_code == 200
        assert sorted(each.result().status_code for each in asked) == [200] * 6 + [429] * 2
