"""Chunks are spans of the text, whatever the text; headings go with what follows them."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk_sizes import MAX_WORDS
from ingest.splitting import split

MARKED = st.text(alphabet=st.sampled_from("ab.!? \n#|-`~*1漢字。\t"), max_size=400)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=300), MARKED), title=st.text(max_size=10))
def test_every_chunk_is_a_span_of_the_text_and_chunks_never_overlap(text: str, title: str) -> None:
    chunks = list(split(text, title=title))
    assert [chunk.text for chunk in chunks] == [text[chunk.start : chunk.end] for chunk in chunks]
    assert all(left.end <= right.start for left, right in pairwise(chunks))
    assert bool(chunks) == bool(text.strip())


@settings(max_examples=300, deadline=None)
@given(text=MARKED)
def test_what_no_chunk_holds_is_white_space_or_a_heading(text: str) -> None:
    end = 0
    left_out = []
    for chunk in split(text):
        left_out.append(text[end : chunk.start])
        end = chunk.end
    left_out.append(text[end:])
    for line in "\n".join(left_out).split("\n"):
        assert not line.strip() or re.match(r"#{1,6}[ \t]+\S", line), line


def test_headings_are_told_as_a_path_without_the_document_title() -> None:
    text = "# Pumps\n\nIntro.\n\n## Seals\n\nWet.\n\n### Leaks\n\nDrip.\n\n## Motors\n\nHum.\n"
    assert [(chunk.heading, chunk.text) for chunk in split(text, title="Pumps")] == [
        ("", "Intro."),
        ("Seals", "Wet."),
        ("Seals > Leaks", "Drip."),
        ("Motors", "Hum."),
    ]


def test_a_heading_without_text_goes_with_what_follows() -> None:
    text = "## Never open valve T-10\n## Daily round\nCheck the oil."
    [chunk] = split(text)
    assert (chunk.start, chunk.end, chunk.heading) == (0, len(text), "Daily round")


def test_headings_alone_are_one_chunk_so_that_no_document_is_invisible() -> None:
    assert [chunk.text for chunk in split("# A\n\n# B\n")] == ["# A\n\n# B"]


def test_a_comment_in_a_code_block_is_no_heading() -> None:
    [chunk] = split("# Setup\n\n```\n# comment\nrun\n```\n", title="")
    assert chunk.heading == "Setup"
    assert "# comment" in chunk.text


def test_table_rows_stay_whole() -> None:
    rows = [f"| T-{number} | {' '.join(['word'] * 20)} |" for number in range(40)]
    chunks = list(split("\n".join(rows)))
    assert len(chunks) > 1
    assert [line for chunk in chunks for line in chunk.text.split("\n")] == rows


def test_sections_are_cut_into_parts_of_like_size() -> None:
    text = " ".join(f"Sentence {number} has exactly six words." for number in range(60))
    sizes = [len(chunk.text.split()) for chunk in split(text)]
    assert sum(sizes) == 360
    assert sizes == [120, 120, 120]


@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "word " * 200_000, "漢字" * 200_000, "a. " * 200_000, "|" * 500_000, "# a" + "#" * 500_000 + "b",
     "\n|" * 200_000, "# h\n" * 100_000, "\n" * 500_000 + "x", "```\n" * 100_000],
    ids=["run", "words", "han", "stops", "bars", "hashes", "rows", "headings", "blank", "fences"],
)  # fmt: skip
def test_hostile_text_is_cut_small_in_linear_time(text: str) -> None:
    begin = time.process_time()
    chunks = list(split(text))
    assert time.process_time() - begin < 10
    assert max(len(chunk.text.split()) for chunk in chunks) <= MAX_WORDS
    assert max(len(chunk.text) for chunk in chunks) <= 1400
