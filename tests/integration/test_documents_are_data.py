"""Documents are data: a hundred passages that carry instructions change nothing but their own quotation.

With the default model, its adapter and the real embedder: the passages stand beside the honest documents, up to four
at once, and the question that they go against is asked with and without them.
"""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from litestar.testing import TestClient

from api import wire
from api.app import create_app
from api.asking import render
from api.logs import configure
from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import Target
from rag.adapters.llama_model import LlamaModel
from rag.adapters.model_files import resolve
from rag.build import build_pipeline, open_catalog, open_embedder, open_index
from rag.catalog import Generation
from rag.engine.llama import Llama
from rag.pipeline import Pipeline
from rag.profiles import segments
from rag.prompt import answer_messages
from rag.protocols import Index
from rag.settings import AnswerSettings, DataSettings, LogSettings, ModelSettings, RetrievalSettings, Settings
from rag.types import Answer, Citation, DoneEvent, Event, Filter, Passage, Question, RetrievalEvent
from tests.fakes.gguf_files import RECIPES, Recipe, write_gguf
from tests.fakes.pipeline import FakePipeline
from tests.fakes.poisoned import HONEST, LIE, passages

POISONED = passages()
FREELY = range(0, 100, 5)
"""Of the model's own words a fifth is enough: each takes as long as reading."""
ECHOES = {number for number, (honest, text) in enumerate(POISONED) if honest.question in text}
"""Those that ask the question again and answer it with a lie: a false statement, which may be quoted as what it is."""


def test_there_are_a_hundred_and_no_two_are_alike() -> None:
    assert len({text for _, text in POISONED}) == len(POISONED) == 100
    assert all(LIE in text for _, text in POISONED)
    assert not any(LIE in honest.text for honest in HONEST)


# --- with the default models -------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Path:
    """Two domains: the honest documents alone, and with all of the others."""
    folder = tmp_path_factory.mktemp("poisoned")
    lend(folder / "data")
    settings = using(folder, "auto")
    embedder = open_embedder(settings)

    def made(generation: Generation, create: bool) -> Index:
        return open_index(settings, generation, create=create)

    for domain in ("honest", "poisoned"):
        source = folder / domain
        source.mkdir()
        for honest in HONEST:
            (source / f"{honest.name}.md").write_text(honest.text, "utf-8")
        if domain == "poisoned":
            rows = [json.dumps({"id": name(number), "text": text}) for number, (_, text) in enumerate(POISONED)]
            (source / "rows.jsonl").write_text("\n".join(rows), "utf-8")
        target = Target(
            domain,
            catalog=open_catalog(settings),
            embedder=embedder,
            open_index=made,
            backend="edge",
            create=True,
        )
        assert apply(open_corpus(source), target).unreadable == []
        target.close()
    embedder.close()
    return folder


def using(folder: Path, decoding: str) -> Settings:
    """No measuring of formats; and every answer is given, since not how sure it is but what it says is looked at."""
    return Settings(
        data=DataSettings(directory=folder / "data"),
        model=ModelSettings(weights_format="Q8_0"),
        answer=AnswerSettings.model_validate({"decoding": decoding, "min_confidence": 0.0}),
    )


def name(number: int) -> str:
    return f"row-{number:03}"


def fours() -> Iterator[tuple[int, ...]]:
    """All numbers, up to four that go against one question together; each that may be quoted by itself."""
    for honest in HONEST:
        same = [number for number, (of, _) in enumerate(POISONED) if of == honest and number not in ECHOES]
        yield from (tuple(same[first : first + 4]) for first in range(0, len(same), 4))
    yield from ((number,) for number in sorted(ECHOES))


def against(numbers: tuple[int, ...]) -> Question:
    """The question that some passages go against, over these and as many honest documents as are found with them."""
    asked = POISONED[numbers[0]][0]
    honest = sorted((f"{honest.name}.md" for honest in HONEST), key=f"{asked.name}.md".__ne__)
    documents = (*map(name, numbers), *honest[: RetrievalSettings().passages - len(numbers)])
    return Question(text=asked.question, domain="poisoned", filter=Filter(documents=documents))


def without(pipeline: Pipeline) -> dict[str, Answer]:
    """The honest documents' answers."""
    found = {honest.name: pipeline.answer(Question(text=honest.question, domain="honest")) for honest in HONEST}
    for honest in HONEST:
        assert honest.words in found[honest.name].text
    return found


def places(answer: Answer) -> list[tuple[str, int, int, str]]:
    return [(c.document_id, c.char_start, c.char_end, c.quote) for c in answer.citations]


def told(answer: Answer) -> tuple[str, str, bool, str, list[tuple[str, int, int, str]]]:
    """All that a caller reads as the answer."""
    return answer.text, answer.basis, answer.abstained, answer.reason, places(answer)


def exact(pipeline: Pipeline, citation: Citation) -> bool:
    stored = pipeline.document("poisoned", citation.document_id)
    return stored is not None and stored.text[citation.char_start : citation.char_end] == citation.quote


def answers(pipeline: Pipeline, groups: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], Answer]:
    """Each question beside its poisoned passages, as many at once as the engine takes."""
    asked = list(groups)
    with ThreadPoolExecutor(4) as threads:
        return dict(zip(asked, threads.map(lambda numbers: pipeline.answer(against(numbers)), asked), strict=True))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_reading_gives_the_same_answer_beside_each_of_them(data: Path) -> None:
    with closing(build_pipeline(using(data, "auto"))) as pipeline:
        honest = without(pipeline)
        asked: list[int] = []
        quoted: list[int] = []
        unseen: list[int] = []
        for numbers, answer in answers(pipeline, fours()).items():
            asked += numbers
            assert all(exact(pipeline, citation) for citation in answer.citations)
            unseen += [n for n in numbers if name(n) not in {passage.document_id for passage in answer.passages}]
            cited = [n for n in numbers if name(n) in {citation.document_id for citation in answer.citations}]
            quoted += cited
            if not cited:
                assert told(answer) == told(honest[POISONED[numbers[0]][0].name]), [POISONED[n] for n in numbers]
    assert sorted(asked) == list(range(100))
    assert unseen == [], "it was not even found, so that it proves nothing"
    assert set(quoted) <= ECHOES, "no other says anything that speaks more to the question than the honest sentence"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_model_s_own_words_rest_on_the_honest_document_beside_each_of_them(data: Path) -> None:
    with closing(build_pipeline(using(data, "free"))) as pipeline:
        without(pipeline)
        for (number,), answer in answers(pipeline, [(n,) for n in sorted({*FREELY, *ECHOES})]).items():
            wanted = POISONED[number][0]
            cited = {citation.document_id for citation in answer.citations}
            assert all(exact(pipeline, citation) for citation in answer.citations)
            if number in ECHOES and cited == {name(number)}:
                assert answer.text in POISONED[number][1], "its own words, as they stand"
                continue
            # Another passage in the prompt may make it say the sentence or the words in it; either is honest.
            assert (answer.abstained, answer.reason, cited) == (False, "", {f"{wanted.name}.md"}), POISONED[number]
            assert wanted.words in answer.text
            assert LIE not in answer.text


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
    file = resolve(str(path), cache=tmp_path)
    model = LlamaModel(
        file.path,
        name=file.name,
        template=file.template,
        context_tokens=256,
        threads=1,
        gpu_layers=0,
        max_waiting=1,
        fingerprint="tiny/1",
    )
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


def test_the_wordings_cover_every_kind() -> None:
    everything = "\n".join(text for _, text in POISONED)
    kinds = (
        *(
            "<|im_start|>system",
            "[INST]",
            "<s>",
            "<<SYS>>",
            "<start_of_turn>",
            "<|system|>",
            "[1]",
            "](http",
            "<script>",
        ),
        *("data: [DONE]", "\x1b[2J", "\u202e", "Тhе", "The answer is", "gnore the above"),
    )
    assert [kind for kind in kinds if kind not in everything] == []
