"""The table of a CSV file: its delimiter, its header row, and its rows as named cells. Knows no document.

Exports begin with a line `sep=;` or with lines that tell what was exported, leave headers empty, name two columns alike
and have rows longer than their header: no cell that says something is lost.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Container, Iterator, Sequence
from itertools import islice

DELIMITERS = ",;\t|"
SAMPLE_ROWS = 20
SAMPLE_CHARACTERS = 1 << 16
"""What delimiter and header row are told by."""

_SEP = re.compile(r'"?sep=([^\w\n"])"?\n', re.IGNORECASE)
_NUMBER = re.compile(r"(?!(?:19|20)\d\d$)[-+]?[\d.,]*\d%?")
"""A cell of this kind is a value, no header; a year may be one."""
_NONE = "\x1f"
"""Delimits the cells of a file of one column: no clean text has it."""


class Table:
    """The rows of a text, read as they are asked for. Raises csv.Error where it is no CSV."""

    def __init__(self, text: str, delimiter: str | None = None) -> None:
        """delimiter: where the format says it; else the text tells."""
        if told := _SEP.match(text):
            text, delimiter = text[told.end() :], told[1]
        first = _first_rows(text, delimiter) if delimiter else []
        if not delimiter:
            delimiter, first = _delimited(text)
        self._rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        for _ in range(_preamble(first)):
            next(self._rows)
        header = next((row for row in self._rows if _filled(row)), [])
        self.columns = _named(header)
        """Their names, each once; the first is empty where it has none: what stands there names the row."""
        self._bare = {name for name, cell in zip(self.columns, header, strict=True) if not cell.strip()}

    @property
    def line(self) -> int:
        """The number of the line that was read last, of those below `sep=`."""
        return self._rows.line_num

    def rows(self) -> Iterator[dict[str, str]]:
        """Each row that is no empty line by its columns; a cell without a name has one where it says something."""
        for cells in self._rows:
            if not cells:
                continue
            named = {
                name: cell
                for name, cell in zip(self.columns, cells, strict=False)
                if cell.strip() or name not in self._bare
            }
            for number, cell in enumerate(cells[len(self.columns) :], start=len(self.columns) + 1):
                if cell.strip():
                    named[_unnamed(number, named)] = cell
            yield named


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    """The first rows of a text, empty lines included; one that the sample may have cut is left out."""
    sample = text[:SAMPLE_CHARACTERS]
    rows = list(islice(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), SAMPLE_ROWS + 1))
    return rows[:-1] if len(rows) > 1 and (len(rows) > SAMPLE_ROWS or len(sample) < len(text)) else rows


def _delimited(text: str) -> tuple[str, list[list[str]]]:
    """The delimiter that cuts most of the first rows into the same number of cells, and those rows."""
    best, most = (_NONE, _first_rows(text, _NONE)), (0, False, 0)
    for delimiter in DELIMITERS:
        rows = _first_rows(text, delimiter)
        cut = [row for row in rows if len(row) > 1]
        if len(next(filter(None, rows), [])) < 2 and all(cell[:1] == " " for row in cut for cell in row[1:]):
            continue  # commas of sentences below a header of one column
        sound = _quoted_well(text, delimiter)
        found = max(((count, sound, width) for width, count in Counter(map(len, cut)).items()), default=most)
        if found > most:
            best, most = (delimiter, rows), found
    return best


def _quoted_well(text: str, delimiter: str) -> bool:
    """Whether no quote of the first rows ends within a cell."""
    sample = io.StringIO(text[:SAMPLE_CHARACTERS], newline="")
    try:
        deque(islice(csv.reader(sample, delimiter=delimiter, strict=True), SAMPLE_ROWS), maxlen=0)
    except csv.Error:
        return False
    return True


def _preamble(first: Sequence[list[str]]) -> int:
    """How many rows tell of the table before its header: they have half the cells of most rows at the most.

    Only where what then comes first may be a header: as long as most rows, and without a number.
    """
    lengths = Counter(length for row in first if (length := _filled(row)))
    if not lengths:
        return 0
    usual = max(lengths, key=lambda length: (lengths[length], -length))
    start = next((n for n, row in enumerate(first) if 2 * _filled(row) > usual), 0)
    header = first[start]
    plain = not any(_NUMBER.fullmatch(cell.strip()) or cell[:1] == " " for cell in header)
    return start if _filled(header) == usual and lengths[usual] > 1 and plain else 0


def _unnamed(number: int, taken: Container[str]) -> str:
    name = f"column {number}"
    while name in taken:
        name += "_"
    return name


def _filled(row: Sequence[str]) -> int:
    """The number of a row's last cell that says something."""
    return max((number for number, cell in enumerate(row, start=1) if cell.strip()), default=0)


def _named(header: Sequence[str]) -> list[str]:
    """A name for each column: as written; a second of one name and one without a name by a number."""
    taken = {cell.strip() for cell in header}
    counts: Counter[str] = Counter()
    names: list[str] = []
    for number, cell in enumerate(header, start=1):
        name = cell.strip()
        counts[name] += 1
        if not name and number > 1:
            name = _unnamed(number, taken)
        elif counts[name] > 1:
            plain = name
            while (name := f"{plain} {counts[plain]}") in taken:
                counts[plain] += 1
        taken.add(name)
        names.append(name)
    return names
