"""Options: what the passages say for each, and what the model's likelihood may change."""

from __future__ import annotations

import pytest

from rag.choosing import conclusion_of, is_polar, weigh
from rag.reading import Sentence
from rag.types import Passage


def sentence(text: str, *, cosine: float = 0.5, coverage: float = 0.5, title: str = "") -> Sentence:
    passage = Passage(
        document_id="d", title=title, heading="", text=text, start=0, end=len(text), text_sha256="0" * 64, score=1.0
    )
    return Sentence(passage, 0, len(text), cosine, coverage)


def best(question: str, options: list[str], sentences: list[Sentence]) -> str:
    return max(weigh(question, options, sentences), key=lambda w: w.score).option


def test_the_option_that_the_sentence_about_the_question_holds_wins() -> None:
    near = sentence("The valve opens at 6.5 bar.", cosine=0.9, coverage=1.0)
    far = sentence("The boiler is tested at 9 bar.", cosine=0.2, coverage=0.2)
    assert best("At what pressure does the valve open?", ["9 bar", "6.5 bar"], [near, far]) == "6.5 bar"
    chosen = weigh("At what pressure does the valve open?", ["9 bar", "6.5 bar"], [near, far])
    assert chosen[1].sentence is near


def test_words_of_the_title_count_for_an_option() -> None:
    lines = [sentence("It opens at 6.5 bar.", title="Relief valve"), sentence("It opens at 6.5 bar.", title="Gate")]
    assert weigh("What opens?", ["the relief valve", "a lid"], lines)[0].sentence is lines[0]


def test_an_option_without_content_words_is_still_compared() -> None:
    lines = [sentence("He answered it himself."), sentence("Nobody was there.")]
    assert best("Who?", ["himself", "himself not"], lines) == "himself"
    assert weigh("Who?", ["---", "nobody"], lines)[0].score == pytest.approx(0.5)


def test_two_of_the_three_best_sentences_decide_a_yes_or_no() -> None:
    for_, against = sentence("The drug lowers the pressure."), sentence("The drug did not lower the pressure.")
    question, options = "Does the drug lower the pressure?", ["yes", "no", "maybe"]
    assert best(question, options, [for_, against, for_, against, against]) == "yes"
    assert best(question, options, [for_, against, against, for_]) == "no"
    weighed = weigh(question, options, [for_, against, against])
    assert [round(w.score, 3) for w in weighed] == [0.333, 0.667, 0.0]
    assert (weighed[0].sentence, weighed[1].sentence) == (for_, against)
    assert (weighed[0].further, weighed[1].further) == ((), (against,)), "what an answer rests on is all cited"


def test_what_a_short_document_ends_with_is_looked_at_too() -> None:
    for_, against = sentence("The drug lowers the pressure."), sentence("The drug did not lower the pressure.")
    question, options = "Does the drug lower the pressure?", ["yes", "no"]

    def chosen(lines: list[Sentence], last: list[str]) -> str:
        weighed = weigh(question, options, lines, conclusion=[sentence(text) for text in last])
        return max(weighed, key=lambda w: w.score).option

    assert chosen([for_, against, for_], ["It was well tolerated.", "It had no effect."]) == "no"
    assert chosen([for_, for_, against], ["It was well tolerated.", "It had no effect."]) == "yes"
    assert chosen([for_, for_], ["It cannot be advised.", "It had no effect."]) == "no"
    passage = sentence("Two is longer.").passage.model_copy(update={"start": 5, "end": 19})
    last = conclusion_of(passage, "One. Two is longer. Three ends it.")
    assert [s.passage.text[s.start : s.end] for s in last] == ["Two is longer.", "Three ends it."]
    assert [s.passage.start + s.start for s in last] == [5, 20]
    assert conclusion_of(passage, "A long one. " * 1000) == []


def test_a_negated_question_turns_it_round() -> None:
    against = sentence("The drug isn’t safe in pregnancy.")
    assert best("Is the drug not safe in pregnancy?", ["Yes", "No"], [against]) == "Yes"
    assert best("Is the drug safe in pregnancy?", ["Yes", "No"], [against]) == "No"


@pytest.mark.parametrize(
    ("options", "polar"),
    [
        (["yes", "no"], True),
        (["No ", "YES", "maybe"], True),
        (["true", "false"], True),
        (["yes", "yes, at night"], False),
        (["no", "maybe"], False),
        (["yes", "no", "red"], False),
    ],
)
def test_what_a_yes_or_no_question_is(options: list[str], polar: bool) -> None:
    assert is_polar(options) is polar


def test_the_models_likelihood_breaks_a_tie_and_no_more() -> None:
    lines = [sentence("The gate is made of steel or of brass.")]
    question, options = "What is the gate made of?", ["steel", "brass", "oak wood"]
    weighed = weigh(question, options, lines, gains=[-2.0, -1.0, 5.0], gain_weight=0.02)
    assert max(weighed, key=lambda w: w.score).option == "brass"
    assert weigh(question, options, lines, gains=[-2.0, -2.0, -2.0], gain_weight=0.02) == weigh(
        question, options, lines
    )
    heavy = weigh(question, options, lines, gains=[-2.0, -1.0, 5.0], gain_weight=2.0)
    assert max(heavy, key=lambda w: w.score).option == "oak wood"
