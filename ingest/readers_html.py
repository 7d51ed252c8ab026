"""HTML to text: boilerplate out, headings, tables, nesting and preformatted lines kept. Knows no other format."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from bs4.builder import ParserRejectedMarkup
from bs4.element import NavigableString

from ingest.cleaning import decode
from ingest.readers import Extracted
from rag.errors import UnreadableDocument

DROPPED = (
    "script",
    "style",
    "noscript",
    "template",
    "nav",
    "footer",
    "aside",
    "form",
    "iframe",
    "svg",
    "button",
    "head",
)
ROLES = ("navigation", "banner", "contentinfo", "search", "complementary")
BLOCKS = {
    "p", "div", "section", "article", "main", "ul", "ol", "dl", "dt", "dd", "blockquote", "pre", "figure", "figcaption",
    "header", "address", "details", "summary", "hr", "body", "html", "table", "tr", "td", "th", "caption",
}  # fmt: skip
"""Elements that stand apart; a table with tables in it is one of layout."""
MAX_INDENT = 32
"""Columns that a nested item is moved in by, at the most."""
_KEPT = "\0"
"""A blank that is kept while others are joined; no HTML holds this character."""
MAX_DEPTH = 400
"""Nested elements; deeper ones are no document that a person wrote."""


def read_html(path: Path) -> Extracted:
    """The text of a page: `<main>` or `<article>` where there is one, without navigation, scripts and footers."""
    return html_text(decode(path.read_bytes()))


def html_text(source: str) -> Extracted:
    """The same for a page that is there already: a chapter of a book, the body of an e-mail."""
    # lxml: html.parser needs minutes for half a megabyte of unclosed quotes, its time grows with the square
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Beautiful Soup's guesses about what the markup might be
        try:
            soup = BeautifulSoup(source, "lxml")
        except (ParserRejectedMarkup, AssertionError, RecursionError) as error:
            raise UnreadableDocument(f"the file is no HTML: {error}") from error
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup.find_all(list(DROPPED)):
        tag.decompose()
    for tag in soup.select(",".join(["[hidden]", *(f"[role={role}]" for role in ROLES)])):
        tag.decompose()
    mains = soup.find_all(["main", "article"])
    body = mains[0] if len(mains) == 1 else soup.body or soup
    parts: list[str] = []
    try:
        _write(body, parts, 0, "")
    except RecursionError as error:
        raise UnreadableDocument("its elements are nested too deeply") from error
    text = re.sub(r"[ \t]+", " ", "".join(parts))
    blank = f" {_KEPT}"
    text = "\n".join(line.rstrip(blank).lstrip(" ") for line in text.split("\n"))  # no pattern: runs may be long
    return Extracted(re.sub(r"\n{3,}", "\n\n", text).strip(f"{blank}\n").replace(_KEPT, " "), title)


def _write(node: Tag, parts: list[str], depth: int, indent: str) -> None:
    """indent: kept blanks that its lines begin with."""
    if depth > MAX_DEPTH:
        raise UnreadableDocument("its elements are nested too deeply")
    for child in node.children:
        if isinstance(child, NavigableString):
            if type(child) is NavigableString:  # no comment, no declaration
                parts.append(re.sub(r"\s+", " ", str(child)))
        elif isinstance(child, Tag):
            _write_tag(child, parts, depth, indent)


def _write_tag(tag: Tag, parts: list[str], depth: int, indent: str) -> None:
    name = tag.name.lower()
    deeper = depth + 1
    if re.fullmatch(r"h[1-6]", name):
        parts.append(f"\n\n{'#' * int(name[1])} {tag.get_text(' ', strip=True)}\n\n{indent}")
    elif name == "table" and tag.find("table") is None:
        parts.append(f"\n\n{_table(tag)}\n\n{indent}")
    elif name == "pre":
        parts.append(f"\n\n{_preformatted(tag, indent)}\n\n{indent}")
    elif name == "br":
        parts.append(f"\n{indent}")
    elif name == "li":
        parts.append(f"\n{indent}- ")
        _write(tag, parts, deeper, _further(indent, 2))
    elif name == "dd":
        further = _further(indent, 4)
        parts.append(f"\n{further}")
        _write(tag, parts, deeper, further)
        parts.append(f"\n{indent}")
    elif name in BLOCKS:
        parts.append(f"\n\n{indent}")
        _write(tag, parts, deeper, indent)
        parts.append(f"\n\n{indent}")
    else:
        _write(tag, parts, deeper, indent)


def _further(indent: str, columns: int) -> str:
    return (indent + columns * _KEPT)[:MAX_INDENT]


def _preformatted(tag: Tag, indent: str) -> str:
    """Lines as they are, moved in, so that no comment in them is a heading."""
    lines = tag.get_text().expandtabs(8).strip("\r\n").splitlines()
    return "\n".join(_further(indent, 4) + line.rstrip().replace(" ", _KEPT) for line in lines)


def _table(table: Tag) -> str:
    lines = [f"{table.caption.get_text(' ', strip=True)}\n"] if table.caption else []
    for row in _outermost(table, {"tr"}):
        cells = [re.sub(r"\s+", " ", cell.get_text(" ", strip=True)) for cell in _outermost(row, {"th", "td"})]
        if any(cells):
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _outermost(node: Tag, names: set[str]) -> Iterator[Tag]:
    """Descendants of these names that lie in no other of them, in order: broken markup nests rows and cells."""
    waiting = list(reversed(list(node.children)))
    while waiting:
        child = waiting.pop()
        if isinstance(child, Tag):
            if child.name in names:
                yield child
            else:
                waiting += reversed(list(child.children))
