"""Rows of tables in a text: label, cells with exact offsets, and the heading of each column. Pure.

A row is one line whose cells are parted by bars, tabs or two spaces and more (what text extraction leaves of a table),
or by one before a currency sign, a label first and at least two numbers after it. The columns' headings stand in the
nearest line above that has as many cells. A currency sign in a cell of its own belongs to the number after it, a lone
per cent sign to the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.lexical import words

NUMBER = re.compile(r"[($€£¥+−-]*\s?\(?\d[\d,]*(?:\.\d+)?\s?%?\)?%?|[—–-]")
"""A number as tables write it: grouped, negative in brackets, a per cent sign; a dash is nothing."""
_GAP = re.compile(r" *(?:\||\t|   *) *|(?<=[\d)%—–]) (?=[$€£¥](?:\s|\d))")
_RULE = re.compile(r"\s*\|(?:\s*:?-+:?\s*\|)+\s*")
_YEAR = re.compile(r"(?:FY ?)?(?:19|20)\d\d")
_CHANGE = re.compile(
    r"\b(?:chang|grow|grew|increas|decreas|declin|rise|rose|fall|fell)\w*.*(?:percent|%|\brate\b)|"
    r"(?:percent|%|\brate\b).*\b(?:chang|grow|increas|decreas|declin)\w*|year[- ]over[- ]year|\byoy\b",
    re.IGNORECASE | re.DOTALL,
)
_SCALE = re.compile(
    r"(?:\bin (?!\w+ of\b)(?:[\w$€£.]+ ){0,3}?|\((?:[^()\n]{0,40} )?|^ *|[$€£] ?)"
    r"(thousands|millions|billions)\b(?! of\b)",
    re.IGNORECASE,
)
SCALES = {"thousands": 1e3, "millions": 1e6, "billions": 1e9}
_CURRENCY = frozenset("$€£¥")
HEADER_LINES = 60
"""How far above a row its columns' headings are looked for: a long page."""
PAGE = 16_000
"""Characters of such a page at the most."""
LONGEST_LINE = 2_000
"""A longer one is no line of a table, and is not taken apart."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell by its offsets, its currency sign apart."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what it is about, and its numbers in the columns' order."""

    start: int
    end: int
    label: str
    cells: tuple[Cell, ...]


def rows(text: str, start: int = 0, end: int | None = None) -> Iterator[Row]:
    """The rows that lie within `text[start:end]`, in order."""
    for match in re.finditer(r"[^\n]+", text[start:end]):
        short = len(match[0]) <= LONGEST_LINE
        row = row_at(text, start + match.start(), start + match.end()) if short else None
        if row is not None:
            yield row


def row_at(text: str, start: int, end: int) -> Row | None:
    """The line as a row, or None where it is none."""
    cells = _cells(text, start, end)
    if len(cells) < 3 or not any(c.isalpha() for c in cells[0].text):
        return None
    label, *rest = cells
    numbers = _joined(rest)
    if len(numbers) < 2 or not all(NUMBER.fullmatch(cell.text) for cell in numbers):
        return None
    if all(_YEAR.fullmatch(cell.text) for cell in numbers):
        return None  # the columns' headings look like a row
    return Row(label.start, numbers[-1].end, label.text.strip(" :.$€£¥"), tuple(numbers))


def unbarred(line: str) -> str:
    """A table's line without its bars: label and value with a colon between, more with commas; else as it is."""
    if not line.lstrip().startswith("|"):
        return line
    label, *values = [cell for cell in _barred(line) if cell] or [""]
    return f"{label.rstrip(':')}: {', '.join(values)}" if values else label


def said(text: str, start: int, end: int) -> str:
    """A line between bars as an answer: with the headings of its cells where there are more than two; others as is."""
    line = text[start:end]
    return headed(text, start, end) if len(_barred(line)) > 2 else unbarred(line)


def headed(text: str, start: int, end: int) -> str:
    """A line between bars with the heading of each cell, as it is best compared with a question; others as they are.

    The headings are the table's first line, where a ruled line follows it, or where it has no number and this one does.
    """
    line = text[start:end]
    if not line.lstrip().startswith("|"):
        return line
    lines = text[:start].split("\n")[:-1]
    above = []
    while lines and lines[-1].lstrip().startswith("|"):
        above.append(lines.pop())
    if not above or _RULE.fullmatch(line):
        return unbarred(line)
    titles, cells = _barred(above[-1]), _barred(line)
    ruled = len(above) > 1 and bool(_RULE.fullmatch(above[-2]))
    plain = not any(c.isdigit() for c in above[-1]) and any(c.isdigit() for c in line)
    if len(titles) != len(cells) or not (ruled or plain):
        return unbarred(line)
    return ", ".join(f"{title}: {cell}" if title else cell for title, cell in zip(titles, cells, strict=True) if cell)


def _barred(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def headings(text: str, row: Row) -> tuple[str, ...]:
    """What stands above each of a row's cells in the nearest line with as many cells; empty where none is found.

    None is looked for beyond a line of years: what stands there heads another table.
    """
    lowest = max(0, row.start - PAGE)
    above = text.rfind("\n", lowest, row.start)
    for _ in range(HEADER_LINES):
        if above < 0:
            break
        begin = text.rfind("\n", lowest, above) + 1 or lowest
        if above - begin <= LONGEST_LINE and row_at(text, begin, above) is None:
            cells = [cell.text for cell in _joined(_cells(text, begin, above))]
            for found in (cells[1:], cells):
                named = all(any(c.isalnum() for c in heading) for heading in found)
                if len(found) == len(row.cells) and named and not all(map(_is_amount, found)):
                    return () if found != cells and _YEAR.fullmatch(cells[0]) else tuple(found)
            if sum(bool(_YEAR.search(cell)) for cell in cells) > 1:
                return ()
        above = begin - 1
        if begin <= lowest:
            break
    return ()


def _is_amount(cell: str) -> bool:
    """Whether a cell is a number and no year: a sum that stands there without a label heads no column."""
    return bool(NUMBER.fullmatch(cell)) and not _YEAR.fullmatch(cell)


def column(question: str, headed: Sequence[str]) -> int | None:
    """The column whose heading shares most words with the question; None where none does, or two do alike."""
    shared = [len(_asked(question) & set(words(heading))) for heading in headed]
    best = max(shared, default=0)
    return shared.index(best) if best > 0 and shared.count(best) == 1 else None


def told(question: str, text: str, row: Row, marked: int) -> tuple[str, Cell | None]:
    """What a row says to a question, in words, and the cell it rests on where it is one.

    A change in percent between two years that the question names is computed; else the cell is that of the column that
    the question names, or the one that holds the offset `marked`; without any, the whole row is said.
    """
    headed = headings(text, row)
    scale = _scale(text, row)
    years = [i for i, heading in enumerate(headed) if _asked(question) & set(re.findall(r"(?:19|20)\d\d", heading))]
    if len(years) == 2 and _CHANGE.search(question):
        before, after = sorted(years, key=lambda i: headed[i])
        old, new = value(row.cells[before].text), value(row.cells[after].text)
        if old and new is not None:
            change = (new - old) / abs(old) * 100
            amounts = f"{row.cells[before].text} to {row.cells[after].text}{scale}"
            return f"{row.label}, {headed[before]} to {headed[after]}: {change:+.1f}% ({amounts})", row.cells[after]
    chosen = column(question, headed)
    if chosen is None:
        chosen = next((i for i, cell in enumerate(row.cells) if cell.start <= marked < cell.end), None)
    if chosen is None:
        return " ".join(text[row.start : row.end].split()), None
    cell = row.cells[chosen]
    heading = f", {headed[chosen]}" if headed else ""
    return f"{row.label}{heading}: {cell.text}{scale}", cell


def value(number: str) -> float | None:
    """The value of a cell; in brackets it is negative. None for a dash."""
    digits = re.sub(r"[^\d.]", "", number)
    if not digits.strip("."):
        return None
    return -float(digits) if number.lstrip("$€£¥ ").startswith(("(", "-", "−")) else float(digits)


def _asked(question: str) -> set[str]:
    short = {f"20{digits}" for digits in re.findall(r"\bFY ?['’]?(\d\d)\b", question)}
    return set(words(question)) | short | set(re.findall(r"(?:19|20)\d\d", question))


def scale(text: str, row: Row) -> float | None:
    """What a row's numbers are counted in where the lines above say so: 1e3, 1e6, 1e9."""
    return SCALES.get(_scale_word(text, row))


def _scale(text: str, row: Row) -> str:
    """' (millions)' where the lines above say so."""
    found = _scale_word(text, row)
    return f" ({found})" if found else ""


def _scale_word(text: str, row: Row) -> str:
    """Of lines that go on with one another ("in millions, except shares in thousands") the first says it."""
    above = text[max(0, row.start - PAGE) : row.start].splitlines()[-HEADER_LINES:]
    said = [match[1].lower() if len(line) < 200 and (match := _SCALE.search(line)) else "" for line in above]
    last = max((i for i, word in enumerate(said) if word), default=None)
    while last and said[last - 1]:
        last -= 1
    return said[last] if last is not None else ""


def _cells(text: str, start: int, end: int) -> list[Cell]:
    line = text[start:end]
    found, begin = [], 0
    for gap in [*_GAP.finditer(line), None]:
        stop = gap.start() if gap else len(line)
        part = line[begin:stop]
        if part.strip():
            lead = len(part) - len(part.lstrip())
            found.append(Cell(start + begin + lead, start + begin + len(part.rstrip()), part.strip()))
        begin = gap.end() if gap else stop
    return found


def _joined(cells: Sequence[Cell]) -> list[Cell]:
    """Without cells that hold a currency sign alone, and with a lone per cent sign put to its number."""
    found: list[Cell] = []
    for cell in cells:
        if cell.text in _CURRENCY:
            continue
        if cell.text in ("%", ")", "%)") and found:
            found[-1] = Cell(found[-1].start, cell.end, found[-1].text + cell.text)
            continue
        found.append(cell)
    return found
