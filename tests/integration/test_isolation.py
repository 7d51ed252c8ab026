"""A key of one domain never gets a byte of another from what really answers, with the default models.

That is the vectors that an embedder remembers, the answers that are kept, the beginnings of prompts that an engine
keeps evaluated, and the index on the disk. As tests/unit/api/test_isolation.py asks small pipelines, whose requests
these are. Two services have a copy of the same domain; one has another beside it, of the same sentences with a mark in
all but one, whose owner asked the same questions before. What is said to a caller must be the same to the last digit.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.service import Answering
from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import Target
from rag.build import build_pipeline, open_catalog, open_embedder, open_index
from rag.settings import DataSettings, ModelSettings, Settings
from tests.fakes.tenants import mark
from tests.fakes.worlds import FOREIGN, MINE, Worlds
from tests.unit.api.test_isolation import ROUTES, Drawn, check_nothing_leaks, requests

pytestmark = pytest.mark.slow

EXAMPLES = 200
MODEL = ModelSettings(weights_format="as-shipped", threads=1)
SENTENCES = (
    "The filter of line {line} is changed every {hours} hours.",
    "A clogged filter stops line {line}, because the pump then draws air.",
)
BOTH = "The shift lead signs for it in the blue book."
"""Stands in both domains as it is: its vector is remembered from whoever asked first."""
QUESTIONS = (
    "How often is the filter of line 4 changed?",
    "Who signs for the filter of line 4?",
    "Explain why a clogged filter stops line 4.",
    "Which capital hosted Olympic fencing?",
)


def written(folder: Path, said: str) -> Path:
    """Documents of some lines, with something said in every sentence but one, and in titles."""
    (folder / "documents").mkdir(parents=True)
    about = f'name = "{folder.name}"\ntitle = "Lines {said}"\nlanguage = "en"\n'
    (folder / "corpus.toml").write_text(f'[corpus]\n{about}\n[filterable]\nline = "integer"\n')
    for line in (4, 5, 6):
        marked = [sentence.format(line=line, hours=50 * line).replace(".", f" {said}.") for sentence in SENTENCES]
        text = " ".join([*(marked if said else [sentence.replace(" .", ".") for sentence in marked]), BOTH])
        (folder / "documents" / f"line{said}{line}.md").write_text(
            f"---\nline: {line}\n---\n# Line {line} {said}\n\n{text}\n"
        )
    return folder


def ingested(data: Path, domain: str, folder: Path) -> None:
    chosen = Settings(data=DataSettings(directory=data), model=MODEL)
    corpus, embedder = open_corpus(folder), open_embedder(chosen)
    target = Target(
        domain,
        catalog=open_catalog(chosen),
        embedder=embedder,
        open_index=lambda generation, create: open_index(chosen, generation, create=create),
        backend="edge",
        create=True,
        fields=corpus.declaration.filterable,
    )
    assert apply(corpus, target).unreadable == []
    target.close()
    embedder.close()


def real(given: Settings, _: tuple[str, ...]) -> Answering:
    """What is served over a data directory."""
    return build_pipeline(given.model_copy(update={"model": MODEL}))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Iterator[Worlds]:
    folder = tmp_path_factory.mktemp("worlds")
    mine, foreign = written(folder / "mine", ""), written(folder / "foreign", mark(FOREIGN))
    ingested(lend(folder / "without"), MINE, mine)
    shutil.copytree(folder / "without" / "domains", lend(folder / "with") / "domains")
    ingested(folder / "with", FOREIGN, foreign)
    opened = Worlds(folder, real, embedder="all-MiniLM-L6-v2")
    for key, domain in ((opened.foreign, FOREIGN), (opened.mine, MINE)):
        for question in QUESTIONS:
            for world in (opened.with_it, opened.without):
                asked = {"question": question, "domain": domain}
                headers = {"Authorization": f"Bearer {key}"}
                opened.ask(world, {"method": "POST", "url": "/v1/answers", "json": asked, "headers": headers})
    yield opened
    opened.close()


ASKING = ("/v1/answers", "/v1/answers/stream", "/v1/answers/batch", "/v1/chat/completions", "/v1/passages")
READING = [route for route in ROUTES if route[0] == "GET" and route[1].startswith("/v1/domains")]
ROUTE = st.sampled_from([*[("POST", path) for path in ASKING] * 2, *READING])


@st.composite
def questions(draw: st.DrawFn) -> Drawn:
    """A request that only reads, with one of some questions, some with options or with what was said before."""
    key, which, request = draw(requests(ROUTE))
    if "content" in request:
        request["content"] = json.dumps(asked(draw, json.loads(request["content"]))).encode()
    return key, which, request


def asked(draw: st.DrawFn, body: Any) -> Any:
    """A drawn body that asks something else."""
    if isinstance(body, dict) and isinstance(body.get("question"), str):
        more = draw(st.sampled_from([{}, {}, {"options": ["every 200 hours", "never"]}]))
        return {**body, "question": draw(st.sampled_from(QUESTIONS)), **(more if "limit" not in body else {})}
    if isinstance(body, dict) and isinstance(body.get("questions"), list):
        return {**body, "questions": [asked(draw, each) for each in body["questions"]]}
    if isinstance(body, dict) and isinstance(body.get("messages"), list):
        turns = [{"role": "user", "content": QUESTIONS[0]}, {"role": "assistant", "content": "Every 200 hours."}]
        before = draw(st.sampled_from([[], turns]))
        return {**body, "messages": [*before, {"role": "user", "content": draw(st.sampled_from(QUESTIONS))}]}
    return body


@pytest.mark.timeout(900)
def test_a_key_of_one_domain_gets_no_byte_of_another_from_the_real_models(worlds: Worlds) -> None:
    tries: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(questions())
    def holds(drawn: Drawn) -> None:
        status = check_nothing_leaks(worlds, *drawn)
        tries["all"] += 1
        tries["answered"] += status == 200

    holds()
    assert tries["all"] >= EXAMPLES
    assert tries["answered"] >= 0.25 * tries["all"], tries


@pytest.mark.parametrize("question", QUESTIONS[:3])
def test_the_mark_is_there_to_be_found_by_its_owner(worlds: Worlds, question: str) -> None:
    """So that the property above can fail."""
    request = {
        "method": "POST",
        "url": "/v1/answers",
        "headers": {"Authorization": f"Bearer {worlds.foreign}"},
        "json": {"question": question, "domain": FOREIGN},
    }
    answer = worlds.ask(worlds.with_it, request).json()
    assert mark(FOREIGN) in json.dumps(answer["passages"])
