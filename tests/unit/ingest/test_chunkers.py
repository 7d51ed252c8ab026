"""Every chunker keeps to the text, and none gives other chunks under the same fingerprint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk_sizes import MAX_WORDS, size_of
from ingest.chunkers import CHUNKERS, FINGERPRINT, chunker_for, chunks_of
from ingest.recipes import chunker_of, embedded_as_today, recipe_of, renewed
from rag.protocols import search_text
from rag.types import Chunk, Document

CORPORA = Path(__file__).parents[3] / "corpora"
MARKED = st.text(alphabet=st.sampled_from("ab:.!? \n#|-12漢。"), max_size=300)

WINTER = "Open valve V-17 slowly, wait for 20 s, and close it again when the bell rings. " * 30
PROSE = f"""# Pump P-214

Dr. Berg set it to 3.5 bar. The seal is e.g. of type B! It was changed in U.S. plants? Yes.

## Daily round
1. Check the oil.
2. Check the seal: 45 Nm.
- Note what you saw.

### Winter
{WINTER}
"""
BOLTS = "".join(f"| M{n} | {n * 7} | torque wrench number {n}, from the cabinet in hall {n % 3} |\n" for n in range(60))
TABLE = f"## Torques\n\nSee also page 4.\n\n| Bolt | Torque in Nm | Tool |\n| --- | --- | --- |\n{BOLTS}"
STEPS = "".join(
    f"    def step_{n}(self):\n        return self.valve_{n}.open() and self.gauge_{n}.read() > {n}\n\n"
    for n in range(40)
)
CODE = f"import os\n\n\nclass Round:\n{STEPS}"
FIELDS = f"part: P-7\nname: seal ring\nnotes: {'It wears out when the pump runs dry for long. ' * 40}\nshelf: 12"

GOLDEN = {
    "sections-2/120/170/840/240": "5a82c59c478a6c56",
    "tokens-1/120/170/840/240": "917cb2fc0fbc4596",
    "window-1/120/170/840/240/5/3": "4d106ce68ac45736",
    "rows-1/120/170/840/240/40": "27002965675d7b66",
    "code-1/120/170/840/240/40": "21ef82d3758ed2f4",
}
"""Of the chunks of the four texts above, by the fingerprint of what made them."""

WITHOUT_TABLES = "fa49ef1d2ab965ce"
"""Of the chunks by sections of what has no table: measured results rest on them. `sections-1` gave the same."""


def document(text: str, source: str = "a") -> Document:
    return Document(id="a", title="A", text=text, file_sha256="", source=source)


def split(name: str, text: str) -> list[Chunk]:
    return list(CHUNKERS[name].split(document(text)))


def digest(chunks: Iterable[Chunk]) -> str:
    spans = [(chunk.start, chunk.end, chunk.heading) for chunk in chunks]
    return hashlib.sha256(repr(spans).encode()).hexdigest()[:16]


def test_other_chunks_have_another_fingerprint() -> None:
    made = {
        each.fingerprint: digest(chunk for text in (PROSE, TABLE, CODE, FIELDS) for chunk in split(name, text))
        for name, each in CHUNKERS.items()
    }
    assert made == GOLDEN, "chunks changed: give their chunker a new version, and note its hash here"
    assert ",".join(made) == FINGERPRINT


def test_what_has_no_table_is_split_by_sections_as_it_always_was() -> None:
    files = [path for path in sorted(CORPORA.rglob("documents/**/*")) if path.suffix in (".md", ".txt")]
    texts = [PROSE, CODE, *(path.read_text("utf-8") for path in files)]
    plain = [text for text in texts if not re.search(r"^[ \t]*\|", text, re.MULTILINE)]
    assert len(plain) > 10
    assert digest(chunk for text in plain for chunk in split("sections", text)) == WITHOUT_TABLES


@settings(max_examples=60, deadline=None)
@given(text=MARKED)
@pytest.mark.parametrize("name", sorted(CHUNKERS))
def test_every_chunk_is_a_span_of_the_text_and_every_word_is_in_one(name: str, text: str) -> None:
    held: set[int] = set()
    for chunk in chunks_of(document(text), CHUNKERS[name]) if text.strip() else []:
        assert text[chunk.start : chunk.end] == chunk.text
        held |= set(range(chunk.start, chunk.end))
    left = "".join("\n" if c == "\n" else " " if i in held else c for i, c in enumerate(text))
    for line in left.split("\n"):
        assert not line.strip() or re.match(r"#{1,6}[ \t]+\S", line), line


@pytest.mark.parametrize("name", sorted(CHUNKERS))
def test_no_chunk_is_longer_than_the_embedder_reads(name: str) -> None:
    for text in (PROSE, TABLE, CODE, FIELDS, "x" * 9_000, "漢字" * 9_000, "|a" * 9_000, f"|{'b ' * 999}|\n" * 3):
        assert all(size_of(chunk.text) <= MAX_WORDS + 1 for chunk in split(name, text))


@pytest.mark.parametrize("name", ["sections", "rows"])
def test_every_chunk_of_a_long_table_tells_the_columns(name: str) -> None:
    first, *later = split(name, TABLE)
    assert "| Bolt | Torque in Nm | Tool |" in first.text
    assert first.heading == "Torques"
    assert len(later) > 4
    assert {chunk.heading for chunk in later} == {"Torques > Bolt | Torque in Nm | Tool"}
    assert all(chunk.text.startswith("| M") and chunk.text.endswith(" |") for chunk in later)
    assert all(size_of(chunk.text) + size_of(chunk.heading) <= MAX_WORDS + 4 for chunk in later)


@pytest.mark.parametrize(
    ("first", "row", "header"),
    [
        ("| Item | 2023 | FY 2022 |", "| Net sales of the northern halls | 4,100 | 3,900 |", "Item | 2023 | FY 2022"),
        ("| M7 | 45 |", "| M8 of the northern halls, in winter | 54 |", ""),
        ("| Bolt | Tool |", "| short, of the northern halls | wrench |", ""),
        (f"|{' of hall |' * 60}", "| M8 of the northern halls, in winter |", " | ".join(["of hall"] * 20)),
    ],
    ids=["years", "no header", "words alone", "sixty columns"],
)
def test_a_header_is_a_first_row_without_numbers_over_rows_with_some(first: str, row: str, header: str) -> None:
    *_, last = split("sections", "\n".join([first, *[row] * 40]))
    assert last.heading == header


def test_rows_are_packed_apart_from_prose_but_for_a_caption() -> None:
    table = "| Bolt | Nm |\n| --- | --- |\n| M7 | 45 |\n"
    prose = "The halls were swept and the valves were oiled in good time. " * 8
    assert [chunk.text[:9] for chunk in split("rows", f"{prose}\n\n{table}\n{prose}")] == [
        "The halls",
        "| Bolt | ",
        "The halls",
    ]
    [whole] = split("rows", f"# A\n\nTable 3: torques.\n\n{table}")
    assert whole.text.startswith("Table 3: torques.\n\n| Bolt")


def test_a_value_too_long_for_a_chunk_goes_on_under_its_field() -> None:
    first, *later = split("rows", FIELDS)
    assert first.text.startswith("part: P-7\nname: seal ring\nnotes: It wears")
    assert first.heading == ""
    assert {chunk.heading for chunk in later} == {"notes"}
    assert later[-1].text.endswith("shelf: 12")


def test_tokens_pack_paragraphs_over_headings_up_to_the_size() -> None:
    text = "\n\n".join(f"# Head {i}\n\n{' '.join(['word'] * 50)}." for i in range(4))
    assert [len(chunk.text.split()) for chunk in split("tokens", text)] == [109, 103]


def test_windows_overlap_and_reach_the_end() -> None:
    found = [chunk.text for chunk in split("window", " ".join(f"Sentence {i} ends." for i in range(12)))]
    assert [(chunk.split()[1], chunk.split()[-2]) for chunk in found] == [
        ("0", "4"),
        ("3", "7"),
        ("6", "10"),
        ("9", "11"),
    ]


def test_windows_of_long_sentences_leave_nothing_out() -> None:
    text = " ".join(f"S{i} {'word ' * 100}ends." for i in range(6))
    chunks = split("window", text)
    assert all(left.end + 1 >= right.start for left, right in pairwise(chunks))
    assert chunks[-1].end == len(text)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a.md", "sections"),
        ("a.pdf", "sections"),
        ("a.txt", "sections"),
        ("suite.jsonl#7", "sections"),
        ("parts.csv#7", "rows"),
        ("Parts.XLSX", "rows"),
        ("pump.py", "code"),
        ("Makefile", "sections"),
    ],
)
def test_a_format_has_its_chunker_unless_another_is_chosen(source: str, name: str) -> None:
    assert chunker_for(source).name == name
    assert chunker_for(source, "window").name == "window"


def test_a_recipe_says_the_chunker_and_is_renewed_with_it() -> None:
    chosen = CHUNKERS["window"]
    recipe = recipe_of("markdown-2/abc", chosen, "area:keyword")
    assert chunker_of(recipe, "a.md") == chosen
    older = recipe.replace("window-1", "window-0")
    assert renewed(older, "a.md") == recipe


def test_a_recipe_says_whether_its_texts_are_embedded_as_today() -> None:
    recipe = recipe_of("markdown-2/abc", CHUNKERS["window"], "area:keyword")
    assert embedded_as_today(recipe)
    assert not embedded_as_today(recipe.replace("title-heading-text-", "title-heading-text-0"))


def test_before_there_was_a_choice_sections_meant_whatever_the_format_had() -> None:
    old = "code-1/abc/sections-1/120/170/840/240/title-heading-text-1/"
    assert renewed(old, "pump.py") == recipe_of("code-1/abc", CHUNKERS["code"], "")


def test_a_chunk_within_a_definition_is_indexed_under_its_term() -> None:
    body = "".join(f"    The valve closes {number} times before noon, as the table says.\n" for number in range(45))
    first, *later = chunks_of(document(f"interval=\n{body}\nplace=\n    In the hall.\n"))
    assert first.under == ""
    assert later
    assert {chunk.under for chunk in later} == {"interval="}
    assert search_text("Keys", later[0]).startswith("Keys\ninterval=\nThe valve")
