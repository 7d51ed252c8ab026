"""The check of a draft against its passages."""

from hypothesis import given
from hypothesis import strategies as st

from rag.grounding import MAX_QUOTE, Verdict, check
from rag.types import Passage, sha256_text

PUMP = (
    "Pump P-214 feeds the reactor. Its relief valve opens at 6.5 bar. The shift lead closes valve V-17 before "
    "maintenance. The pump was delivered in 2019."
)


def passage(text: str, *, document: str = "pump.md", title: str = "Pump P-214", start: int = 0) -> Passage:
    return Passage(
        document_id=document,
        title=title,
        heading="",
        text=text,
        start=start,
        end=start + len(text),
        text_sha256=sha256_text(text),
        score=1.0,
    )


def judge(draft: str, question: str, *passages: Passage) -> Verdict:
    return check(draft, question, passages or (passage(PUMP),), min_support=0.6, min_coverage=0.5)


def test_a_short_answer_is_cited_with_the_sentence_that_holds_it() -> None:
    verdict = judge("6.5 bar", "At what pressure does the relief valve open?")
    assert verdict.text == "6.5 bar"
    assert [c.quote for c in verdict.citations] == ["Its relief valve opens at 6.5 bar."]


def test_the_sentence_before_is_quoted_too_where_it_names_what_was_asked_about() -> None:
    verdict = judge("6.5 bar", "At what pressure does the relief valve of pump P-214 open?")
    assert [c.quote for c in verdict.citations] == ["Pump P-214 feeds the reactor. Its relief valve opens at 6.5 bar."]


def test_offsets_are_those_of_the_document_not_of_the_passage() -> None:
    verdict = judge("6.5 bar", "When does the relief valve open?", passage(PUMP, start=1000))
    (citation,) = verdict.citations
    assert (citation.char_start, citation.char_end) == (1000 + PUMP.index("Its"), 1000 + PUMP.index("bar.") + 4)


def test_a_wrong_number_is_never_supported() -> None:
    verdict = judge("It opens at 7.5 bar.", "At what pressure does the relief valve of pump P-214 open?")
    assert verdict.abstained
    assert verdict.reason == "no passage supports what the model wrote"


def test_an_unsupported_sentence_is_dropped_and_the_supported_one_stays() -> None:
    draft = "The relief valve opens at 6.5 bar. It was painted green by the supplier."
    verdict = judge(draft, "At what pressure does the relief valve of pump P-214 open?")
    assert verdict.text == "The relief valve opens at 6.5 bar."


def test_an_echo_of_the_question_is_no_answer() -> None:
    assert judge("The relief valve of pump P-214.", "What is the relief valve of pump P-214?").abstained


def test_a_refusal_of_the_model_is_an_abstention() -> None:
    verdict = judge("Not in the passages.", "Who painted pump P-214?")
    assert verdict.abstained
    assert verdict.reason == "the model found no answer in the passages"


def test_a_supported_sentence_from_a_passage_about_something_else_is_not_accepted() -> None:
    verdict = judge("The shift lead", "Which supplier certifies the cyclone separator annually in Norway?")
    assert verdict.abstained


def test_a_bare_yes_cites_the_sentence_that_the_question_is_about() -> None:
    verdict = judge("Yes.", "Does pump P-214 feed the reactor?")
    assert [c.quote for c in verdict.citations] == ["Pump P-214 feeds the reactor."]


def test_nothing_found_and_nothing_written_abstain_with_their_reasons() -> None:
    assert check("x", "q", (), min_support=0.6, min_coverage=0.5).reason == "nothing was found in this domain"
    assert judge("  ", "Who?").reason == "the model wrote nothing"


def test_the_better_passage_is_cited() -> None:
    other = passage("The relief valve of pump P-300 opens at 6.5 bar.", document="other.md", title="Pump P-300")
    verdict = judge("6.5 bar", "At what pressure does the relief valve of pump P-214 open?", other, passage(PUMP))
    assert verdict.citations[0].document_id == "pump.md"


def test_a_very_long_sentence_is_quoted_around_the_words_that_matter() -> None:
    text = "word " * 400 + "the secret colour is vermilion " + "tail " * 400
    verdict = judge("vermilion", "What is the secret colour?", passage(text, title="Colours"))
    (citation,) = verdict.citations
    assert "vermilion" in citation.quote
    assert len(citation.quote) <= MAX_QUOTE
    assert text[citation.char_start : citation.char_end] == citation.quote


@given(st.text(max_size=120), st.text(max_size=60), st.text(min_size=1, max_size=300), st.integers(0, 10_000))
def test_every_quote_stands_exactly_where_its_citation_says(draft: str, question: str, text: str, start: int) -> None:
    verdict = check(draft + " " + text[:40], question, [passage(text, start=start)], min_support=0.1, min_coverage=0.0)
    for citation in verdict.citations:
        assert text[citation.char_start - start : citation.char_end - start] == citation.quote
        assert citation.quote.strip()
    assert bool(verdict.citations) == (not verdict.abstained)
