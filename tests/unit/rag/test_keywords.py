"""Which names a question says, what defines them, and what of a definition answers."""

from __future__ import annotations

import pytest

from rag import keywords
from rag.reading import Sentence, rank
from rag.types import Passage
from tests.fakes.embedder import HashedWords

MANUAL = """OPTIONS
    --leak-check=<no|summary|full> [default: summary]
        When enabled, search for leaks when the program ends. If set to full, each leak is shown in detail.

        If --xml=yes is given, the value full is used.

    --num-callers=<number> [default: 12]
        Entries of a stack trace that are shown. The maximum is 500.

    -q, --quiet
        Be silent. Note that the default colours stay as they are. By default everything is said.

    DirectoryMode=
        Takes a mode. Defaults to 0755.
"""


def passage(text: str, *, start: int = 0, heading: str = "", document: str = "a.txt") -> Passage:
    return Passage(
        document_id=document, title="Manual", heading=heading, text=text, start=start, end=start + len(text),
        text_sha256="0" * 64, score=1.0,
    )  # fmt: skip


def ranked(question: str, *passages: Passage, whole: str = MANUAL) -> list[Sentence]:
    return rank(question, passages or [passage(whole)], HashedWords(dimensions=256), text_of=lambda _: whole)


def defined(question: str, *passages: Passage, whole: str = MANUAL) -> list[Passage]:
    names = keywords.said(question)
    return keywords.definitions(question, names, ranked(question, *passages, whole=whole), lambda _: whole)


def words_of(sentence: Sentence) -> str:
    return sentence.passage.text[sentence.start : sentence.end]


def told(question: str) -> list[str]:
    own = ranked(question, *defined(question))
    return [words_of(sentence) for sentence in keywords.telling(question, own)]


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What does --leak-check=full do?", ("--leak-check",)),
        ("What is -v for?", ("-v",)),
        ("What is the default of gc.autoDetach?", ("gc.autoDetach",)),
        ("Which value does RestartSec have if it is not set?", ("RestartSec",)),
        ("What is RestartSec?", ("RestartSec",)),
        ("How large is max_retries by default?", ("max_retries",)),
        ("What is RestartSec= set to?", ("RestartSec",)),
        ("What does fork() return?", ("fork",)),
        ("What is `journal` for?", ("journal",)),
        ("Who wrote the well-known novel in 2004 - and why?", ()),
        ("When does the U.S. office open, e.g. on Sundays?", ()),
        ("How much memory does xz -9 need?", ()),
        ("What is the VPN for?", ()),
        ("How many days of leave does AcmeCorp give by default, and who runs Node.js there?", ()),
        ("this poster was made for the war effort.the poster links food to what?", ()),
        ("If x=5, what is y?", ()),
    ],
)
def test_names_are_told_by_how_they_are_written(question: str, names: tuple[str, ...]) -> None:
    assert keywords.said(question) == names


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("Use --force to go on.", "--force", True),
        ("Use --force-all to go on.", "--force", False),
        ("Use x--force.", "--force", False),
        ("`RESTARTSEC=` is an interval", "RestartSec", True),
        ("Option -V tells the version.", "-v", False),
        ("Option -v tells more.", "-v", True),
    ],
)
def test_a_name_is_said_whole(text: str, name: str, says: bool) -> None:
    assert keywords.says(text, name) is says


def test_a_name_that_no_passage_says_is_unknown_however_it_is_parted() -> None:
    held = [passage("Set the max retries to 3.", heading="The --color option")]
    assert keywords.unknown(["max_retries", "--color", "maxRetries"], held) == ""
    assert keywords.unknown(["--color", "--colour-map"], held) == "--colour-map"
    assert keywords.unknown([], held) == ""


def test_a_definition_is_what_stands_under_its_term_wherever_passages_begin() -> None:
    begin = MANUAL.index("If --xml=yes")
    part = passage(MANUAL[begin : begin + 46], start=begin)
    (found,) = defined("What does --leak-check do?", part)
    assert found.text.strip().startswith("When enabled")
    assert found.text.strip().endswith("is used.")
    assert MANUAL[found.start : found.end] == found.text


def test_a_definition_is_a_section_or_an_item_too() -> None:
    text = "# Settings\n\n## `max_retries`\n\nHow often a job is tried. Three by default.\n"
    section = passage(text[text.index("How") :], start=text.index("How"), heading="Settings > `max_retries`")
    (found,) = defined("What is max_retries for?", section, whole=text)
    assert found.text == section.text
    for heading, counts in (("5.2. The retry_log option", True), ("Using retry_wait and retry_log", False)):
        under = passage(text, heading=f"Settings > {heading}")
        assert bool(defined("What is retry_log for?", under, whole=text)) is counts, heading
    items = "- `retry_wait`: seconds between tries. Ten.\n- `retry_log`: where tries are noted.\n"
    (item,) = defined("What is retry_log for?", passage(items), whole=items)
    assert item.text == "- `retry_log`: where tries are noted."
    prose = "The tries are limited by max_retries, which nobody sets."
    assert defined("What is max_retries for?", passage(prose), whole=prose) == []


def test_without_a_name_no_document_is_read_and_with_one_each_once() -> None:
    read: list[str] = []

    def text_of(document: str) -> str:
        read.append(document)
        return MANUAL

    sentences = ranked("What does --quiet do?")
    assert keywords.definitions("What is shown?", (), sentences, text_of) == []
    assert read == []
    assert keywords.definitions("What does --quiet do?", ["--quiet"], sentences, text_of)
    assert read == ["a.txt"]


def test_a_document_that_changed_under_its_passage_defines_nothing() -> None:
    assert defined("What does --quiet do?", passage(MANUAL), whole=MANUAL.replace("silent", "quiet now")) == []


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("What is the default of DirectoryMode?", ["Defaults to 0755."]),
        ("Which value does --quiet have if it is not set?", ["By default everything is said."]),
        ("What is the default of --num-callers?", ["--num-callers=<number> [default: 12]"]),
        ("What is the maximum of --num-callers?", ["The maximum is 500.", "Entries of a stack trace that are shown."]),
    ],
)
def test_of_a_definition_the_default_is_told_where_it_is_asked_for(question: str, answers: list[str]) -> None:
    assert told(question) == answers


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What does --leak-check do?", "When enabled, search for leaks when the program ends."),
        ("What does --leak-check=full do?", "If set to full, each leak is shown in detail."),
        ("What is `--quiet` for?", "Be silent."),
        ("What is the purpose of the --quiet option?", "Be silent."),
    ],
)
def test_a_meaning_is_how_a_definition_begins_or_what_it_says_of_the_value(question: str, answer: str) -> None:
    names = keywords.said(question)
    assert keywords.asks_meaning(question, names)
    assert words_of(keywords.first(question, names, ranked(question, *defined(question)))) == answer


@pytest.mark.parametrize(
    ("term", "name", "counts"),
    [
        ("-o FILE, --output=FILE", "--output", True),
        ("--output FILE -o FILE", "-o", True),
        ("DefaultAbortSec=, DefaultStopSec=", "DefaultStopSec", True),
        ("5.2. max_retries", "max_retries", True),
        ("pid_t fork(void)", "fork", True),
        ("5.2. Using the checker, check_leaks and all", "check_leaks", False),
        ("Before --output there was", "--output", False),
    ],
)
def test_a_term_is_of_a_name_if_it_begins_with_it_or_another_way_to_write_it(
    term: str, name: str, counts: bool
) -> None:
    text = f"{term}\n    Says what is meant.\n"
    question = f"What is the default of {name}?"
    found = keywords.definitions(question, [name], ranked(question, whole=text), lambda _: text)
    assert bool(found) is counts


def test_a_number_of_a_section_is_not_what_a_definition_begins_with() -> None:
    text = "--trace\n    2.1.\n\n    Prints what is called.\n"
    own = ranked("What does --trace do?", *defined("What does --trace do?", whole=text), whole=text)
    assert words_of(keywords.first("What does --trace do?", ["--trace"], own)) == "Prints what is called."


@pytest.mark.parametrize(
    "question",
    [
        "What is the default of --quiet?",
        "What is the maximum of --num-callers?",
        "Which file does --log write to?",
        "What does a relay do?",
        "Does the use of --force harm the store?",
    ],
)
def test_other_questions_ask_for_no_meaning(question: str) -> None:
    assert not keywords.asks_meaning(question, keywords.said(question))
