"""Follow-up questions made to stand alone."""

from rag.followup import standalone
from rag.types import Turn

TURN = Turn(question="What is the set point of pump P-214?", answer="6.5 bar")


def test_a_question_without_a_past_is_left_alone() -> None:
    assert standalone("And its supplier?", ()) == "And its supplier?"


def test_a_question_that_stands_alone_is_left_alone() -> None:
    question = "Which supplier delivers spare gaskets?"
    assert standalone(question, (TURN,)) == question


def test_a_question_that_points_back_gets_the_words_it_leans_on() -> None:
    assert standalone("Who inspects it?", (TURN,)) == "Who inspects it? (set point pump p-214 p 214 6.5)"


def test_only_the_turn_before_counts() -> None:
    older = Turn(question="Where is the canteen?", answer="North")
    assert "canteen" not in standalone("Who inspects it?", (older, TURN))
