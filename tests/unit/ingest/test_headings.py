"""Underlined headings become headings, code and comments none, and what is not underlined stays as it stands."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ingest.chunkers import chunks_of
from ingest.headings import markdown, restructured
from ingest.readers import reader_for
from rag.types import Document

OTHERS = """---

Two lines of
a paragraph
---

A sentence.
---

- item
---

| a |
| --- |

> quote
---

#NoSpace

***
===

Head
==

```
Code
====
```

<!--
Draft
=====
-->

    Indented
----
"""


def test_underlined_headings_are_headings() -> None:
    text, title = markdown("Travel policy\n=============\nIntro.\n\nKilometres  \n---\n\n0.30 EUR.\n\n# A\nB\n=== \n")
    assert text == "# Travel policy\nIntro.\n\n## Kilometres\n\n0.30 EUR.\n\n# A\n# B\n"
    assert title == "Travel policy"


def test_everything_else_stays_as_it_stands() -> None:
    assert markdown(OTHERS) == (OTHERS, "")


@pytest.mark.parametrize(
    "text",
    [
        "```\n# install\n```\n\n# Real\n",
        "<!-- # a\n# Draft\n-->\n# Real #\n",
        "````md\n```\n# inner\n```\n````\n\n# Real\n",
        "```code``` within\n\n# Real\n\n```x``` again\n",
        "```\n<!--\n```\n\n# Real\n\n-->",
        "<!-- never closed\n\n# Real\n",
    ],
)
def test_a_title_is_not_taken_from_code_or_comments(text: str) -> None:
    assert markdown(text) == (text, "Real")


def test_titles_of_restructured_text_have_levels_in_the_order_of_their_styles() -> None:
    text, title = restructured(
        "=====\nTitle\n=====\n\nIntro.\n\nSection\n-------\nText\n----- no\n\nOther\n~~~~~\n\nMore\n\nNext\n----\n\n"
        "-----\n\nLonger than its line\n~~~~~\n\n=====  =====\nA      B\n=====  =====\n\n   code\n   ----\n"
    )
    assert text == (
        "# Title\n\nIntro.\n\n## Section\nText\n----- no\n\n### Other\n\nMore\n\n## Next\n\n"
        "-----\n\n### Longer than its line\n\n=====  =====\nA      B\n=====  =====\n\n   code\n   ----\n"
    )
    assert title == "Title"


def test_chunks_stand_under_their_headings(tmp_path: Path) -> None:
    files = {
        "a.md": "Guide\n=====\n\nRates\n-----\n\n````md\n```\n# inner\n```\n````\n\n```x``` is code.\n\n"
        "## After\n\nLast words.\n",
        "a.rst": "Guide\n=====\n\nRates\n-----\n\nWords.\n\nAfter\n-----\n\nLast words.\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
        found = reader_for(tmp_path / name).read(tmp_path / name)
        document = Document(id=name, title=found.title, text=found.text, file_sha256="0", source=name)
        assert (found.title, [chunk.heading for chunk in chunks_of(document)]) == ("Guide", ["Rates", "After"])


def test_headings_are_found_in_one_pass() -> None:
    begun = time.monotonic()
    for text in (
        "<!--" * 200_000,
        "```\n" * 100_001,
        "=" * 500_000 + "\n",
        "A\n---\n\n" * 50_000,
        "`" * 500_000 + "x`",
        "~~~~\n<!-- x\n" * 50_000,
        "-\n" * 200_000,
        "A" + " " * 500_000 + "\n---x\n",
    ):
        markdown(text)
        restructured(text)
    assert time.monotonic() - begun < 20
