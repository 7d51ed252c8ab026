"""Tables of a page as rows between bars, every value in its column: spans are filled in. Knows no other element.

A cell that reaches over several rows is said in each of them. One that reaches over several columns is said in each
where it is a heading or a value, which holds for each; a row's label, or more than MAX_REPEATED characters, is said
once, and empty cells keep the places. Header rows become one, with a ruled line below it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from bs4 import Tag

HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
MAX_SPAN = 1000
"""Rows or columns of a cell, at the most; HTML allows no more columns."""
MAX_REPEATED = 100
"""Characters of a cell that is repeated, at the most."""
MAX_HEADER_ROWS = 4
"""Rows that are joined into one header, at the most."""

_NUMBER = re.compile(r"\s*(\d{1,6})")
_BEFORE, _AFTER = frozenset("$€£¥"), frozenset(("%", ")", ")%"))
"""What pages put into a column of its own beside a number."""
_PARAGRAPHS = ["p", "ul", "ol", "blockquote"]


@dataclass(slots=True)
class _Grid:
    """Rows as texts by column, and what is known of the columns."""

    rows: list[dict[int, str]] = field(default_factory=list)
    begun: set[int] = field(default_factory=set)
    """columns that a cell begins in; others are only reached over"""
    said: dict[int, int] = field(default_factory=dict)
    """of a column: whether a cell of its own alone holds more than a sign before a number (1), after one (2), or both
    (3); a column that is missing holds nothing else"""


def is_layout(table: Tag) -> bool:
    """Whether a table only places things on a page, as those of HTML e-mail do, so that its cells are read as blocks.

    It says so or has tables in it; or it has no header, and headings, a single column, or paragraphs side by side.
    """
    if table.get("role") in ("presentation", "none") or table.find("table") is not None:
        return True
    rows = [list(outermost(row, {"th", "td"})) for row in outermost(table, {"tr"})]
    if table.find(["th", "caption"]) is not None:
        return sum(map(len, rows)) == 1
    if any(cell.find(["td", "th"]) is not None for row in rows for cell in row):
        return False  # cells that were never closed lie in one another
    headings = [[_is_heading(cell) for cell in row] for row in rows]
    if all(len(row) <= 1 for row in rows) or any(map(any, headings[1:])):
        return True
    if any(headings[0]) and (len(rows) == 1 or not all(headings[0])):
        return True
    cells = [cell for row in rows for cell in row] if len(rows) <= 2 else []
    return any(cell.find("pre") is not None or len(cell.find_all(_PARAGRAPHS, limit=2)) == 2 for cell in cells)


def rows_of(table: Tag, line: Callable[[Tag], str]) -> str:
    """The table's lines: caption, header, rows. `line` gives the text of an element on one line."""
    trs = list(outermost(table, {"tr"}))
    cells = [list(outermost(row, {"th", "td"})) for row in trs]
    heads = _header_rows(trs, cells)
    grid = _grid(trs, cells, heads, line)
    columns = sorted(grid.begun)
    rows = [
        [row.get(column, "") for column in columns[: bisect_right(columns, max(row, default=-1))]] for row in grid.rows
    ]
    captions = [line(table.caption)] if table.caption else []
    above = []
    for row in rows[:heads]:
        if len(columns) > 1 and len(row) == len(columns) and len(set(row)) == 1:
            captions.append(row[0])  # a title over all columns
        else:
            above.append(row)
    width = max(map(len, above), default=0)
    header = [_joined((row[column] for row in above if column < len(row)), " ") for column in range(width)]
    groups = _groups(columns, header, grid.said)
    lines = [f"{caption}\n" for caption in captions if caption]
    body = [f"| {' | '.join(row)} |" for each in rows[heads:] if any(row := _glued(each, groups))]
    if any(header):
        lines.append(f"| {' | '.join(names := _glued(header, groups))} |")
        if body:
            lines.append("|---" * len(names) + "|")
    return "\n".join(lines + body)


def outermost(node: Tag, names: set[str]) -> Iterator[Tag]:
    """Descendants of these names that lie in no other of them, in order: broken markup nests rows and cells."""
    waiting = list(reversed(list(node.children)))
    while waiting:
        child = waiting.pop()
        if isinstance(child, Tag):
            if child.name in names:
                yield child
            else:
                waiting += reversed(list(child.children))


def _header_rows(trs: Sequence[Tag], cells: Sequence[Sequence[Tag]]) -> int:
    """How many of the first rows are headings: those of a `<thead>`, or of heading cells alone."""
    count = 0
    for tr, row in zip(trs[:MAX_HEADER_ROWS], cells, strict=False):
        headings = bool(row) and all(map(_is_heading, row))
        if not headings and (tr.parent is None or tr.parent.name != "thead"):
            break
        count += 1
    return count if count < len(trs) else min(count, 1)


def _is_heading(cell: Tag) -> bool:
    return cell.name == "th" or cell.find(HEADINGS) is not None


def _grid(trs: Sequence[Tag], cells: Sequence[Sequence[Tag]], heads: int, line: Callable[[Tag], str]) -> _Grid:
    grid = _Grid()
    # spans make many cells of few: no more than a page can mean, and always a bounded multiple of what it holds
    left = 10_000 + 8 * sum(map(len, cells))
    hanging: dict[int, tuple[int, str]] = {}  # rows that are left of a cell from above, and its text, by column
    group = None
    for number, (tr, row) in enumerate(zip(trs, cells, strict=True)):
        if tr.parent is not group or left < 0:
            hanging, group = {}, tr.parent
        filled = {column: text for column, (_, text) in hanging.items()}
        hanging = {column: (rows - 1, text) for column, (rows, text) in hanging.items() if rows > 1}
        column, empty = 0, True
        for cell in row:
            while column in filled:
                column += 1
            text = line(cell)
            across, down = (_span(cell, name) if left > 0 else 1 for name in ("colspan", "rowspan"))
            again = text if len(text) <= MAX_REPEATED and (column or number < heads) else ""
            grid.begun.add(column)
            for place in range(column, column + across):
                filled[place] = text if place == column else again
                if down > 1:
                    below = filled[place] if len(text) <= MAX_REPEATED else ""
                    hanging[place] = (down - 1, below)
            if text and across == 1 and number >= heads:
                kind = (text not in _BEFORE) + 2 * (text not in _AFTER)
                grid.said[column] = grid.said.get(column, 0) | kind
            column += across
            left -= across - 1
            empty = empty and not text
        left -= max(filled, default=0) + 1 - len(row)
        grid.rows.append({} if empty else filled)
    return grid


def _span(cell: Tag, name: str) -> int:
    found = _NUMBER.match(str(cell.get(name, "")))
    return max(1, min(int(found[1]), MAX_SPAN)) if found else 1


def _groups(columns: Sequence[int], header: Sequence[str], said: dict[int, int]) -> list[list[int]]:
    """Columns by their places that are one: a currency sign and its number, a number and its per cent sign."""
    groups: list[list[int]] = []
    title, before = "", False  # of the group; whether it still lacks its number
    for place, column in enumerate(columns):
        kinds = said.get(column, 0)
        name = header[place] if place < len(header) else ""
        if groups and (before or not kinds & 2) and (not name or title in ("", name)):
            groups[-1].append(place)
            before = before and not kinds & 1
        else:
            groups.append([place])
            title, before = "", not kinds & 1
        title = title or name
    return groups


def _glued(row: Sequence[str], groups: Sequence[Sequence[int]]) -> list[str]:
    there = takewhile(lambda group: group[0] < len(row), groups)
    return [_joined(row[group[0] : group[-1] + 1], "") for group in there]


def _joined(texts: Iterable[str], between: str) -> str:
    return between.join(dict.fromkeys(filter(None, texts)))
