"""What becomes of a page: what is content, tables with every value in its column, words joined as they are."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from ingest.headers import tables
from ingest.readers import reader_for
from ingest.readers_html import html_text
from ingest.splitting import split
from rag.errors import UnreadableDocument


def text_of(body: str) -> str:
    return html_text(f"<!doctype html><html><head><title>T</title></head><body>{body}</body></html>").text


# --- what is content ---------------------------------------------------------------------------


def test_a_form_around_the_whole_page_hides_nothing_but_its_controls() -> None:
    page = text_of(
        '<form action="x.aspx"><input value="state"><h1>Leave policy</h1><p>30 days of leave.</p>'
        "<select><option>Norway</option></select><textarea>words</textarea><button>Send</button></form>"
    )
    assert page == "# Leave policy\n\n30 days of leave."


def test_a_question_that_is_a_button_stays_and_other_buttons_go() -> None:
    page = text_of(
        "<h1>Macro go <button>Copy</button></h1>"
        "<h2><button>How do I reset it?</button></h2><p>Press <b>R</b>.</p><button>Share</button>"
        "<details><summary><button>Who pays?</button></summary>We do.</details>"
        "<dl><dt><button>When?</button></dt><dd>Now.</dd></dl>"
    )
    assert page == "# Macro go\n\n## How do I reset it?\n\nPress R.\n\nWho pays?\n\nWe do.\n\nWhen?\n\n    Now."


def test_the_outermost_main_is_read_and_an_article_only_where_it_is_most_of_the_page() -> None:
    around = '<div class="sidebar"><a>Home</a></div>{}<div class="cookie">We use cookies</div>'
    article = "<article><h1>Doc</h1><p>Real text, and more of it than there is around it.</p></article>"
    read = "# Doc\n\nReal text, and more of it than there is around it."
    assert text_of(around.format(f"<main>{article}</main>")) == read
    assert text_of(around.format(f'<div role="main">{article}</div>')) == read
    assert text_of(around.format(f"<main></main>{article}")) == read
    assert text_of("<main><p>One.</p></main><p>x</p><main><p>Two.</p></main>") == "One.\n\nTwo."
    assert text_of(f"<h1>Manual</h1>{'<p>A paragraph.</p>' * 9}<article>A box.</article>").startswith("# Manual")


def test_a_chapter_is_read_as_a_whole() -> None:
    source = "<h1>Two</h1><article><p>A box of some length.</p></article><p>After.</p><aside><p>1. Note.</p></aside>"
    assert html_text(source, whole=True).text == "# Two\n\nA box of some length.\n\nAfter.\n\n1. Note."


def test_asides_and_footers_stay_where_they_are_content() -> None:
    page = text_of(
        "<aside>Products</aside><article><h1>Valves</h1><aside>Never above 5 bar.</aside>"
        "<aside><a>Related</a> <a>More</a></aside><blockquote>q<footer>CEO, 2023</footer></blockquote>"
        "<footer>Owner: Jane Doe</footer></article><footer>Imprint</footer><div role=contentinfo>Legal</div>"
    )
    assert page == "# Valves\n\nNever above 5 bar.\n\nq\n\nCEO, 2023\n\nOwner: Jane Doe"
    assert text_of('<p>Intro.</p><aside class="note warning">Hot.</aside><aside class=ad>Buy.</aside>') == (
        "Intro.\n\nHot."
    )


def test_what_is_hidden_goes_unless_it_is_there_to_be_opened() -> None:
    page = text_of(
        "<p>a</p><div role=tabpanel hidden>choco install</div><div hidden=until-found>answer</div><p hidden>x</p>"
    )
    assert page == "a\n\nchoco install\n\nanswer"


def test_pictures_are_told_by_descriptions_and_not_by_names() -> None:
    page = text_of('<p><img alt="Pump P-1 feeds tank T-2"> <img alt="Logo"><img alt="Acme Corp company logo"></p>')
    assert page == "[Pump P-1 feeds tank T-2]"


# --- words and lines ---------------------------------------------------------------------------


def test_inline_elements_part_no_words_and_line_ends_do() -> None:
    assert (
        text_of("<h2>Using <code>foo</code>, bar<br>and <b>b</b>az<div>qux</div></h2>")
        == "## Using foo, bar and baz qux"
    )
    row = "<tr><td><code><span>kubectl</span>-<span>apply</span></code></td><td>$<b>1,200</b></td><td>a<br>b</td></tr>"
    assert text_of(f"<table>{row}</table>") == "| kubectl-apply | $1,200 | a b |"
    assert text_of("<table><tr><td>x<ul><li>a</li> <li>b</li></ul></td><td>y</td></tr></table>") == "| x a; b | y |"


def test_a_heading_has_no_link_to_itself_and_an_empty_one_is_none() -> None:
    page = text_of(
        '<h1>Set up<a class="headerlink" href="#x">\uf0c1</a></h1><dl><dt>limit<a href="#l">¶</a></dt><dd>3</dd></dl>'
        '<h3><img alt="Logo"></h3>'
    )
    assert page == "# Set up\n\nlimit\n\n    3"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("10<sup>6</sup> and H<sub>2</sub>O", "10^6 and H2O"),
        ("10<sup>-3</sup> A<sup>n + 1</sup>", "10^-3 A^(n + 1)"),
        ("1,250<sup>1</sup> EUR", "1,250^1 EUR"),
        ("1,250<sup><a href='#f'>1</a></sup> EUR", "1,250[1] EUR"),
        ("1,250<a href='#f'><sup>1</sup></a> EUR", "1,250[1] EUR"),
        ("1,250<sup><a href='#f'>[1]</a></sup> EUR", "1,250[1] EUR"),
        ("the 1<sup>st</sup> Foo<sup>®</sup>", "the 1st Foo®"),
    ],
)
def test_raised_words_do_not_run_into_what_they_follow(source: str, text: str) -> None:
    assert text_of(f"<p>{source}</p>") == text
    assert text_of(f"<h2>{source}</h2>") == f"## {text}"


def test_items_keep_their_numbers() -> None:
    page = text_of(
        "<ol><li><p>First</p></li><li>Second<ol type=a><li>sub<br>more</li><li>sub</li></ol></li></ol>"
        "<ol start=3><li>Third</li><li value=7>Seventh<ul><li>x</li></ul></li><li><h3>Step</h3>Do</li></ol>"
    )
    assert page == (
        "1. First\n\n2. Second\n\n   a. sub\n      more\n   b. sub\n\n3. Third\n"
        "7. Seventh\n\n   - x\n\n### 8. Step\n\n   Do"
    )


def test_lines_that_are_elements_stay_lines_in_preformatted_text() -> None:
    token = '<span class="token-line">pip install x<br></span><span class="token-line">x --init<br></span>'
    assert text_of(f"<p>a</p><pre><code>{token}</code></pre>") == "a\n\n    pip install x\n    x --init"
    assert (
        text_of("<p>a</p><pre><div>if x:</div><div>  y</div><div>\n</div>z</pre>") == "a\n\n    if x:\n      y\n\n    z"
    )


# --- tables ------------------------------------------------------------------------------------


def test_spans_put_every_value_under_its_header() -> None:
    page = text_of(
        "<table><caption>Rates</caption><thead><tr><th rowspan=2>Region</th><th colspan=2>2023</th></tr>"
        "<tr><th>Q1</th><th>Q2</th></tr></thead><tr><td rowspan=2>North</td><td>5</td><td>6</td></tr>"
        "<tr><td colspan=2>closed</td></tr><tr><td colspan=3>Estimates</td></tr></table>"
    )
    assert page == (
        "Rates\n\n| Region | 2023 Q1 | 2023 Q2 |\n|---|---|---|\n"
        "| North | 5 | 6 |\n| North | closed | closed |\n| Estimates | | |"
    )


def test_a_title_over_all_columns_is_no_header() -> None:
    page = text_of("<table><tr><th colspan=1000>Rates</th></tr><tr><th>A</th><th>B</th></tr><tr><td>1<td>2</table>")
    assert page == "Rates\n\n| A | B |\n|---|---|\n| 1 | 2 |"


def test_a_sign_in_a_column_of_its_own_is_part_of_the_number_beside_it() -> None:
    page = text_of(
        "<table><tr><th></th><th colspan=2>2023</th><th></th><th colspan=3>2022</th></tr>"
        "<tr><td>Net</td><td>$</td><td>1,200</td><td></td><td>$</td><td>1,100</td><td></td></tr>"
        "<tr><td>Margin</td><td></td><td>7</td><td></td><td></td><td>(5</td><td>)%</td></tr>"
        "<tr><td>Other</td><td colspan=2>none</td><td></td><td></td><td>3</td><td></td></tr></table>"
    )
    assert page == (
        "| | 2023 | 2022 |\n|---|---|---|\n| Net | $1,200 | $1,100 |\n| Margin | 7 | (5)% |\n| Other | none | 3 |"
    )


def test_later_chunks_of_a_long_table_of_words_keep_its_header() -> None:
    rows = "".join(f"<tr><td>Officer for {c * 3}</td><td>Person {c} Surname</td></tr>" for c in "ABCDEFGHIJ" * 6)
    page = text_of(f"<table><tr><th>Role</th><th>Name</th></tr>{rows}</table>")
    assert [found.header for found in tables(page, 0, len(page))] == ["Role | Name"]
    assert {chunk.heading for chunk in list(split(page))[1:]} == {"Role | Name"}


@pytest.mark.parametrize(
    "table",
    [
        "<table role=presentation><tr><td>{}</td><td></td></tr></table>",
        "<table><tr><td>{}</td></tr></table>",
        "<table><tr><td></td><td>{}</td></tr><tr><td></td><td></td></tr></table>",
        "<table><tr><td><table><tr><th>{}</th></tr></table></td></tr></table>",
    ],
)
def test_a_table_of_layout_is_read_as_blocks(table: str) -> None:
    page = text_of(table.format("<h2>Policy change</h2><p>30 days.</p><p>5 carry over.</p>"))
    assert page == "## Policy change\n\n30 days.\n\n5 carry over."


def test_headings_in_the_first_row_are_the_header_of_a_table() -> None:
    page = text_of("<table><tr><td><h4>Name</h4><td><h4>Phone</h4></tr><tr><td>Ann<td>11</table>")
    assert page == "| Name | Phone |\n|---|---|\n| Ann | 11 |"


@pytest.mark.parametrize(
    "source",
    [
        "<table>" + "<tr><td colspan=1000 rowspan=60000>x</td>" * 2000 + "<tr><td>y</td></tr>" * 20_000,
        "<table><tr>" + "<td>a</td>" * 9999 + "<td rowspan=60000>z</td></tr>" + "<tr><td>y</td></tr>" * 20_000,
        "<table><tr>" + "<th colspan=1000 rowspan=5>a</th>" * 9999 + "</tr>" + "<tr><td>y</td></tr>" * 20_000,
        "<h2>" + "<button>a" * 50_000,
        "<article>" + "<aside>a" * 50_000,
        "<a>" + "<sup>1</sup>" * 30_000,
    ],
)
def test_spans_and_nesting_take_bounded_time_and_text(source: str) -> None:
    begin = time.process_time()
    with suppress(UnreadableDocument):
        assert len(html_text(source).text) < 4 * len(source)
    assert time.process_time() - begin < 20


def test_the_reader_says_that_it_reads_otherwise_than_before() -> None:
    assert reader_for(Path("a.html")).name == "html-4"
