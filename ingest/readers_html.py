"""HTML to text: boilerplate out, headings, tables, lists and preformatted lines kept. Knows no other format."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from bs4.builder import ParserRejectedMarkup
from bs4.element import NavigableString, PageElement

from ingest.cleaning import decode
from ingest.html_tables import HEADINGS, is_layout, outermost, rows_of
from ingest.readers import Extracted
from rag.errors import UnreadableDocument

DROPPED = (
    "script",
    "style",
    "noscript",
    "template",
    "nav",
    "search",
    "iframe",
    "svg",
    "input",
    "select",
    "datalist",
    "textarea",
    "head",
)
ROLES = ("navigation", "banner", "search")
BLOCKS = {
    "p", "div", "section", "article", "main", "ul", "ol", "dl", "dt", "dd", "blockquote", "pre", "figure", "figcaption",
    "header", "footer", "aside", "address", "details", "summary", "form", "fieldset", "legend", "hr", "body", "html",
    "table", "tr", "td", "th", "caption",
}  # fmt: skip
"""Elements that stand apart."""
FOLDED = [*HEADINGS, "summary", "dt"]
"""What a page opens by a button: the button's words are the question, not a command."""
MAX_INDENT = 32
"""Columns that a nested item is moved in by, at the most."""
_KEPT = "\0"
"""A blank that is kept while others are joined; no HTML holds this character."""
_ITEM = "\1"
"""Stands between the items of a list on one line; no HTML holds it either."""
MAX_DEPTH = 400
"""Nested elements; deeper ones are no document that a person wrote."""

_ANCHORS = frozenset(("¶", "#", "§", "🔗", "\u200b"))
"""The words of a link from a heading to itself."""
_ALERT = re.compile(
    r"\b(?:warning|caution|danger|important|note|notice|tip|hint|info|admonition|callout|alert)\b", re.I
)
_ORDINAL = re.compile(r"st|nd|rd|th|er|[eoaª°º]|tm|sm|[^\w+\-−–].*", re.IGNORECASE | re.DOTALL)
"""What stands raised without being an exponent or the number of a note."""
_ORNAMENT = re.compile(r"\b(?:logo|icon|avatar)\b", re.IGNORECASE)


def read_html(path: Path) -> Extracted:
    """The text of a page without navigation, scripts and footers: of its `<main>`, or its `<article>` if that is most
    of it, where there is one."""
    return html_text(decode(path.read_bytes()))


def html_text(source: str, *, whole: bool = False) -> Extracted:
    """The same for a page that is there already.

    whole: it has nothing beside its content, as a chapter of a book or the body of an e-mail.
    """
    # lxml: html.parser needs minutes for half a megabyte of unclosed quotes, its time grows with the square
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Beautiful Soup's guesses about what the markup might be
        try:
            soup = BeautifulSoup(source, "lxml")
        except (ParserRejectedMarkup, AssertionError, RecursionError) as error:
            raise UnreadableDocument(f"the file is no HTML: {error}") from error
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    mains = _cleared(soup, whole=whole)
    page = _Text()
    try:
        for body in [soup.body or soup] if whole else _contents(soup, mains):
            page.children(body, 0, "")
            page.end("\n\n")
    except RecursionError as error:
        raise UnreadableDocument("its elements are nested too deeply") from error
    return Extracted(page.lines(), title)


def _cleared(soup: BeautifulSoup, *, whole: bool) -> list[Tag]:
    """Takes out what is no content; gives the outermost `<main>` elements.

    One walk that remembers what it is in: looking for the parents of each element takes the square of a deep page.
    """
    mains = []
    waiting: list[tuple[Tag, frozenset[str]]] = [(soup, frozenset(("aside", "article") if whole else ()))]
    while waiting:
        tag, around = waiting.pop()
        kind = _kind(tag)
        if _is_dropped(tag, kind, around):
            tag.decompose()
            continue
        if kind == "main" and "main" not in around:
            mains.append(tag)
        if kind == "folded" and kind not in around:
            words = _size(tag)
            for button in list(outermost(tag, {"button"})):
                if 2 * _size(button) < words:  # to copy or to share what the others say
                    button.decompose()
        within = around | {kind} if kind else around
        waiting += [(child, within) for child in reversed(tag.contents) if isinstance(child, Tag)]
    return mains


def _kind(tag: Tag) -> str:
    """What an element is to those within it."""
    role = tag.get("role")
    if tag.name == "main" or role == "main":
        return "main"
    if tag.name == "aside" or role == "complementary":
        return "aside"
    if tag.name == "footer" or role == "contentinfo":
        return "footer"
    if tag.name in FOLDED:
        return "folded"
    return tag.name if tag.name in ("article", "blockquote") else ""


def _is_dropped(tag: Tag, kind: str, around: frozenset[str]) -> bool:
    if tag.name in DROPPED or tag.get("role") in ROLES:
        return True
    if tag.name == "button":
        return "folded" not in around
    if tag.has_attr("hidden"):
        return tag.get("hidden") != "until-found" and tag.get("role") != "tabpanel"  # which are there to be opened
    if kind not in ("aside", "footer") or kind in around:
        return False
    belongs = around & ({"main", "article"} if kind == "aside" else {"article", "blockquote"})
    return not (belongs or (kind == "aside" and _ALERT.search(_classes(tag)))) or _mostly_links(tag)


def _size(tag: Tag) -> int:
    return sum(len(text.strip()) for text in tag.strings)


def _mostly_links(tag: Tag) -> bool:
    return 2 * sum(_size(link) for link in tag.find_all("a")) > _size(tag)


def _contents(soup: BeautifulSoup, mains: list[Tag]) -> list[Tag]:
    """The parts of a page that are read."""
    body = soup.body or soup
    articles = soup.find_all("article", limit=2)
    if len(articles) == 1 and 2 * _size(articles[0]) > _size(body):
        body = articles[0]
    return [main for main in mains if _size(main)] or [body]


class _Text:
    """What is written of a page so far."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.mark = ""
        """Of an item that has no words yet, with the line end and the blanks before it: its first block follows it."""

    def lines(self) -> str:
        """The text as it is stored."""
        text = re.sub(r"[ \t]+", " ", "".join(self.parts))
        blank = f" {_KEPT}"
        text = "\n".join(line.rstrip(blank).lstrip(" ") for line in text.split("\n"))  # no pattern: runs may be long
        return re.sub(r"\n{3,}", "\n\n", text).strip(f"{blank}\n").replace(_KEPT, " ")

    def say(self, text: str) -> None:
        if text.strip():
            self.parts.append(self.mark)
            self.mark = ""
        self.end(text)

    def end(self, text: str) -> None:
        """Blanks or line ends, which an item does not begin with."""
        if not self.mark:
            self.parts.append(text)

    def children(self, node: Tag, depth: int, indent: str) -> None:
        """indent: kept blanks that its lines begin with."""
        if depth > MAX_DEPTH:
            raise UnreadableDocument("its elements are nested too deeply")
        for child, mark in _marked(node):
            if isinstance(child, NavigableString):
                if type(child) is NavigableString:  # no comment, no declaration
                    self.say(re.sub(r"\s+", " ", str(child)))
            elif isinstance(child, Tag):
                self.tag(child, depth + 1, indent, mark)

    def tag(self, tag: Tag, depth: int, indent: str, mark: str) -> None:
        """mark: of an item of a list, with a blank after it."""
        name = tag.name.lower()
        if name in HEADINGS:
            if words := _line(tag):
                number = self.mark.strip(f"\n-{_KEPT}")  # a heading stands at the margin, or it is none
                self.mark = ""
                self.parts.append(f"\n\n{'#' * int(name[1])} {number}{words}\n\n{indent}")
        elif name == "table" and not is_layout(tag):
            self.say(f"\n\n{rows_of(tag, _line)}\n\n{indent}")
        elif name == "pre":
            self.say(f"\n\n{_preformatted(tag, indent)}\n\n{indent}")
        elif name == "br":
            self.end(f"\n{indent}")
        elif mark:
            self.parts.append(self.mark)
            self.mark = f"\n{indent}{mark}"
            self.children(tag, depth, _further(indent, len(mark)))
            self.mark = ""
        elif name == "dd":
            further = _further(indent, 4)
            self.end(f"\n{further}")
            self.children(tag, depth, further)
            self.end(f"\n{indent}")
        elif name in BLOCKS:
            self.end(f"\n\n{indent}")
            self.children(tag, depth, indent)
            self.end(f"\n\n{indent}")
        elif words := _spelled(tag):
            self.say(words)
        elif not _is_anchor(tag):
            self.children(tag, depth, indent)


def _line(tag: Tag) -> str:
    """An element's words on one line, joined as they are: only a block or a line end parts them, and items a semicolon.

    No recursion: broken markup nests cells by the hundred.
    """
    parts: list[str] = []
    waiting: list[PageElement | str] = [tag]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Tag):
            parts += [str(node)] if type(node) in (NavigableString, str) else []
        elif words := _spelled(node):
            parts.append(words)
        elif not _is_anchor(node):
            pieces: list[PageElement | str] = []
            begun = False
            for child, mark in _marked(node):
                pieces += [_ITEM if begun else "\n", mark.removeprefix("- "), child, "\n"] if mark else [child]
                begun = begun or mark != ""
            ends = ["\n"] if node.name == "br" or node.name in BLOCKS or node.name in HEADINGS else []
            waiting += reversed([*ends, *pieces, *ends])
    items = (" ".join(item.split()) for item in "".join(parts).split(_ITEM))
    return "; ".join(filter(None, items))


def _spelled(tag: Tag) -> str:
    """What stands for a picture or for raised words; of any other element nothing."""
    if tag.name == "img":
        alt = " ".join(str(tag.get("alt", "")).split())
        return f" [{alt}] " if len(alt.split()) > 2 and not _ORNAMENT.search(alt) else ""
    return _raised(tag) if tag.name == "sup" else ""


def _raised(tag: Tag) -> str:
    """An exponent behind a caret, the number of a note in brackets: raised digits would run into what they follow."""
    words = " ".join(tag.get_text().split())
    above = tag.parent
    link = tag.find("a") is not None or (above is not None and above.name == "a" and len(above.contents) == 1)
    if link and words and "[" not in words:
        return f"[{words}]"
    if not words or link or _ORDINAL.fullmatch(words):
        return words
    return f"^({words})" if " " in words else f"^{words}"


def _is_anchor(tag: Tag) -> bool:
    """Whether it is a link from a heading to itself."""
    return tag.name == "a" and ("headerlink" in _classes(tag).split() or (tag.string or "").strip() in _ANCHORS)


def _classes(tag: Tag) -> str:
    found = tag.get("class")
    return " ".join(found) if isinstance(found, list) else found or ""


def _marked(node: Tag) -> Iterator[tuple[PageElement, str]]:
    """An element's children, each with its mark where it is an item of a list: its number, or a dash."""
    number = _integer(node, "start", 1) if node.name == "ol" else None
    kind = str(node.get("type", ""))
    for child in node.children:
        if not isinstance(child, Tag) or child.name != "li":
            yield child, ""
        elif number is None:
            yield child, "- "
        else:
            number = _integer(child, "value", number)
            lettered = kind in ("a", "A") and 1 <= number <= 26
            yield child, f"{chr(ord(kind) + number - 1) if lettered else number}. "
            number += 1


def _integer(tag: Tag, name: str, otherwise: int) -> int:
    found = re.fullmatch(r"\s*(-?\d{1,6})\s*", str(tag.get(name, ""))[:20])
    return int(found[1]) if found else otherwise


def _further(indent: str, columns: int) -> str:
    return (indent + columns * _KEPT)[:MAX_INDENT]


def _preformatted(tag: Tag, indent: str) -> str:
    """Lines as they are, moved in, so that no comment in them is a heading."""
    parts: list[str] = []
    _write_lines(tag, parts, 0)
    lines = "".join(parts).expandtabs(8).strip("\r\n").splitlines()
    return "\n".join(_further(indent, 4) + line.rstrip().replace(" ", _KEPT) for line in lines)


def _write_lines(node: Tag, parts: list[str], depth: int) -> None:
    """Text as it is; a line end, or a block, which highlighters make of each line, ends a line."""
    if depth > MAX_DEPTH:
        raise UnreadableDocument("its elements are nested too deeply")
    for child in node.children:
        if type(child) is NavigableString:
            parts.append(str(child))
        elif isinstance(child, Tag):
            apart = child.name in BLOCKS or child.name == "li"
            if child.name == "br" or (apart and parts and not parts[-1].endswith("\n")):
                parts.append("\n")
            _write_lines(child, parts, depth + 1)
            if apart and parts and not parts[-1].endswith("\n"):
                parts.append("\n")
