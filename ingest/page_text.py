"""Pages of ordered blocks to one text, with the place of every stretch of it. Pure.

Lines of a paragraph are joined, also across a page's end; words that a line's end cut are put together; what stands at
the edge of many pages is left out; lines in larger type become Markdown headings. Knows no file format.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingest.cleaning import clean
from ingest.page_parts import Block, Line, Piece
from rag.page_boxes import PlacedText

EDGE_LINES = 2
"""Lines at the top and bottom of a page that may be running heads."""
EDGE = 0.15
"""Of a page's height: further in no running head stands."""
HEADING = 1.15
"""Times the type of most of the text; larger lines are headings."""
ONE_LEVEL = 0.95
"""Of the largest type of a level: what is no smaller is of the same, as boxes around type are inexact."""
HEADING_WORDS = 16
DEEPEST = 6
"""Level of a heading in Markdown."""
PARAGRAPH_GAP = 0.45
"""Times the height of a line: paragraphs are farther apart."""

Box = tuple[float, float, float, float]
_Said = tuple[str, int, bool]
"""A line at a page's edge: what it says but for numbers, about where, and whether it is a heading."""

_HYPHENS = ("-", "\u2010")
_CUT = re.compile("[\u00ad\ufffe\x02]+$")
"""How a PDF tells that a word goes on in the next line."""
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_NUMBERED = re.compile(r"(?:§ ?\d{1,3}|\d{1,2}(?:[.)]|(?:\.\d{1,2})+[.)]?))\s(?=[^\W\da-z])")
"""How a heading with a number begins."""
_ITEM = re.compile(r"[•▪◦‣●○■□*]|–\s|\(?(?:\d{1,2}[.)]|[A-Za-z]\)|[ivx]{1,5}\))\s")
"""How an item of a list begins."""
_MAYBE_ITEM = re.compile(r"[-\u2212]\s|\d{1,2}(?:\.\d{1,2})+\.?\s")
"""How a line of prose may begin too: with a dash, or a number as in 3.8 bar."""
_ENDS = re.compile(r"[.!?:;…。！？][\"'”’)\]]*$")


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it was read."""

    number: int
    height: float
    blocks: Sequence[Block]
    shown: Callable[[Box], Box] = lambda box: box
    """Where a box stands on the page as it is shown; lines are read on it as they are upright."""
    aside: bool = False
    """Whether its lines stand another way than most of the page with this number, which comes before."""


def written(pages: Sequence[Page]) -> tuple[str, tuple[PlacedText, ...]]:
    """The text of all pages, and where each stretch of it stands."""
    sizes = _sizes(pages)
    kept = list(_without_running_heads(pages, sizes))
    words = Counter(
        word for page in kept for block in page.blocks for line in block.lines for word in line.text.split()
    )
    writer = _Writer(words)
    for page in kept:
        for block in page.blocks:
            writer.block(page, block, sizes)
    return writer.done()


class _Writer:
    """Text that grows, and the places of its stretches."""

    def __init__(self, words: Counter[str]) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._placed: list[PlacedText] = []
        self._words = words
        self._open = False
        """Whether the last paragraph may go on."""
        self._last: Line | None = None

    def block(self, page: Page, block: Block, sizes: list[float]) -> None:
        if block.table:
            self._break()
            for line in block.lines:
                self._row(page, line)
            self._open = False
            return
        margin = max(line.box[2] for line in block.lines)
        self._last = None
        self._open = self._open and not page.aside
        for at, line in enumerate(block.lines):
            level = 0 if page.aside else _level(line, sizes) or _bold_level(block.lines, at, sizes)
            if level:
                self._break()
                self._add("#" * level + " ")
                self._pieces(page, line.pieces)
                self._open = False
            else:
                if not self._goes_on(line, margin):
                    self._break()
                self._pieces(page, line.pieces)
                self._open = not page.aside or line is not block.lines[-1]
            self._last = line

    def done(self) -> tuple[str, tuple[PlacedText, ...]]:
        return "".join(self._parts), tuple(self._placed)

    def _goes_on(self, line: Line, margin: float) -> bool:
        """Whether a line belongs to the paragraph that is open."""
        if not self._open or _ITEM.match(line.text):
            return False
        said = self._parts[-1]
        if self._last is None:  # another column or page
            return not _ENDS.search(said) and line.text[:1].islower()
        if not _close(self._last, line) or line.size > 1.3 * self._last.size:
            return False
        short = self._last.box[2] < margin - 0.2 * (margin - self._last.box[0])
        ended = bool(_ENDS.search(said))
        if _MAYBE_ITEM.match(line.text) and (short or ended or _MAYBE_ITEM.match(self._last.text)):
            return False
        return not (short and ended and (line.text[:1].isupper() or line.text[:1].isdecimal()))

    def _break(self) -> None:
        if self._length:
            self._add("\n\n")

    def _row(self, page: Page, line: Line) -> None:
        if self._parts and self._parts[-1] != "\n\n":
            self._add("\n")
        self._add("|")
        for cell in line.cells:
            self._add(" ")
            self._pieces(page, cell)
            self._add(" |" if cell else "|")

    def _pieces(self, page: Page, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            text = clean(_CUT.sub("-", piece.text)).replace("|", "/")
            if not text.strip():
                continue
            if self._parts and not self._parts[-1].endswith(("\n", " ")):
                self._join(text)
            box = page.shown((piece.left, piece.top, piece.right, piece.bottom))
            left, top, right, bottom = (round(value, 1) for value in box)
            self._placed.append(
                PlacedText(self._length, self._length + len(text), page.number, left, top, right, bottom)
            )
            self._add(text)

    def _join(self, text: str) -> None:
        """A space, or nothing where a line's end cut a word in two."""
        before = self._parts[-1]
        if not (before.endswith(_HYPHENS) and before[-2:-1].isalpha() and text[:1].islower()):
            self._add(" ")
            return
        head, tail = before.split()[-1], text.split()[0]
        if self._words[head + tail]:  # written with its hyphen elsewhere
            return
        self._parts[-1] = before[:-1]
        self._length -= 1
        last = self._placed[-1]
        self._placed[-1] = last._replace(end=last.end - 1)

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


def _without_running_heads(pages: Sequence[Page], sizes: list[float]) -> Iterator[Page]:
    """Pages without the lines that stand, but for the page's number, at the same edge of many pages.

    Of headings the first stays: it may be the title of the pages that have it.
    """
    edges = [_edge_lines(page, sizes) for page in pages]
    found: dict[_Said, list[tuple[int, tuple[str, ...]]]] = {}
    for page, keys in zip(pages, edges, strict=True):
        for key, numbers in dict.fromkeys(keys.values()):
            found.setdefault(key, []).append((page.number, numbers))
    least = max(2, min(4, (len({page.number for page in pages}) + 1) // 2))
    running = {}
    for key, seen in found.items():
        on, enough = (_repeated(seen), 2) if key[2] else (_going_on(seen), least)
        if len(on) >= enough:
            running[key] = on
    for page, keys in zip(pages, edges, strict=True):
        gone = {at for at, (key, _) in keys.items() if page.number in running.get(key, ())}
        blocks = []
        for number, block in enumerate(page.blocks):
            lines = [line for place, line in enumerate(block.lines) if (number, place) not in gone]
            if lines:
                blocks.append(Block(lines, block.table))
        yield replace(page, blocks=blocks)


def _going_on(seen: list[tuple[int, tuple[str, ...]]]) -> set[int]:
    """The pages of a line on which each of its numbers is that of the page before or after, or counts pages.

    seen: (page, numbers) in the order of the pages. Rows of a table are alike but for numbers of their own.
    """
    found = set()
    for (page, numbers), (later, others) in pairwise(seen):
        if len(numbers) == len(others) and all(
            one == other or _value(other) - _value(one) == later - page
            for one, other in zip(numbers, others, strict=True)
        ):
            found |= {page, later}
    return found


def _repeated(seen: list[tuple[int, tuple[str, ...]]]) -> set[int]:
    """The pages on which a heading stands again; of left and right pages each may have its own."""
    return {later for (page, _), (later, _) in pairwise(seen) if later - page <= 2}


def _value(number: str) -> float:
    """Of arabic or roman digits; of more digits than a page's number has none."""
    if number.isdecimal():
        return int(number) if len(number) < 10 else math.nan
    digits = [_ROMAN[digit] for digit in number]
    return sum(-one if one < other else one for one, other in zip(digits, [*digits[1:], 0], strict=True))


def _edge_lines(page: Page, sizes: list[float]) -> dict[tuple[int, int], tuple[_Said, tuple[str, ...]]]:
    """(block, line) of what stands at the top and bottom: what it says but for numbers and about where, its numbers.

    Of a table only where the whole of it stands there: its first and last rows may be the same on every page.
    """
    lines = [(line.box[1], n, i, line) for n, block in enumerate(page.blocks) for i, line in enumerate(block.lines)]
    lines.sort(key=lambda item: item[:3])
    top, bottom = EDGE * page.height, (1 - EDGE) * page.height
    tops = [item for item in lines[:EDGE_LINES] if item[3].box[3] < top]
    bottoms = [item for item in lines[-EDGE_LINES:] if item[3].box[1] > bottom]
    found: dict[tuple[int, int], tuple[_Said, tuple[str, ...]]] = {}
    for _, n, i, line in (*tops, *bottoms):
        block = page.blocks[n]
        if block.table and block.box[3] >= top and block.box[1] <= bottom:
            continue
        said, place = line.text.casefold(), round(line.box[1] / 12)
        if _level(line, sizes) and not page.aside:  # the heading of the next chapter may differ by its number only
            found[n, i] = (said, place, True), ()
        else:
            found[n, i] = (_NUMBER.sub("#", said), place, False), tuple(_NUMBER.findall(said))
    return found


def _sizes(pages: Sequence[Page]) -> list[float]:
    """The least size of type of each level of headings, largest first: at most three."""
    amounts: Counter[float] = Counter()
    lines: Counter[float] = Counter()
    for page in pages:
        for block in page.blocks:
            for line in block.lines:
                size = round(line.size * 2) / 2
                amounts[size] += len(line.text)
                if not block.table and not page.aside and len(line.text.split()) <= HEADING_WORDS:
                    lines[size] += 1
    if not amounts:
        return []
    body = amounts.most_common(1)[0][0]
    levels: list[float] = []
    largest = math.inf
    for size in sorted((size for size in lines if size > HEADING * body), reverse=True):
        if size < ONE_LEVEL * largest:
            largest = size
            levels.append(size)
        levels[-1] = size
    return levels[:3]


def _level(line: Line, sizes: list[float]) -> int:
    """1 to 3 for a heading, 0 for any other line."""
    size = round(line.size * 2) / 2
    said = line.text.split()
    if not sizes or size < sizes[-1] or len(said) > HEADING_WORDS or not any(c.isalpha() for c in line.text):
        return 0
    return next(level for level, least in enumerate(sizes, start=1) if size >= least)


def _bold_level(lines: Sequence[Line], at: int, sizes: list[float]) -> int:
    """That of a numbered line in bold type of the text's size, under the larger ones; 0 for any other line.

    Lines in bold without a number may be labels, names or warnings.
    """
    line = lines[at]
    number = _NUMBERED.match(line.text)
    if number is None or not line.bold or len(line.text.split()) > HEADING_WORDS or not line.text[-1].isalpha():
        return 0
    if any(
        _close(above, below) and above.bold and below.bold for above, below in pairwise(lines[max(0, at - 1) : at + 2])
    ):
        return 0  # part of a paragraph in bold
    return min(len(sizes) + len(re.findall(r"\d+", number[0])), DEEPEST)


def _close(above: Line, below: Line) -> bool:
    """Whether two lines may be of one paragraph, by the space between them."""
    return below.box[1] - above.box[3] <= PARAGRAPH_GAP * below.height
