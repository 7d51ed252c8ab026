"""What stands further in belongs to the line above it that does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.outline import Term, above, end, path, unsaid

MANUAL = """DESCRIPTION
     The file has keywords, one a line. Their order makes no difference to
     what they mean:

     AliveInterval
             Sets a time in seconds after which a message is sent. The
             default is 0. Longer ones
             are rounded.

             It may be given twice.

     -k, --keep
     --hold
             Keeps the file.
     -q      Says nothing. An error is
             said all the same.
"""

NESTED = """# Backups
- Databases
  - nightly: kept for 30 days
    and then removed. Nobody is asked.
  - weekly
    1. copied to the other site
- Files: never
"""

PROSE = """The first paragraph goes on for a while and
ends here
    The second one begins further in, as books
have it.
    The third as well.
"""

CODE = "server:\n  listen:\n\tport: 80\n"


@pytest.mark.parametrize(
    ("text", "words", "term"),
    [
        (MANUAL, "default is", "DESCRIPTION > AliveInterval"),
        (MANUAL, "are rounded", "DESCRIPTION > AliveInterval"),
        (MANUAL, "It may be", "DESCRIPTION > AliveInterval"),
        (MANUAL, "Keeps the", "DESCRIPTION > --hold"),
        (MANUAL, "said all", "DESCRIPTION > -q"),
        (MANUAL, "The file", "DESCRIPTION"),
        (MANUAL, "DESCRIPTION", ""),
        (NESTED, "nightly", "Databases"),
        (NESTED, "and then", "Databases"),
        (NESTED, "copied", "Databases > weekly"),
        (NESTED, "Files", ""),
        (PROSE, "The second", ""),
        (PROSE, "The third", ""),
        (CODE, "port", "server: > listen:"),
    ],
)
def test_a_line_stands_under_what_is_less_far_in(text: str, words: str, term: str) -> None:
    assert path(above(text, [text.index(words)])[0]) == term


@given(st.text("ab .\n\t-1", max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_each_place_is_told_what_it_is_told_alone_and_terms_are_words_before_it(text: str, starts: list[int]) -> None:
    places = [min(start, len(text)) for start in starts]
    found = above(text, places)
    assert found == [above(text, [place])[0] for place in places]
    for place, terms in zip(places, found, strict=True):
        assert all(text[term.start : term.end] == term.words and term.end <= place for term in terms)


def test_a_long_text_takes_one_pass() -> None:
    text = "term\n" + "    a line of some words\n" * 20_000
    found = above(text, list(range(0, len(text), 100)))[1:]
    assert found == [(Term("term", 0, 4),)] * (len(text) // 100)


@pytest.mark.parametrize(
    ("terms", "said", "unsaid_one"),
    [
        (["OPTIONS", "Port"], "The default is 22.", "Port"),
        (["restart="], "Defaults to no.", "restart="),
        (["Port"], "The port is 22.", None),
        (["DESCRIPTION"], "It opens doors.", None),
        ([], "It opens doors.", None),
    ],
)
def test_the_term_that_a_sentence_does_not_say_itself(terms: list[str], said: str, unsaid_one: str | None) -> None:
    found = unsaid(said, [Term(term, 0, len(term)) for term in terms])
    assert (found and found.words) == unsaid_one


def test_a_row_of_a_table_is_no_term() -> None:
    text = "March   0.50   0.455\n   On December 10 the board met.\n"
    assert above(text, [text.index("On")]) == [()]


def test_a_line_without_end_is_no_term_and_looked_at_once() -> None:
    text = "a b" * 300_000 + "\n   Set further in.\n"
    assert above(text, [text.index("Set")]) == [()]


def test_a_bar_within_a_word_parts_what_an_option_may_be_and_one_between_words_is_a_tables() -> None:
    text = "--check=<no|full>\n    Look for leaks.\n"
    ((term,),) = above(text, [text.index("Look")])
    assert term.words == "--check=<no|full>"
    for row in ("port | 22\n    The port.\n", "| port\n    The port.\n"):
        assert above(row, [row.index("The")]) == [()]


@pytest.mark.parametrize("margin", ["", "  ", "\t"])
def test_what_stands_under_a_term_ends_with_its_indentation(margin: str) -> None:
    text = (
        f"A\n{margin}port:\n{margin}    The default is 22.\n\n{margin}    Or more.\n{margin}host:\n{margin}    Any.\n"
    )
    term = Term("port:", text.index("port:"), text.index("port:") + 5)
    assert text[term.end : end(text, term, longest=1000)].split() == ["The", "default", "is", "22.", "Or", "more."]
    assert end(text, term, longest=8) == term.end + 8
    last = Term("host:", text.index("host:"), text.index("host:") + 5)
    assert end(text, last, longest=1000) == len(text)
