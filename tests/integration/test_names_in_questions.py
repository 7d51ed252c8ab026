"""Questions that say an option by its name, over a real embedded index, with a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rag.pipeline import Pipeline
from rag.types import Question
from tests.fakes.domains import pipeline_over

GATE = "# Gate\n\nThe north gate opens at six in the morning. Visitors sign the book. The gate is made of steel.\n"

OPTIONS = """# Checker

Run it before each release. It takes a minute.

## Options

--leak-check=<no|summary|full> [default: summary]

    When enabled, search for leaks when the program ends. If set to full, each leak is shown.

--log-file=<name>

    Where the report goes. It is standard error if the option is not given.
"""


@contextmanager
def manual(folder: Path, answer: str, **limits: object) -> Iterator[Pipeline]:
    """A pipeline over the manual, whose model writes one thing."""
    with pipeline_over(folder, {"checker.md": OPTIONS, "gate.md": GATE}, lambda _: answer, **limits) as pipeline:
        yield pipeline


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
def test_what_a_name_is_for_is_told_by_its_definition_and_no_model(tmp_path: Path, question: str, text: str) -> None:
    with manual(tmp_path, "It opens doors.") as pipeline:
        answer = pipeline.answer(Question(text=question, domain="plant"))
        chosen = pipeline.answer(Question(text=question, domain="plant", options=("doors", "leaks")))
    assert (answer.basis, answer.text) == ("definition", text)
    for citation in answer.citations:
        assert OPTIONS[citation.char_start : citation.char_end] == citation.quote
    assert answer.trace.signals["meaning"] == 1.0
    assert chosen.basis == "option"


def test_who_wants_the_models_own_words_gets_them_of_a_name_too(tmp_path: Path) -> None:
    with manual(tmp_path, "Search for leaks when the program ends.", decoding="free") as pipeline:
        answer = pipeline.answer(Question(text="What does --leak-check do?", domain="plant"))
    assert (answer.basis, answer.text) == ("model", "Search for leaks when the program ends.")


def test_a_name_that_no_passage_says_is_not_answered_from_others(tmp_path: Path) -> None:
    with manual(tmp_path, "") as pipeline:
        answer = pipeline.answer(Question(text="What is the default of --leak-kinds?", domain="plant"))
    assert answer.abstained
    assert answer.reason == "no passage says --leak-kinds"
