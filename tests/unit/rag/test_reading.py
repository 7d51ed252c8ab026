"""Choosing the sentences that speak to a question."""

from collections.abc import Sequence

import pytest

from rag.errors import Cancelled
from rag.outline import path
from rag.prompt import heading_line
from rag.protocols import Vectors
from rag.reading import excerpts, rank
from rag.types import Passage
from tests.fakes.embedder import HashedWords

TEXT = "Pump P-214 feeds the reactor. Its valve opens at 6.5 bar. The hall is painted green. Visitors wear helmets."


def passage(text: str, *, document: str = "a.md", start: int = 0) -> Passage:
    return Passage(
        document_id=document, title="Pumps", heading="", text=text, start=start, end=start + len(text),
        text_sha256="0" * 64, score=1.0,
    )  # fmt: skip


def test_the_sentence_that_shares_the_questions_words_comes_first() -> None:
    ranked = rank("At how many bar does the valve open?", [passage(TEXT)], HashedWords(dimensions=256))
    best = ranked[0]
    assert best.passage.text[best.start : best.end] == "Its valve opens at 6.5 bar."
    assert [s.score for s in ranked] == sorted((s.score for s in ranked), reverse=True)


def test_no_passages_give_no_sentences() -> None:
    assert rank("anything?", [], HashedWords()) == []
    assert rank("anything?", [passage("One two")], HashedWords()) == []


def test_neighbours_are_joined_and_offsets_are_those_of_the_document() -> None:
    whole = passage(TEXT, start=500)
    by_text = {s.passage.text[s.start : s.end]: s for s in rank("pump", [whole], HashedWords())}
    chosen = [
        by_text["Visitors wear helmets."],
        by_text["Its valve opens at 6.5 bar."],
        by_text["Pump P-214 feeds the reactor."],
    ]
    first, second = excerpts(chosen)
    assert first.text == "Pump P-214 feeds the reactor. Its valve opens at 6.5 bar."
    assert second.text == "Visitors wear helmets."
    for excerpt in (first, second):
        assert TEXT[excerpt.start - 500 : excerpt.end - 500] == excerpt.text


def test_excerpts_follow_the_best_sentence_of_each_passage() -> None:
    one, two = passage("Alpha beta gamma delta."), passage("Valve valve valve opens now.", document="b.md")
    ranked = rank("valve opens", [one, two], HashedWords(dimensions=256))
    assert [e.document_id for e in excerpts(ranked)] == ["b.md", "a.md"]


def test_each_sentence_has_the_vector_of_its_own_text_however_many_there_are() -> None:
    many = [passage(f"Valve {n} of hall {n} opens at {'about ' * (n % 5)}{n} bar.") for n in range(40)]
    embedder = HashedWords(dimensions=256)
    ranked = rank("At how many bar does valve 17 open?", many, embedder, most=40)
    assert len(ranked) == 40
    vectors = embedder.embed(
        ["At how many bar does valve 17 open?", *(f"{heading_line(s.passage)}\n{s.passage.text}" for s in ranked)]
    )
    assert [s.cosine for s in ranked] == pytest.approx(list(vectors[1:] @ vectors[0]))


def test_it_is_given_up_between_a_few_sentences() -> None:
    class Counted(HashedWords):
        texts = 0

        def embed(self, texts: Sequence[str]) -> Vectors:
            self.texts += len(texts)
            return super().embed(texts)

    embedder = Counted(dimensions=256)
    many = [passage(f"Valve {n} of hall {n} opens at {n} bar.") for n in range(90)]
    with pytest.raises(Cancelled):
        rank("How?", many, embedder, cancelled=lambda: embedder.texts > 1)
    assert 1 < embedder.texts < 10, "the question and a few"


@pytest.mark.parametrize("text", ["泵在夜间运行。阀门关闭。", "a" * 50])
def test_scripts_without_spaces_have_sentences_too(text: str) -> None:
    assert rank("泵", [passage(text)], HashedWords())


def test_a_line_that_only_repeats_the_title_answers_nothing() -> None:
    ranked = rank("pumps", [passage("The pumps of Pumps.\n\nThey run at night in summer.")], HashedWords())
    assert [s.passage.text[s.start : s.end] for s in ranked] == ["They run at night in summer."]


def test_a_line_that_asks_the_question_again_answers_nothing() -> None:
    text = "Q: When does the valve open? At 6.5 bar, as tested. When is the hall painted?"
    ranked = rank("When does the valve open?", [passage(text)], HashedWords())
    said = {s.passage.text[s.start : s.end] for s in ranked}
    assert said == {"At 6.5 bar, as tested.", "When is the hall painted?"}


def test_of_those_that_say_as_much_the_one_in_the_nearer_passage_is_compared() -> None:
    far = passage("The valve was bought in May.", document="a.md").model_copy(update={"dense_score": 0.2})
    near = passage("The valve was built in June.", document="b.md").model_copy(update={"dense_score": 0.6})
    for found in ([far, near], [near, far]):
        (one,) = rank("When was the valve made?", found, HashedWords(), most=1)
        assert one.passage is near
    unknown = [p.model_copy(update={"dense_score": None}) for p in (far, near)]
    (one,) = rank("When was the valve made?", unknown, HashedWords(), most=1)
    assert one.passage is unknown[0], "found by words alone: in the order of the passages"


def test_only_those_that_say_most_of_the_question_are_compared() -> None:
    text = "The pump runs at night in winter. The valve opens at six bar. Nothing is said of that here."
    asked: list[str] = []

    class Counting(HashedWords):
        def embed(self, texts: Sequence[str]) -> Vectors:
            asked.extend(texts)
            return super().embed(texts)

    ranked = rank("When does the valve open at six bar?", [passage(text)], Counting(), most=1)
    assert [s.passage.text[s.start : s.end] for s in ranked] == ["The valve opens at six bar."]
    assert len(asked) == 2, "the question and one sentence"
    assert len(rank("When does the valve open at six bar?", [passage(text)], HashedWords())) == 3


def test_a_sentence_is_read_with_the_term_that_it_stands_under_even_one_before_its_passage() -> None:
    text = (
        "Timeout\n    Seconds to wait for a reply.\n    The default is 30, or less where a reply is near.\n"
        "Retries\n    Times a message is sent.\n    The default is 4, for there are better things to do.\n"
    )
    begin = text.index("Times a")
    inside = passage(text[begin:].rstrip(), start=begin)
    asked = "What is the default of Retries?"
    ranked = rank(asked, [passage(text), inside], HashedWords(dimensions=256), text_of=lambda _: text)
    assert {s.passage.text[s.start : s.end][:16]: path(s.under) for s in ranked if s.passage is inside} == {
        "Times a message ": "Retries",
        "The default is 4": "Retries",
    }
    best = ranked[0]
    assert best.passage.text[best.start : best.end].startswith("The default is 4")
    assert [heading_line(each) for each in excerpts([best])] == ["Pumps > Retries"]
    changed = rank(asked, [inside], HashedWords(dimensions=256), text_of=lambda _: "another text")
    assert {s.under for s in changed} == {()}
