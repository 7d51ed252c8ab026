"""Fitting passages into a token budget."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rag.context import SEPARATOR_TOKENS, fit, shorten
from rag.types import Passage


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def passage(text: str, *, document: str = "a", start: int = 0) -> Passage:
    return Passage(
        document_id=document, title="T", heading="", text=text, start=start, end=start + len(text),
        text_sha256="0" * 64, score=1.0,
    )  # fmt: skip


def test_passages_are_taken_best_first_while_they_fit() -> None:
    first, second, third = passage("one two three"), passage("four five six", document="b"), passage("x", document="c")
    budget = 2 * (4 + SEPARATOR_TOKENS)  # title and three words each
    assert fit([first, second, third], budget=budget, count_tokens=count_words) == [first, second]


def test_a_long_passage_is_skipped_for_a_shorter_one_behind_it() -> None:
    long, short = passage("w " * 50, document="b"), passage("x", document="c")
    chosen = fit([passage("one"), long, short], budget=20, count_tokens=count_words)
    assert [p.document_id for p in chosen] == ["a", "c"]


def test_an_overlong_first_passage_is_cut_at_a_sentence_with_true_offsets() -> None:
    text = "First one here. Second one here. Third one here."
    (cut,) = fit([passage(text, start=100)], budget=7 + SEPARATOR_TOKENS, count_tokens=count_words)
    assert cut.text == "First one here. Second one here."
    assert (cut.start, cut.end) == (100, 100 + len(cut.text))


def test_a_repeated_text_and_an_inner_overlap_are_shown_once() -> None:
    whole = passage("one two three")
    inner = passage("two", start=4)
    copy = passage("one two three", document="b")
    assert fit([whole, inner, copy], budget=100, count_tokens=count_words) == [whole]


def test_two_places_of_one_document_are_both_shown() -> None:
    one, two = passage("one"), passage("one", start=50)
    assert fit([one, two], budget=100, count_tokens=count_words) == [one, two]


@given(st.text(min_size=1, max_size=200), st.integers(1, 40))
def test_a_shortened_passage_fits_and_is_a_beginning(text: str, budget: int) -> None:
    cut = shorten(passage(text), budget=budget, count_tokens=lambda texts: [len(t) for t in texts])
    if cut is not None:
        assert text.startswith(cut.text)
        assert len(f"T\n{cut.text}") <= budget


def test_a_nearly_equal_text_of_another_document_is_shown_once_unless_a_number_differs() -> None:
    text = "The pump is stopped by the shift lead after the tank is full and the sheet was signed at 3.5 bar by him."
    near = passage(text.replace("was signed", "is signed"), document="b")
    other = passage(text.replace("3.5", "4.5"), document="c")
    assert fit([passage(text), near, other], budget=100, count_tokens=count_words) == [passage(text), other]
