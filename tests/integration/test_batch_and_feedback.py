"""Batches and feedback against a real server: order, fairness, callers who leave, what an evaluation reads later."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.feedback_store import Feedback, FeedbackStore
from api.keys import Keys
from evaluation.suites import read_suite
from rag.catalog import Catalog
from rag.settings import Settings, load
from rag.types import Answer
from tests.fakes.pipeline import FakePipeline
from tests.fakes.server import served
from tests.integration.test_api_server import raw_request, ready, until

ROOT = Path(__file__).parents[2]


def ask(text: str, domain: str = "plant") -> dict[str, str]:
    return {"question": text, "domain": domain}


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "domains" / "plant").mkdir(parents=True)
    return load({"UNDERSTUDY_DATA__DIRECTORY": str(tmp_path), "UNDERSTUDY_SERVER__MAX_FEEDBACK": "3"})


@pytest.fixture
def url(pipeline: FakePipeline, settings: Settings) -> Iterator[str]:
    with served(lambda _: pipeline, settings) as url:
        assert until(lambda: ready(url))
        yield url


# --- batches -----------------------------------------------------------------------------------


def test_each_question_has_its_answer_or_its_problem_in_its_place(url: str) -> None:
    questions = [ask("first"), ask("x", "nowhere"), ask(" "), ask("late"), ask("nothing"), ask("last")]
    said = httpx.post(f"{url}/v1/answers/batch", json={"questions": questions})
    assert said.status_code == 200
    items = said.json()["items"]
    assert [item["index"] for item in items] == list(range(6))
    codes = [item["problem"] and item["problem"]["code"] for item in items]
    assert codes == [None, "unknown_domain", "invalid_question", "engine_died", None, None]
    answers = [Answer.model_validate(item["answer"]) for item in items if item["answer"]]
    assert [answer.trace.standalone_question for answer in answers] == ["first", "nothing", "last"]


def test_a_streamed_batch_is_a_line_a_question_as_each_is_finished(url: str, pipeline: FakePipeline) -> None:
    body = {"questions": [ask("first"), ask("slow"), ask("x", "nowhere")], "stream": True}
    with httpx.stream("POST", f"{url}/v1/answers/batch", json=body) as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = response.iter_lines()
        assert json.loads(next(lines))["index"] == 0
        assert "slow" not in pipeline.finished
        assert sorted(json.loads(line)["index"] for line in lines) == [1, 2]


def test_a_batch_lets_others_in_between(url: str, pipeline: FakePipeline) -> None:
    pipeline.tokens = 5
    questions = [ask(f"slow {number}") for number in range(20)]
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(httpx.post, f"{url}/v1/answers/batch", json={"questions": questions}, timeout=60)
        assert until(lambda: len(pipeline.finished) >= 2)
        assert httpx.post(f"{url}/v1/answers", json=ask("another's")).status_code == 200
        assert len(pipeline.finished) < 10
        items = batch.result().json()["items"]
    assert [item["answer"]["trace"]["standalone_question"] for item in items] == [q["question"] for q in questions]


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_has_the_rest_left_unasked(url: str, pipeline: FakePipeline, stream: bool) -> None:
    body = {"questions": [ask(f"slow {number}") for number in range(5)], "stream": stream}
    connection = raw_request(url, "/v1/answers/batch", body)  # type: ignore[arg-type]  # any JSON object will do
    assert until(lambda: pipeline.started != [])
    connection.close()
    assert pipeline.cancelled.wait(1.0)
    assert httpx.post(f"{url}/v1/answers", json=ask("next")).status_code == 200
    # two of a batch are in work at most, whatever the number of workers
    assert set(pipeline.started) <= {"slow 0", "slow 1", "next"}


def test_a_full_queue_is_waited_for_once_the_batch_has_begun() -> None:
    pipeline = FakePipeline(pace=0.01, tokens=20)
    with served(lambda _: pipeline, load({"UNDERSTUDY_SERVER__MAX_WAITING": "1"})) as url:
        assert until(lambda: ready(url))
        with ThreadPoolExecutor(2) as pool:
            body = {"questions": [ask(f"slow {number}") for number in range(4)]}
            first = pool.submit(httpx.post, f"{url}/v1/answers/batch", json=body, timeout=60)
            assert until(lambda: pipeline.started != [])
            second = pool.submit(httpx.post, f"{url}/v1/answers/batch", json=body, timeout=60)
            said = [first.result(), second.result()]
    for response in said:
        # who comes to a full queue is told so at once; a batch that was let in is finished
        assert response.status_code == 503 or all(item["answer"] for item in response.json()["items"])
    assert said[0].status_code == 200


def test_every_question_of_a_batch_counts_in_the_key_s_limit(settings: Settings) -> None:
    _, key = Keys(settings.data.directory).create("desk", scopes=["read"], domains=["plant"], requests_per_minute=10)
    with served(lambda _: FakePipeline(), settings) as url:
        assert until(lambda: ready(url))
        with httpx.Client(base_url=url, headers={"X-API-Key": key}) as client:
            body = {"questions": [ask(f"{number}") for number in range(8)]}
            said = client.post("/v1/answers/batch", json=body)
            assert (said.status_code, said.headers["ratelimit-remaining"]) == (200, "2")
            assert client.post("/v1/answers/batch", json=body).status_code == 200  # let in, and six of it owed
            refused = client.post("/v1/answers", json=ask("next"))
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) <= 42  # six owed and one more, of ten a minute


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_of_none_or_too_many_is_refused(url: str, count: int) -> None:
    refused = httpx.post(f"{url}/v1/answers/batch", json={"questions": [ask("x")] * count})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "questions")


# --- feedback ----------------------------------------------------------------------------------


def tell(url: str, **fields: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/feedback", json={"request_id": "r1", "domain": "plant", "rating": "up"} | fields)


def test_what_was_said_of_an_answer_is_read_by_the_evaluation(url: str, settings: Settings, tmp_path: Path) -> None:
    answered = httpx.post(f"{url}/v1/answers", json=ask("How often?"))
    identity = answered.headers["x-request-id"]
    right = {"question": "How often?", "answer": answered.json()["text"]}
    assert tell(url, request_id=f"chatcmpl-{identity}", **right).status_code == 204
    wrong = {"question": "Which line?", "rating": "incorrect", "right_answer": "Line 4", "comment": "it is told"}
    assert tell(url, request_id="r2", **wrong).status_code == 204
    assert tell(url, request_id="r3", rating="down").status_code == 204
    assert tell(url, request_id="r3", rating="up").status_code == 204

    path = Catalog(settings.data.directory).feedback_path("plant")
    assert [(item.request_id, item.rating) for item in FeedbackStore(path, most=3).all()] == [
        (identity, "up"),
        ("r2", "incorrect"),
        ("r3", "up"),
    ]
    (settings.data.directory / "domains" / "plant" / "current").write_text("g000001")
    done = subprocess.run(
        [sys.executable, "-m", "api", "feedback", "export", "--domain", "plant", "--out", str(tmp_path / "told.jsonl")],
        cwd=ROOT,
        env={"UNDERSTUDY_DATA__DIRECTORY": str(settings.data.directory), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "2 questions; 1 without a question or a right answer left out\n")
    suite, problems = read_suite(tmp_path / "told.jsonl")
    assert problems == []
    assert [(q.id, q.question, q.answers) for q in suite.questions] == [
        (identity, "How often?", ("Every 200 hours",)),
        ("r2", "Which line?", ("Line 4",)),
    ]


def test_beyond_the_bound_the_oldest_goes(url: str, settings: Settings) -> None:
    for number in range(5):
        assert tell(url, request_id=f"r{number}").status_code == 204
    kept = FeedbackStore(Catalog(settings.data.directory).feedback_path("plant"), most=3).all()
    assert [item.request_id for item in kept] == ["r2", "r3", "r4"]


def test_feedback_from_many_at_once_is_all_there(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path / "feedback.sqlite", most=1000)
    told = [Feedback(request_id=f"r{number}", domain="plant", rating="up") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.keep, told))  # each waits for the others, and for the disk
    assert {item.request_id for item in store.all()} == {item.request_id for item in told}


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"domain": "nowhere"}, 404), ({"rating": "meh"}, 400), ({"request_id": ""}, 400), ({"comment": "x" * 4001}, 400)],
)
def test_feedback_that_does_not_fit_is_refused(url: str, fields: dict[str, str], status: int) -> None:
    assert tell(url, **fields).status_code == status


def test_a_domain_that_is_not_there_has_nothing_to_export(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api", "feedback", "export", "--domain", "nowhere"],
        cwd=ROOT,
        env={"UNDERSTUDY_DATA__DIRECTORY": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no domain 'nowhere'" in done.stderr
