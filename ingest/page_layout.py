"""Words on a page to text in reading order: columns one after the other, tables as rows, paragraphs joined. Pure.

A page is cut at gutters: strips that only what spans the page (a title, a wide figure) crosses, with prose on both
sides. What has no gutter is read line by line from the top; lines whose pieces stand in columns are a table
(`ingest.page_tables`). Knows no file format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from ingest.page_parts import Block, Line, Piece
from ingest.page_tables import open_tables

MAX_DEPTH = 8
"""Columns within columns."""
MAX_ITEMS = 5000
"""Of a page that is looked at for columns."""
MIN_LINES = 3
"""Of a column: fewer are a caption or a cell."""
PROSE_WORDS = 3
PROSE_CHARACTERS = 16
"""Of a line in the middle of its column: cells have less."""
MOST_CROSSING = 0.25
"""Lines over the whole width between columns, for each line of the shorter one."""
GUTTER = 0.6
"""Least width of a gutter, in line heights."""
WORD_GAP = 0.85
"""Widest space between two words of one piece, in line heights: justified prose has up to that, cells more."""


def pieces_of(words: Iterable[Piece]) -> list[Piece]:
    """Neighbouring words of one line joined, in the order in which they come (right to left where they do)."""
    pieces: list[Piece] = []
    for word in words:
        if pieces and _adjoins(pieces[-1], word):
            last = pieces[-1]
            last.text += f" {word.text}"
            last.sizes += word.sizes
            last.bold = last.bold and word.bold
            last.left, last.top = min(last.left, word.left), min(last.top, word.top)
            last.right, last.bottom = max(last.right, word.right), max(last.bottom, word.bottom)
        else:
            pieces.append(word)
    return pieces


def _adjoins(piece: Piece, word: Piece) -> bool:
    if not piece.beside(word):
        return False
    gap = max(word.left - piece.right, piece.left - word.right)
    return -0.5 * piece.height < gap < WORD_GAP * min(piece.height, word.height)


def in_order(
    pieces: Sequence[Piece], tables: Sequence[Block], rules: Sequence[tuple[float, float, float]]
) -> list[Block]:
    """The blocks of a page in the order in which a person reads them.

    tables: found already, by the lines around their cells. rules: (left, right, y) of horizontal lines: no gutter
    crosses them.
    """
    items = [Block([Line([piece])]) for piece in pieces] + list(tables)
    return list(_read(items, rules, 0))


def _read(items: list[Block], rules: Sequence[tuple[float, float, float]], depth: int) -> Iterator[Block]:
    gutter = _gutter(items, rules) if depth < MAX_DEPTH else None
    if gutter is None:
        yield from _flow(items)
        return
    band: list[Block] = []
    for item in [*sorted(items, key=lambda item: (item.box[1], item.box[0])), None]:
        if item is not None and not _spans(item, gutter):
            band.append(item)
            continue
        left = [each for each in band if each.box[2] <= gutter + 1]
        right = [each for each in band if each.box[2] > gutter + 1]
        first, second = (right, left) if _right_to_left(band) else (left, right)
        for column in (first, second):
            if column:
                yield from _read(column, rules, depth + 1)
        band = []
        if item is not None:
            yield from _flow([item])


def _spans(item: Block, x: float) -> bool:
    return item.box[0] < x - 1 and item.box[2] > x + 1


def _gutter(items: list[Block], rules: Sequence[tuple[float, float, float]]) -> float | None:
    """A strip with prose on both sides, which little else crosses."""
    if not 2 * MIN_LINES <= len(items) <= MAX_ITEMS:
        return None
    least = GUTTER * median(line.height for item in items for line in item.lines)
    found = [(crossing, x) for x in _margins(items, least) if (crossing := _parted(items, rules, x)) is not None]
    return min(found)[1] if found else None


def _margins(items: list[Block], least: float) -> list[float]:
    """Where columns may be parted: beside the edges that several lines share, from the left."""
    lefts = Counter(round(item.box[0]) for item in items)
    rights = Counter(round(item.box[2]) for item in items)
    beside = {left - least / 2 for left, count in lefts.items() if count >= MIN_LINES}
    beside |= {right + least / 2 for right, count in rights.items() if count >= MIN_LINES}
    return sorted(beside)


def _parted(items: list[Block], rules: Sequence[tuple[float, float, float]], x: float) -> int | None:
    """How many lines cross a strip that parts prose from prose; None where it does not."""
    sides = [
        [item for item in items if not _spans(item, x) and (item.box[0] > x) is beyond] for beyond in (False, True)
    ]
    if not all(_is_prose(side) for side in sides):
        return None
    tops = [min(item.box[1] for item in side) for side in sides]
    ends = [max(item.box[3] for item in side) for side in sides]
    top, end = max(tops), min(ends)
    if end - top < 0.3 * min(ends[0] - tops[0], ends[1] - tops[1]):
        return None  # one above the other
    ruled = sum(left < x < right and top < y < end for left, right, y in rules)
    crossing = sum(len(item.lines) for item in items if _spans(item, x) and top < item.box[1] < end)
    return crossing if ruled < MIN_LINES and crossing <= MOST_CROSSING * min(map(len, sides)) else None


def _is_prose(side: list[Block]) -> bool:
    said = [line.text for item in side for line in item.lines if not item.table]
    if len(said) < MIN_LINES or not any(c.isalpha() for text in said for c in text):
        return False
    return median(map(len, said)) >= PROSE_CHARACTERS or median(len(text.split()) for text in said) >= PROSE_WORDS


def _flow(items: list[Block]) -> Iterator[Block]:
    """Line by line from the top; tables that stand there already where they stand."""
    held: list[Piece] = []
    for item in sorted(items, key=lambda item: item.box[1]):
        if item.table:
            yield from open_tables(_lines(held))
            held = []
            yield item
        else:
            held += [piece for line in item.lines for piece in line.pieces]
    yield from open_tables(_lines(held))


def _lines(pieces: list[Piece]) -> list[Line]:
    lines: list[Line] = []
    for piece in sorted(pieces, key=lambda piece: (piece.middle, piece.left)):
        if lines and lines[-1].pieces[0].beside(piece):
            lines[-1].pieces.append(piece)
        else:
            lines.append(Line([piece]))
    for line in lines:
        back = _is_right_to_left(line.text)
        line.pieces.sort(key=lambda piece: -piece.right if back else piece.left)
    return lines


def _right_to_left(items: list[Block]) -> bool:
    return _is_right_to_left(" ".join(line.text for item in items for line in item.lines))


def _is_right_to_left(text: str) -> bool:
    """Whether most of its letters are Hebrew or Arabic."""
    letters = [c for c in text if c.isalpha()]
    return 2 * sum("\u0590" <= c <= "\u08ff" or "\ufb1d" <= c <= "\ufeff" for c in letters) > len(letters)
