"""Questions that say an option by its name, over a real embedded index, with a scripted model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag.pipeline import Pipeline
from rag.types import Prompt, Question
from tests.fakes.domains import ingest, open_pipeline
from tests.fakes.embedder import HashedWords

Build = Callable[..., Pipeline]
GATE = "# Gate\n\nThe north gate opens at six in the morning. Visitors sign the book. The gate is made of steel.\n"

OPTIONS = """# Checker

Run it before each release. It takes a minute.

## Options

--leak-check=<no|summary|full> [default: summary]

    When enabled, search for leaks when the program ends. If set to full, each leak is shown.

--log-file=<name>

    Where the report goes. It is standard error if the option is not given.
"""


@pytest.fixture
def manual(tmp_path: Path) -> Iterator[Build]:
    source = tmp_path / "source"
    source.mkdir()
    (source / "checker.md").write_text(OPTIONS)
    (source / "gate.md").write_text(GATE)
    ingest(tmp_path / "data", source, HashedWords(dimensions=256))
    opened: list[Pipeline] = []

    def make(answer: Callable[[Prompt], str], **limits: object) -> Pipeline:
        opened.append(open_pipeline(tmp_path / "data", answer, **limits))
        return opened[-1]

    yield make
    for pipeline in opened:
        pipeline.close()


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "What does --leak-check=full do?",
            "--leak-check=<no|summary|full> [default: summary]: If set to full, each leak is shown.",
        ),
        ("What is --log-file for?", "--log-file=<name>: Where the report goes."),
    ],
)
def test_what_a_name_is_for_is_told_by_its_definition_and_no_model(manual: Build, question: str, text: str) -> None:
    pipeline = manual(lambda _: "It opens doors.")
    answer = pipeline.answer(Question(text=question, domain="plant"))
    assert (answer.basis, answer.text) == ("definition", text)
    for citation in answer.citations:
        assert OPTIONS[citation.char_start : citation.char_end] == citation.quote
    assert answer.trace.signals["meaning"] == 1.0
    assert pipeline.answer(Question(text=question, domain="plant", options=("doors", "leaks"))).basis == "option"


def test_who_wants_the_models_own_words_gets_them_of_a_name_too(manual: Build) -> None:
    pipeline = manual(lambda _: "Search for leaks when the program ends.", decoding="free")
    answer = pipeline.answer(Question(text="What does --leak-check do?", domain="plant"))
    assert (answer.basis, answer.text) == ("model", "Search for leaks when the program ends.")


def test_a_name_that_no_passage_says_is_not_answered_from_others(manual: Build) -> None:
    answer = manual(lambda _: "").answer(Question(text="What is the default of --leak-kinds?", domain="plant"))
    assert answer.abstained
    assert answer.reason == "no passage says --leak-kinds"
