"""Words and sentences with their offsets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.lexical import content_words, normal, sentences, unmarked, words


def test_identifiers_numbers_and_contractions_are_one_word_each() -> None:
    assert words("Alarm T-1042 at 3.5 bar, don't reset") == [
        "alarm", "t-1042", "t", "1042", "at", "3.5", "bar", "don't", "don", "t", "reset",
    ]  # fmt: skip


def test_thousands_separators_accents_case_and_plural_do_not_tell_words_apart() -> None:
    assert normal("34,229") == "34229"
    assert normal("Röntgen’s") == "rontgen"
    assert normal("Batteries") == "battery"
    assert normal("valves") == "valve"
    assert normal("glass") == "glass"
    assert normal("1,2") == "1,2"


def test_content_words_leave_out_the_common_ones_and_repeats() -> None:
    assert content_words("What is the lead time of the pump, the pump P-214?") == [
        "lead",
        "time",
        "pump",
        "p-214",
        "p",
        "214",
    ]


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def test_sentences_end_at_full_stops_but_not_at_abbreviations_or_decimals() -> None:
    assert found("Do:\n1. Heat to 900 °C.\n2. Keep it. Dr. Ito came.\n3. Go.") == [
        "Do:",
        "1. Heat to 900 °C.",
        "2. Keep it.",
        "Dr. Ito came.",
        "3. Go.",
    ]
    assert found("Book it on code\n31.\n\nThen go.") == ["Book it on code\n31.", "Then go."]
    assert found("It was 1999.\n7. Seven. He paid 5. Then he left.") == [
        "It was 1999.",
        "7. Seven.",
        "He paid 5.",
        "Then he left.",
    ]
    assert len(found("It runs slower (eg. 20 times). It uses more, ie. 2 GB. Stop.")) == 3
    assert found("Dr. Ito set 3.5 bar. The valve opened! It closed.") == [
        "Dr. Ito set 3.5 bar.",
        "The valve opened!",
        "It closed.",
    ]


def test_a_wrapped_line_is_one_sentence_and_a_table_row_is_one_each() -> None:
    assert found("The pump runs\nat night.\n| tag | bar |\n| P-1 | 3 |\n- first\n- second") == [
        "The pump runs\nat night.",
        "| tag | bar |",
        "| P-1 | 3 |",
        "- first",
        "- second",
    ]


def test_ideographic_full_stops_end_sentences() -> None:
    assert found("泵在夜间运行。阀门关闭。") == ["泵在夜间运行。", "阀门关闭。"]


@given(st.text(alphabet=st.sampled_from("aB. \n|-。!?\U0001f600é\r\t1"), max_size=200))
def test_sentences_are_in_order_trimmed_and_lose_only_white_space(text: str) -> None:
    spans = list(sentences(text))
    assert all(a < b for a, b in spans)
    assert all(spans[i][1] <= spans[i + 1][0] for i in range(len(spans) - 1))
    assert all(text[a:b] == text[a:b].strip() for a, b in spans)
    kept = "".join("".join(text[a:b].split()) for a, b in spans)
    assert kept == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1. Open the valve.\n2. Close it.", ["Open the valve.", "Close it."]),
        ("- Open the valve.\n* Close it.\n• Wait.", ["Open the valve.", "Close it.", "Wait."]),
        ("1. FC Union won the cup.", ["1. FC Union won the cup."]),
        ("It rose to\n3.5 bar - too much.", ["It rose to\n3.5 bar - too much."]),
        ("-40 °C is the limit.", ["-40 °C is the limit."]),
    ],
)
def test_an_item_of_a_list_is_said_without_its_marker(text: str, said: list[str]) -> None:
    assert [unmarked(text, start, end) for start, end in sentences(text)] == said
