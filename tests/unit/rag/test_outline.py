"""What stands further in belongs to the line above it that does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.outline import above, named

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
    assert above(text, [text.index(words)]) == [term]


@given(st.text("ab .\n\t-1", max_size=200), st.integers(0, 200))
def test_whatever_the_text_terms_are_words_of_it_before_the_place(text: str, start: int) -> None:
    start = min(start, len(text))
    (terms,) = above(text, [start])
    for term in terms.split(" > "):
        assert term in text[: text.find("\n", start)].expandtabs(8)


@given(st.text("ab .\n\t-1", max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_each_place_is_told_what_it_is_told_alone(text: str, starts: list[int]) -> None:
    places = [min(start, len(text)) for start in starts]
    assert above(text, places) == [above(text, [place])[0] for place in places]


def test_a_long_text_takes_one_pass() -> None:
    text = "term\n" + "    a line of some words\n" * 20_000
    assert above(text, list(range(0, len(text), 100)))[1:] == ["term"] * (len(text) // 100)


@pytest.mark.parametrize(
    ("terms", "said", "answer"),
    [
        ("OPTIONS > Port", "The default is 22.", "Port: The default is 22."),
        ("restart=", "Defaults to no.", "restart: Defaults to no."),
        ("Port", "The port is 22.", "The port is 22."),
        ("DESCRIPTION", "It opens doors.", "It opens doors."),
        ("", "It opens doors.", "It opens doors."),
    ],
)
def test_a_sentence_is_given_with_the_term_that_it_is_said_of(terms: str, said: str, answer: str) -> None:
    assert named(said, terms) == answer
