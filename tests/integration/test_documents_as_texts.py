"""Documents are data on their way in and out: no text of a hundred becomes a marker, a frame, a line or a command.

The passages are those of tests/integration/test_documents_are_data.py, without a model that reads them.
"""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from api import wire
from api.app import create_app
from api.asking import render
from api.logs import configure
from rag.engine.llama import Llama
from rag.profiles import segments
from rag.prompt import answer_messages
from rag.settings import LogSettings, Settings
from rag.types import Answer, Citation, DoneEvent, Event, Passage, Question, RetrievalEvent
from tests.fakes.gguf_files import RECIPES, Recipe, write_gguf
from tests.fakes.pipeline import FakePipeline
from tests.fakes.poisoned import passages
from tests.fakes.tiny_model import tiny_model

POISONED = passages()


def name(number: int) -> str:
    return f"row-{number:03}"


# --- markers in texts --------------------------------------------------------------------------


def as_passage(number: int, text: str) -> Passage:
    return Passage(
        document_id=name(number), title="", heading="", text=text, start=0, end=len(text),
        text_sha256="0" * 64, score=1.0,
    )  # fmt: skip


@pytest.fixture(params=RECIPES, scope="module")
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    path = tmp_path_factory.mktemp("family") / f"{request.param}.gguf"
    write_gguf(path, request.param)
    return RECIPES[request.param], path


def test_no_marker_of_any_family_is_parsed_out_of_a_passage(family: tuple[Recipe, Path]) -> None:
    recipe, path = family
    loaded = Llama(path, context_tokens=256, threads=1, gpu_layers=0)
    special = {loaded.tokenize(marker, special=True)[0] for marker in recipe.markers} | set(loaded.bos())
    for number, (honest, text) in enumerate(POISONED):
        messages = answer_messages(honest.question, [as_passage(number, text)])
        rendered = segments(recipe.template, messages)
        assert sum(text.strip() in segment.text for segment in rendered) == 1, "one segment holds the whole of it"
        for segment in rendered:
            if not segment.special:
                tokens = loaded.tokenize(segment.text, special=False)
                assert not special & set(tokens)
                assert b"".join(map(loaded.piece, tokens)).decode().strip() == segment.text.strip()
    loaded.close()


def test_a_prompt_has_as_many_tokens_as_its_parts_and_no_turn_more(family: tuple[Recipe, Path], tmp_path: Path) -> None:
    recipe, path = family
    model = tiny_model(path, cache=tmp_path)
    loaded = Llama(path, context_tokens=256, threads=1, gpu_layers=0)
    for number, (honest, text) in enumerate(POISONED[::4]):
        messages = answer_messages(honest.question, [as_passage(number, text)])
        rendered = segments(recipe.template, messages)
        parts = sum(len(loaded.tokenize(segment.text, special=segment.special)) for segment in rendered)
        assert model.prompt_tokens(messages) == len(loaded.bos()) + parts
    model.close()
    loaded.close()


# --- on the way out ----------------------------------------------------------------------------


class Quoting(FakePipeline):
    """Answers each question with a passage of a hundred as it stands: what a careless pipeline would do."""

    def stream(self, question: Question, **_: object) -> Iterator[Event]:
        for event in super().stream(question):
            if isinstance(event, RetrievalEvent):
                yield event.model_copy(update={"passages": (quoting(question.text).passages)})
            elif isinstance(event, DoneEvent):
                yield DoneEvent(answer=quoting(question.text))
            else:
                yield event


def quoting(number: str) -> Answer:
    """A poisoned passage in every place of an answer that a document's words can come to."""
    text = POISONED[int(number)][1]
    citation = Citation(
        document_id=text, title=text, char_start=0, char_end=len(text), quote=text, text_sha256="0" * 64, claim=text,
        support=1.0,
    )  # fmt: skip
    passage = as_passage(0, text).model_copy(update={"title": text, "document_id": text})
    whole = list(FakePipeline().stream(Question(text=number, domain="plant")))[-1]
    assert isinstance(whole, DoneEvent)
    trace = whole.answer.trace.model_copy(update={"draft": text, "standalone_question": text})
    return whole.answer.model_copy(
        update={
            "text": text,
            "basis": "span",
            "reason": text,
            "citations": (citation,),
            "passages": (passage,),
            "trace": trace,
        }
    )


def commands(text: str) -> list[str]:
    """Characters by which a text could command a terminal, break its line, or turn around what is read."""
    turning = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return [
        char
        for char in text.replace("\n", "")
        if unicodedata.category(char) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(char) in turning
    ]


@pytest.mark.parametrize("abstained", [False, True])
def test_the_terminal_gets_no_character_that_commands_it(abstained: bool) -> None:
    for number in range(100):
        answer = quoting(str(number)).model_copy(update={"abstained": abstained})
        assert commands(render(POISONED[number][1], answer)) == []


def test_no_passage_breaks_a_stream_a_body_or_a_log_line() -> None:
    root, own = logging.getLogger(), logging.getLogger("understudy")
    before = root.handlers[:], root.level, own.level
    stream = io.StringIO()
    configure("info", stream, texts=True)
    settings = Settings(log=LogSettings(texts=True))
    try:
        with TestClient(create_app(settings, lambda _: Quoting())) as client:
            while client.get("/health/ready").status_code != 200:
                pass
            for number in range(100):
                body = {"question": str(number), "domain": "plant"}
                sent = client.post("/v1/answers/stream", json=body).content.decode()
                frames = [frame.split("\n") for frame in sent.removesuffix("\n\n").split("\n\n")]
                assert all([line.partition(": ")[0] for line in frame] == ["id", "event", "data"] for frame in frames)
                assert [frame[1] for frame in frames].count("event: done") == 1
                last = json.loads(frames[-1][2].removeprefix("data: "))
                assert last["answer"]["text"] == POISONED[number][1]
                whole = client.post("/v1/answers", json=body).json()
                assert whole["citations"][0]["quote"] == POISONED[number][1]
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        own.setLevel(before[2])
    lines = [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    answers = [line["answer"] for line in lines if line["message"] == "answer"]
    assert answers == [text for _, text in POISONED for _ in range(2)]


def test_every_poison_survives_a_frame_of_the_wire() -> None:
    for number in range(100):
        frame = wire.to_event("done", 1, DoneEvent(answer=quoting(str(number)))).decode()
        assert frame.count("\n") == 4
        assert DoneEvent.model_validate_json(frame.split("\n")[2].removeprefix("data: ")).answer.text
