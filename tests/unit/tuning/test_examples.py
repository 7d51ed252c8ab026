"""What an adapter learns from: prompts as the pipeline writes them, and no document that must stay hidden."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.extraction import REFUSAL
from rag.pipeline import Pipeline
from rag.prompt import answer_messages
from rag.types import Question
from tests.fakes.domains import pipeline_over
from tuning.examples import Example, Labelled, build

VALVE = "The relief valve of pump P-214 opens at 6.5 bar. The shift lead inspects the pump daily."
GATE = "The north gate opens at six in the morning. The gate is made of steel."
ASKED = Labelled("q1", "At what pressure does the relief valve open?", ("6.5 BAR", "6.5"), ("valve.md",))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder: Path = tmp_path_factory.mktemp("tuning")
    with pipeline_over(folder, {"valve.md": f"# Pump\n\n{VALVE}\n", "gate.md": f"# Gate\n\n{GATE}\n"}) as found:
        yield found


def lessons(
    pipeline: Pipeline, *questions: Labelled, seed: int = 0, hidden: frozenset[str] = frozenset()
) -> list[Example]:
    return build(pipeline, "plant", questions, seed=seed, hidden=hidden)


def test_the_answer_is_the_passages_own_spelling_after_the_pipelines_own_prompt(pipeline: Pipeline) -> None:
    (example, *_) = lessons(pipeline, ASKED)
    assert (example.lesson, example.answer) == ("span", "6.5 bar")
    assert "opens at 6.5 bar" in example.messages[-1].content
    assert example.messages == answer_messages(
        ASKED.question, pipeline.brief(Question(text=ASKED.question, domain="plant")).used
    )
    assert "valve.md" in example.documents


def test_a_question_from_outside_is_answered_with_the_refusal(pipeline: Pipeline) -> None:
    (example,) = lessons(pipeline, Labelled("q2", "Who inspects the north gate daily?", ()))
    assert (example.lesson, example.answer) == ("refusal", REFUSAL)


def test_some_questions_are_also_asked_without_what_answers_them(pipeline: Pipeline) -> None:
    made = [e for seed in range(20) for e in lessons(pipeline, ASKED, seed=seed)]
    without = [e for e in made if e.lesson == "refusal"]
    assert 0 < len(without) < 20
    assert all("6.5" not in e.messages[-1].content for e in without)


def test_hidden_documents_are_in_no_prompt(pipeline: Pipeline) -> None:
    made = lessons(pipeline, ASKED, hidden=frozenset({"valve.md"}))
    assert all("valve.md" not in e.documents and "6.5 bar" not in e.messages[-1].content for e in made)


def test_options_are_made_of_answers_that_look_alike(pipeline: Pipeline) -> None:
    others = [Labelled(f"o{i}", f"Other {i}?", (f"{i}.5 bar",)) for i in range(1, 6)]
    made = [e for seed in range(12) for e in lessons(pipeline, ASKED, *others, seed=seed) if e.id == "q1"]
    choices = [e for e in made if e.lesson == "choice"]
    assert choices
    for example in choices:
        options = example.messages[-1].content.split("Options: ")[1].splitlines()[0].split("; ")
        assert len(options) == len(set(options)) == 4
        assert example.answer == "6.5 bar"
        assert example.answer in options


def test_yes_and_no_are_learned_with_their_options(pipeline: Pipeline) -> None:
    polar = Labelled("q3", "Is the north gate made of steel?", ("yes",), ("gate.md",), ("yes", "no", "maybe"))
    (example,) = lessons(pipeline, polar)
    assert (example.lesson, example.answer) == ("polar", "yes")
    assert "Options: yes; no; maybe" in example.messages[-1].content


def test_equal_seeds_give_equal_examples(pipeline: Pipeline) -> None:
    assert lessons(pipeline, ASKED, seed=3) == lessons(pipeline, ASKED, seed=3)
