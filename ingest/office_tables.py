"""Rows of a table in an office file: what a merged cell says in each of its columns, and which rows are the header.

Knows no format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_HEADER_ROWS = 3
MAX_REPEATED = 200
"""Code points of a merged cell that is said in each of its columns and rows; a longer text is said once."""

_NUMBER = re.compile(r"[-+(]?\W{0,3}\d[\d.,' ]*\W{0,3}\)?")
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, a text for each column; that of a merged cell stands in each column that it spans."""

    cells: Sequence[str]
    repeats: frozenset[int] = frozenset()
    """Columns that share their cell with the column before."""
    whole: bool = False
    """Whether its one cell spans several columns: a caption; it is said once."""
    header: bool = False
    """Whether the file names it a header row."""


def repeated(text: str) -> str:
    """What a merged cell says in its further columns and rows."""
    return text if len(text) <= MAX_REPEATED else ""


def header_rows(rows: Sequence[Row]) -> int:
    """How many of the first rows are the header, where the first one is."""
    count = 1
    while count < min(MAX_HEADER_ROWS, len(rows) - 1) and continues(rows[count - 1], rows[count]):
        count += 1
    return count


def one_header(rows: Sequence[Row]) -> list[str]:
    """Header rows as one, each column's texts from top to bottom: `2023 Q1`."""
    width = max(len(row.cells) for row in rows)
    columns = [[row.cells[i] for row in rows if i < len(row.cells)] for i in range(width)]
    return [" ".join(dict.fromkeys(filter(None, column))) for column in columns]


def table_lines(rows: Sequence[Row], *, headed: bool) -> list[str]:
    """Rows as `| a | b |`, a rule below the header; rows that say nothing are left out.

    headed: whether the first row is the header where the file names none. A cell across the whole table above the
    header is its caption, a line of its own.
    """
    rows = [row for row in rows if any(row.cells)]
    lines: list[str] = []
    while len(rows) > 1 and rows[0].whole:
        lines += [rows[0].cells[0], ""]
        rows = rows[1:]
    named = 0
    while named < min(MAX_HEADER_ROWS, len(rows) - 1) and rows[named].header:
        named += 1
    count = named or (header_rows(rows) if headed and len(rows) > 1 else 0)
    if count:
        header = one_header(rows[:count])
        lines += [line(header), f"|{'---|' * len(header)}"]
    return [*lines, *(line(below(rows[:count], row)) for row in rows[count:])]


def below(header: Sequence[Row], row: Row) -> list[str]:
    """The cells of a row; one that is merged as the header above it is merged is said once, as in a form."""
    alike = row.repeats.intersection(*(each.repeats for each in header)) if header else ()
    if not alike:
        return list(row.cells)
    return ["" if i in alike else cell for i, cell in enumerate(row.cells)]


def line(cells: Sequence[str]) -> str:
    """One row; a bar within a cell would be read as another column."""
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def is_number(text: str) -> bool:
    """Whether a cell is a number, with a sign or unit of a letter or two; a year is a name as well."""
    return bool(_NUMBER.fullmatch(text)) and not _YEAR.fullmatch(text)


def continues(upper: Row, lower: Row) -> bool:
    """Whether a row belongs to the header row above it.

    It does where that has cells across several columns, of which this one says more, without a number, and it says
    nothing of its own in the others: "2023" spans "Q1" and "Q2", "Region" stands beside both rows.
    """
    if not upper.repeats or upper.whole or lower.whole:
        return False
    spanned = upper.repeats | {i - 1 for i in upper.repeats}
    width = min(len(upper.cells), len(lower.cells))
    pairs = [(i, upper.cells[i], lower.cells[i]) for i in range(width)]
    under = [low for i, up, low in pairs if i in spanned and low != up]
    beside = [(up, low) for i, up, low in pairs if i not in spanned]
    plain = any(under) and not any(map(is_number, under))
    return plain and all(not up or not low or up == low for up, low in beside)
