"""Where figures of financial statements stand: which page is which statement, and which column is a whole year. Pure.

Figures are taken from statements alone: a segment's "Net sales" has the same label and means something else. Which page
is a statement, and which of the three, is told by the rows that only that one has. A wrong figure is worse than none: a
label that two rows share with different amounts, a column that is headed by more than a year, a date within the year,
or a statement of a part of one give none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rag import tables
from rag.statement_items import CASH, ITEMS, Item, Kind, years_of
from rag.types import Passage

AROUND = 4_000
"""Characters before and after a passage that are read for the rest of its statement: a page."""

APART, TITLE = 600, 120
"""Characters between two rows that part them, and of a line that may be a title."""

FULL = 0.75
"""Share of the known lines of the fullest statement that another one of its kind has at least."""

LONGEST_LABEL = 200
"""A longer one is no label, and a stranger's line of a million characters would be compared for minutes."""

_SIGNS: dict[Kind, re.Pattern[str]] = {
    "cash": re.compile(rf"{CASH}(?:operati(?:ng|ons)|investing|financing)"),
    "balance": re.compile(r"total assets|total liabilities|total current (?:assets|liabilities)"),
    "income": re.compile(
        r"(?:income|earnings|profit).* before.* tax|operating (?:income|profit|loss|earnings)|"
        r"(?:income|earnings|profit) from operations|provision.* income tax|cost of (?:sales|revenue|goods|products)"
    ),
}
"""Labels that one statement has and the others have not, in the order in which they tell: a cash flow begins with the
income, and notes on taxes begin with the income before them."""

_PART_OF_A_YEAR = re.compile(
    r"\b(?:(?:three|six|nine|[369])[- ]months?|(?:1[2-7]|2[3-8]|3[5-9]|twelve|thirteen|twenty(?:-six)?|thirty-nine)"
    r"[- ]weeks?|quarters?|half[- ]years?)(?: periods?)? (?:ended|ending|to)\b|\byear[- ]to[- ]date\b|"
    r"\b(?:first|second|third|fourth) (?:quarter|half) (?:results|of|(?:19|20)\d\d)|\bquarter +quarter\b|"
    r"\b(?:Q[1-4]|H[12]|[1-4]Q|half[- ]year) ?(?:FY ?)?['’]?(?:(?:19|20)\d\d|\d\d\b)|"
    r"\b(?:mar|jun|sep)\w* 3[01],? {2,}dec\w* 31\b|"
    r"\bpro forma\b[^\n]{0,60}\bstatements?\b|\bparent company only\b|\bforecast\b",
    re.IGNORECASE,
)
"""The columns of such a page are named by a year, and are none, or not the company's."""

_CURRENCIES = {
    "USD": re.compile(r"\$|\bUSD\b|\bdollars?\b", re.IGNORECASE),
    "EUR": re.compile(r"€|\bEUR\b|\beuros?\b", re.IGNORECASE),
    "GBP": re.compile(r"£|\bGBP\b|\bsterling\b", re.IGNORECASE),
    "": re.compile(r"\b(?:RMB|CNY|JPY|CHF|SEK|NOK|DKK|INR|KRW|yen|yuan|renminbi|francs?)\b|¥", re.IGNORECASE),
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = re.compile(rf"\b(?:{'|'.join(_MONTHS)})(?=[a-z]*\b)", re.IGNORECASE)
_WORDS = """
    fy fiscal year years ended ending as of at on the in audited restated actual and dollars us millions thousands
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec
"""
_DATED = frozenset(_WORDS.split())
"""Words of a heading that is a year and nothing else."""

_TITLE = re.compile(r"\bstatements? of\b|\bbalance sheets?\b|\b(?:income|cash flow) statements?\b", re.IGNORECASE)
_TITLES: dict[Kind, str] = {
    "income": "consolidated statements of income operations earnings: net sales, cost of sales, operating income",
    "balance": "consolidated balance sheets: total current assets, total assets, total current liabilities",
    "cash": "consolidated statements of cash flows: net cash provided by operating activities, capital expenditures",
}
"""What a statement is looked for by."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An item's amount of one year, and the words it stands in."""

    passage: Passage
    """in which its row stands, maybe shorter than the row's page"""
    row: tables.Row
    cell: tables.Cell
    """offsets of both are the document's"""
    heading: str
    value: float
    """as it is written, a bracket for a minus; without a sign for what is spent"""
    scale: float | None
    """1e6 where the statement says millions; None where it says nothing"""


def query(kind: Kind) -> str:
    """What a statement is looked for by."""
    return _TITLES[kind]


def figures(
    items: Sequence[Item], passages: Sequence[Passage], text_of: Callable[[str], str], *, currency: str = ""
) -> Iterator[tuple[Item, Figure]]:
    """Every figure of some items in the statements that passages stand in, the whole company's first.

    A segment's "Total net sales" stands on a page with few other lines of an income statement, and a subsidiary's
    balance sheet is as long as the group's, but its numbers are smaller. currency: USD, EUR or GBP; a statement in
    another one is passed over.
    """
    kinds = {item.statement for item in items}
    pages = [page for page in _pages(passages, text_of, currency) if page.kind in kinds]
    fullest = {kind: max((page.known for page in pages if page.kind == kind), default=0) for kind in kinds}
    for page in sorted(pages, key=lambda p: (p.known < FULL * fullest[p.kind], -p.greatest, -p.known)):
        for item in items:
            if item.statement == page.kind:
                yield from ((item, figure) for figure in _figures(item, page))


def of_year(heading: str, year: int) -> bool:
    """Whether a column's heading is one year and nothing else: 2017, December 1, 2017, FY17; not "Budget 2017"."""
    bare = re.sub(r"\bFY ?['’]?\d\d\b", " ", heading)
    words = [word for word in re.findall(r"[^\W_]+", bare.casefold()) if not word.isdigit()]
    return years_of(heading) == [year] and all(word in _DATED or word.startswith("fy") for word in words)


def _figures(item: Item, page: _Page) -> Iterator[Figure]:
    """Those of the rows with an item's surest label; none where two of them differ, and nobody knows which is meant."""
    sure = [next((i for i, p in enumerate(item.labels) if p.fullmatch(label)), None) for label in page.labels]
    surest = min((i for i in sure if i is not None), default=None)
    found: list[Figure] = []
    for row, how in zip(page.rows, sure, strict=True):
        headings = tables.headings(page.text, row) if how == surest is not None else ()
        if not _whole_years(headings) or _a_share(row, page.greatest):
            continue
        values = [tables.value(cell.text) or 0.0 for cell in row.cells]
        if item.spent and min(values) < 0 < max(values):
            continue  # income in one year and expense in another
        if "used" in row.label.casefold() and "provided" not in row.label.casefold() and max(values) > 0:
            continue  # a minus without its sign
        for cell, heading in zip(row.cells, headings, strict=False):
            value = tables.value(cell.text)
            if value is not None and "%" not in cell.text:
                amount = abs(value) if item.spent else value
                found.append(Figure(page.passage, row, cell, heading, amount, page.scale))
    by_heading: dict[str, set[float]] = {}
    for figure in found:
        by_heading.setdefault(figure.heading, set()).add(figure.value)
    if all(len(values) == 1 for values in by_heading.values()):
        yield from found


def _whole_years(headings: Sequence[str]) -> bool:
    """Whether columns are of whole years: each names another one, and dates stand in one month, or in two that meet."""
    years = [tuple(years_of(heading)) for heading in headings]
    months = {_MONTHS.index(match[0].casefold()) for heading in headings for match in _MONTH.finditer(heading)}
    near = not months or min(max((a - b) % 12 for a in months) for b in months) <= 1
    days = {tuple(re.findall(r"\b\d{1,2}\b", heading)) for heading in headings}
    return bool(years) and len(set(years)) == len(years) and near and (bool(months) or len(days) == 1)


def _a_share(row: tables.Row, greatest: float) -> bool:
    """Whether a row is an amount per share: small and with decimals, where others are in thousands."""
    values = [abs(tables.value(cell.text) or 0.0) for cell in row.cells]
    return greatest >= 1_000 and max(values, default=0.0) < 100 and any("." in cell.text for cell in row.cells)


@dataclass(frozen=True, slots=True)
class _Page:
    """A statement, and what tells whose it is."""

    passage: Passage
    text: str
    """of the whole document"""
    kind: Kind
    rows: Sequence[tables.Row]
    labels: Sequence[str]
    known: int
    """items that it has a row of"""
    greatest: float
    """of the numbers of these rows, at their scale"""
    scale: float | None
    """what the first of them are counted in"""


def _pages(passages: Sequence[Passage], text_of: Callable[[str], str], currency: str) -> Iterator[_Page]:
    """The statements around some passages, each once, in their order."""
    seen: set[tuple[str, int]] = set()
    for passage in passages:
        text = text_of(passage.document_id)
        if text[passage.start : passage.end] != passage.text:
            continue  # the document changed under the passage
        begin, end = max(0, passage.start - AROUND), min(len(text), passage.end + AROUND)
        if _PART_OF_A_YEAR.search(text, begin, end) or _in_another(text[begin:end], currency):
            continue
        rows = [
            row
            for row in tables.rows(text, begin, end)
            if (passage.document_id, row.start) not in seen and len(row.label) <= LONGEST_LABEL
        ]
        seen |= {(passage.document_id, row.start) for row in rows}
        for statement in _parted(text, rows):
            labels = [_plain(row.label) for row in statement]
            if (kind := _kind(labels)) is None:
                continue
            of_items = [[any(p.fullmatch(label) for p in item.labels) for label in labels] for item in ITEMS]
            numbers = [
                abs(tables.value(cell.text) or 0.0)
                for i, row in enumerate(statement)
                if any(matched[i] for matched in of_items)
                for cell in row.cells
            ]
            scale = tables.scale(text, statement[0])
            greatest = max(numbers, default=0.0) * (scale or 1.0)
            yield _Page(passage, text, kind, statement, labels, sum(map(any, of_items)), greatest, scale)


def _in_another(page: str, currency: str) -> bool:
    """Whether a page names a currency, and not the one that is asked for."""
    named = {name for name, said in _CURRENCIES.items() if said.search(page)}
    return bool(currency and named) and currency not in named


def _parted(text: str, rows: Sequence[tables.Row]) -> Iterator[list[tables.Row]]:
    """Rows of one statement each: between two stands a title, or much that is no row."""
    part: list[tables.Row] = []
    for row in rows:
        between = text[part[-1].end : row.start] if part else ""
        if len(between) > APART or any(_TITLE.search(line) for line in between.splitlines() if len(line) < TITLE):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _kind(labels: Sequence[str]) -> Kind | None:
    """Which statement some rows are of, if any."""
    for kind, sign in _SIGNS.items():
        if sum(bool(sign.match(label)) for label in labels) >= (1 if kind == "cash" else 2):
            return kind
    return None


def _plain(label: str) -> str:
    """In small letters, without notes in brackets that are numbers, and without what follows a colon."""
    plain = re.sub(r"\((?:notes? )?[\d, and]+\)|\(see.*?\)|\.{2,}", "", label.casefold())
    return re.sub(r"\s+", " ", plain).strip(" :.,*†$€£¥")
