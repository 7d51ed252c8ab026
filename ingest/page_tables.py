"""Tables on a page: by the lines around their cells, or by pieces of text that stand in columns. Pure.

Knows no file format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.page_parts import Block, Line, Piece

NEAR = 3.0
"""Points by which lines that meet may miss each other."""
MAX_RULES = 4000
"""Lines on a page; more are a drawing."""
CELL_GAP = 1.0
"""Least space between two cells without lines, in line heights."""

Rule = tuple[float, float, float, float]
"""A straight line: left, top, right, bottom; its width is 0 or its height is."""


def ruled_tables(pieces: list[Piece], rules: Sequence[Rule]) -> tuple[list[Block], list[Piece]]:
    """The tables that lines draw, and the pieces that are in none of them."""
    if len(rules) > MAX_RULES:
        return [], pieces
    tables: list[Block] = []
    left = pieces
    for group in _meeting(rules):
        ys = _distinct([rule[1] for rule in group if rule[3] - rule[1] < NEAR])
        xs = _distinct([rule[0] for rule in group if rule[2] - rule[0] < NEAR])
        if len(ys) < 3 or len(xs) < 3:
            continue
        inside = [p for p in left if xs[0] <= (p.left + p.right) / 2 <= xs[-1] and ys[0] <= p.middle <= ys[-1]]
        cells: dict[tuple[int, int], list[Piece]] = {}
        for piece in inside:
            cells.setdefault((_band(ys, piece.middle), _band(xs, piece.left + 1)), []).append(piece)
        if len({row for row, _ in cells}) < 2 or len({column for _, column in cells}) < 2:
            continue
        tables.append(_grid(cells, len(xs) - 1))
        taken = set(map(id, inside))
        left = [piece for piece in left if id(piece) not in taken]
    return tables, left


def _grid(cells: dict[tuple[int, int], list[Piece]], columns: int) -> Block:
    lines = []
    for row in sorted({row for row, _ in cells}):
        parts = [
            sorted(cells.get((row, column), []), key=lambda p: (round(p.middle), p.left)) for column in range(columns)
        ]
        lines.append(Line([piece for part in parts for piece in part], parts))
    return Block(lines, table=True)


def _meeting(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Lines in groups that touch each other, directly or by others of the group."""
    groups: list[tuple[list[float], list[Rule]]] = []
    for rule in sorted(rules, key=lambda rule: (rule[1], rule[0])):
        box, members = list(rule), [rule]
        apart = []
        for other, its in groups:
            if (
                other[0] <= box[2] + NEAR
                and box[0] <= other[2] + NEAR
                and other[1] <= box[3] + NEAR
                and box[1] <= other[3] + NEAR
            ):
                box = [min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3])]
                members = its + members
            else:
                apart.append((other, its))
        groups = [*apart, (box, members)]
    return [members for _, members in groups if len(members) >= 4]


def _distinct(places: list[float]) -> list[float]:
    found: list[float] = []
    for place in sorted(places):
        if not found or place - found[-1] > NEAR:
            found.append(place)
    return found


def _band(edges: list[float], place: float) -> int:
    """Between which two edges a place is."""
    return max(0, min(len(edges) - 2, sum(edge <= place for edge in edges) - 1))


def open_tables(lines: list[Line]) -> Iterator[Block]:
    """Blocks of prose and tables, in order: a table is some lines whose pieces stand in the same columns."""
    prose: list[Line] = []
    at = 0
    while at < len(lines):
        end = _reach(lines, at)
        strips = _strips(lines[at:end])
        if strips:
            if prose:
                yield Block(prose)
                prose = []
            rows = list(_rows(lines[at:end], strips))
            at = end
            while at < len(lines) and _wraps(rows[-1], lines[at - 1].box[3], lines[at], strips):
                _continue(rows[-1], _cells(lines[at], strips))
                at += 1
            yield Block(rows, table=True)
        else:
            prose.append(lines[at])
            at += 1
    if prose:
        yield Block(prose)


def _reach(lines: list[Line], start: int) -> int:
    """How far lines go on that may be one table; a line of one piece is passed over where another row follows."""
    end = start
    single = 0
    for at in range(start, len(lines)):
        if at > start and lines[at].box[1] - lines[at - 1].box[3] > 2.0 * lines[at].height:
            break
        if _parted(lines[at]):
            end, single = at + 1, 0
        elif at == start or (single := single + 1) > 2:
            break
    return end


def _parted(line: Line) -> bool:
    gaps = (right.left - left.right for left, right in pairwise(sorted(line.pieces, key=lambda piece: piece.left)))
    return any(gap > CELL_GAP * line.height for gap in gaps)


def _strips(lines: list[Line]) -> list[float]:
    """Where the columns of a table are parted; empty where the lines are none."""
    rows = [line for line in lines if _parted(line)]
    if len(rows) < 2:
        return []
    spans = sorted((piece.left, piece.right) for line in rows for piece in line.pieces)
    strips, reached = [], spans[0][1]
    for left, right in spans:
        if left - reached > 0.5 * rows[0].height:
            strips.append((reached + left) / 2)
        reached = max(reached, right)
    return strips


def _rows(lines: list[Line], strips: list[float]) -> Iterator[Line]:
    """The rows with their cells; a line with nothing in the first column goes on with the cells above it."""
    row: Line | None = None
    above = 0.0
    for line in lines:
        cells = _cells(line, strips)
        bottom = line.box[3]
        if row is not None and _goes_on(row, above, line, cells):
            _continue(row, cells)
        else:
            if row is not None:
                yield row
            row = Line(line.pieces, cells)
        above = bottom
    if row is not None:
        yield row


def _cells(line: Line, strips: list[float]) -> list[list[Piece]]:
    """The pieces of a line by the column in which they begin."""
    edges = [float("-inf"), *strips, float("inf")]
    cells: list[list[Piece]] = [[] for _ in range(len(strips) + 1)]
    for piece in line.pieces:
        cells[_band(edges, piece.left)].append(piece)
    return cells


def _continue(row: Line, cells: list[list[Piece]]) -> None:
    for have, more in zip(row.cells, cells, strict=True):
        have.extend(more)
        row.pieces.extend(more)


def _wraps(row: Line, above: float, line: Line, strips: list[float]) -> bool:
    """Whether a line below the last row continues its cells: it begins where they begin, and ends in its column."""
    cells = _cells(line, strips)
    return _goes_on(row, above, line, cells) and all(
        abs(more[0].left - have[0].left) < NEAR and more[-1].right < end
        for have, more, end in zip(row.cells, cells, [*strips, float("inf")], strict=True)
        if more
    )


def _goes_on(row: Line, above: float, line: Line, cells: list[list[Piece]]) -> bool:
    """Whether a line only continues cells of words in the row above it, whose last line ends at `above`."""
    if cells[0] or line.box[1] - above > 0.5 * line.height:
        return False
    return all(
        have and any(c.isalpha() for piece in more for c in piece.text) and any(c.isalpha() for c in have[-1].text)
        for have, more in zip(row.cells, cells, strict=True)
        if more
    )
