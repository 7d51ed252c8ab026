"""Words, numbers, dates, refusals and choices of an answer."""

from hypothesis import given
from hypothesis import strategies as st

from evaluation.answers import content, healed, sentences, squashed, stem, tokens
from evaluation.choices import choice, refusals, yes_no
from evaluation.quantities import Date, Quantity, dates, periods, quantities

OPTIONS = {"A": "Form-grabbing", "B": "HTML injection", "C": "Session hijacking", "D": "HTML injection attack"}


def test_the_scars_of_recording_are_healed() -> None:
    assert healed("sung byCyndi Grecco") == "sung by Cyndi Grecco"
    assert healed("Walter Brennull") == "Walter Brennan"
    assert healed("created by Richard Nixon123.") == "created by Richard Nixon."
    assert healed("siblings⁷.") == "siblings."


def test_numbers_in_words_ordinals_and_roman_numerals_are_the_same_as_digits() -> None:
    assert tokens("the sixth season")[0] == tokens("season VI")[1] == tokens("Season 6")[1] == "6"
    assert tokens("09:15") == tokens("9:15")
    assert tokens("0.0") == ("0",)
    assert tokens("twenty-one") == ("21",)
    assert tokens("8,850 km") == tokens("8850 kilometers")
    assert tokens("released in 19791.")[-1] == "1979"


def test_a_country_and_its_adjective_are_one_word() -> None:
    assert tokens("American") == tokens("the United States") == tokens("U.S.") == ("america",)
    assert stem("french") == "france"


def test_content_words_fall_back_to_all_words_where_none_carries_meaning() -> None:
    assert content("the name of it") == tokens("the name of it")
    assert content("the Gupta Empire") == ("gupta", "empir")


def test_initials_and_accents_do_not_tell_names_apart_when_squashed() -> None:
    assert squashed("P. V. Sindhu") == squashed("PV Sindhu") == "pvsindhu"
    assert squashed("Röntgen") == "rontgen"


def test_a_quantity_keeps_its_scale_sign_and_precision() -> None:
    assert quantities("$1.5 billion") == (Quantity(1.5e9, money=True, half=0.05 * 1e9),)
    assert quantities("a loss of (23.5)")[0].value == -23.5
    assert quantities("5.1%") == (Quantity(5.1, percent=True, half=0.05),)
    assert [q.value for q in quantities("is $1,615.9 million. This")] == [1615.9e6]
    assert [q.value for q in quantities("twenty-one of them")] == [21.0]
    assert quantities("E9 and T1042") == ()


def test_dates_are_as_exact_as_they_are_written() -> None:
    assert dates("on April 12, 19791.") == (Date(1979, 4, 12),)
    assert dates("31 December 1600") == dates("December 31st, 1600") == dates("1600-12-31") == (Date(1600, 12, 31),)
    assert dates("in May 1988") == (Date(1988, 5),)
    assert dates("it may rain") == ()
    assert dates("$1990 a month") == ()


def test_two_dates_agree_when_nothing_given_on_both_sides_differs() -> None:
    assert Date(1972, 9, 14).agrees(Date(1972, 9))
    assert not Date(1972, 9, 14).agrees(Date(1972, 9, 15))
    assert not Date(year=1972).agrees(Date(month=9))


def test_decades_centuries_and_spans_are_years() -> None:
    assert periods("the early 1930s") == ((1930, 1934),)
    assert periods("in the late 19th century") == ((1860, 1900),)
    assert periods("the sixth century BC") == ((-600, -500),)
    assert periods("1780–1830") == ((1780, 1830),)


def test_an_answer_that_declines_is_seen_and_one_that_answers_is_not() -> None:
    assert refusals("I'm sorry, but I couldn't find any information.") > 0
    assert refusals("The document does not explicitly provide the figure.") > 0
    assert refusals("") == 1
    assert refusals("The pump was installed in 2019.") == 0


def test_an_option_is_named_by_letter_or_by_text() -> None:
    assert choice("B) HTML injection", OPTIONS) == "B"
    assert choice("The answer is (C).", OPTIONS) == "C"
    assert choice("form-grabbing", OPTIONS) == "A"
    assert choice("It uses session hijacking for that.", OPTIONS) == "C"
    assert choice("It is an HTML injection attack.", OPTIONS) == "D"


def test_no_option_or_two_options_are_no_choice() -> None:
    assert choice("I do not know", OPTIONS) is None
    assert choice("Form-grabbing or session hijacking", OPTIONS) is None
    assert choice("", OPTIONS) is None


def test_yes_no_and_maybe_are_read_from_the_first_sentence_or_after_answer() -> None:
    assert yes_no("Yes, it is.") == "yes"
    assert yes_no("No. Yes would be wrong.") == "no"
    assert yes_no("This is unclear.") == "maybe"
    assert yes_no('{"thinking": "yes and no", "answer": "no"}') == "no"
    assert yes_no("The endosonography is valuable.") is None


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assert len(sentences(text)) >= 1
    assert all(token for token in tokens(text))
    quantities(text), dates(text), periods(text), refusals(text), yes_no(text), choice(text, OPTIONS)
