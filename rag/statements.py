"""Items of financial statements: how questions name them, how statements label them, and where figures stand. Pure.

A filing says "Purchases of property, plant and equipment" where a question says "capex". The names are those of
everyday analysis, the labels those of statements after US GAAP and IFRS. Which page is a statement, and which of the
three, is told by the rows that only that one has; figures are taken from statements alone: a segment's "Net sales" has
the same label and means something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rag import tables
from rag.lexical import STOP_WORDS, has_digit
from rag.types import Passage

Kind = Literal["income", "balance", "cash"]

AROUND = 4_000
"""Characters before and after a passage that are read for the rest of its statement: a page."""

APART, TITLE = 600, 120
"""Characters between two rows that part them, and of a line that may be a title."""

FULL = 0.75
"""Share of the known lines of the fullest statement that another one of its kind has at least."""

LONGEST_LABEL = 200
"""A longer one is no label, and a stranger's line of a million characters would be compared for minutes."""

_CASH = r"(?:total |net ){0,2}cash (?:flows? |provided|used|from|generated|by|in|for|[(),/\s])*"
_PROFIT = r"(?:income|earnings|profit)"
_LOSS = r"(?:,? ?/?\(?loss(?:es)?\)?)?"
_OTHERS = r"(?!.*non-?controlling)"

_SIGNS: dict[Kind, re.Pattern[str]] = {
    "cash": re.compile(rf"{_CASH}(?:operati(?:ng|ons)|investing|financing)"),
    "balance": re.compile(r"total assets|total liabilities|total current (?:assets|liabilities)"),
    "income": re.compile(
        rf"{_PROFIT}.* before.* tax|operating (?:income|profit|loss|earnings)|{_PROFIT} from operations|"
        r"provision.* income tax|cost of (?:sales|revenue|goods|products)"
    ),
}
"""Labels that one statement has and the others have not, in the order in which they tell: a cash flow begins with the
income, and notes on taxes begin with the income before them."""

_PART_OF_A_YEAR = re.compile(
    r"\b(?:(?:three|six|nine)[- ]months?|(?:1[2-7]|2[3-8]|3[5-9])[- ]weeks?|quarters?) ended", re.IGNORECASE
)
"""The columns of such a page are named by a year, and are none."""

_BEFORE = re.compile(r"([\w&.'’%-]+)[\s(]+\Z")
_AFTER = re.compile(
    r"\s+(?:from|to|in|on|with|under|before|after|including)\s+(?:the |its |their |all |any )?([a-z][\w-]*)"
)
_WORDS = """
    total net annual consolidated reported unadjusted overall fiscal year end year-end ending average mean company full
    full-year actual amount much many year-over-year yoy change increase growth decrease difference % percent percents
    percentage usd dollars thousands millions billions unit units place places decimal decimals period periods
    shareholders stockholders common relation calculating
"""
PLAIN = frozenset(_WORDS.split())
"""Words beside an item that do not narrow it."""

_TITLE = re.compile(r"\bstatements? of\b|\bbalance sheets?\b|\b(?:income|cash flow) statements?\b", re.IGNORECASE)
_TITLES: dict[Kind, str] = {
    "income": "consolidated statements of income operations earnings: net sales, cost of sales, operating income",
    "balance": "consolidated balance sheets: total current assets, total assets, total current liabilities",
    "cash": "consolidated statements of cash flows: net cash provided by operating activities, capital expenditures",
}
"""What a statement is looked for by."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A line of a statement."""

    name: str
    statement: Kind
    asked: re.Pattern[str]
    """how questions and definitions name it"""
    labels: tuple[re.Pattern[str], ...]
    """how statements label it, the surest first; compared with the label in small letters, without notes"""
    spent: bool = False
    """in brackets or not, the amount is meant: some statements bracket what is subtracted, others do not"""


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
    """as it is written, a bracket for a minus"""
    scale: float | None
    """1e6 where the statement says millions; None where it says nothing"""


def _item(name: str, statement: Kind, asked: str, *labels: str, spent: bool = False) -> Item:
    said = re.compile(rf"(?<![\w-])(?:{asked})(?![\w-])", re.IGNORECASE)
    return Item(name, statement, said, tuple(re.compile(label) for label in labels), spent)


ITEMS: tuple[Item, ...] = (
    _item(
        "revenue",
        "income",
        r"(?:total |net ){0,2}(?:revenues?|sales|turnover)",
        r"(?:total )?(?:net )?(?:operating )?revenues?(?: and other income)?|total (?:net )?sales|"
        r"total revenues?, net.*",
        r"net sales|sales(?: to customers)?|revenues?, net.*|net sales and revenues?",
    ),
    _item(
        "cost of goods sold",
        "income",
        r"cogs|(?:total )?costs? of (?:goods|products|services|sales|revenues?|merchandise)(?: sold)?",
        r"total costs? of (?:revenues?|sales|goods sold|products).*",
        r"costs? of (?:goods|products|sales|revenues?|merchandise|services)(?:,? (?:and|ex|in)cl?.*| sold.*)?",
        r"merchandise costs|costs? of (?:net )?(?:sales|revenues?).*",
        spent=True,
    ),
    _item("gross profit", "income", r"gross profits?|gross income", rf"gross (?:profit|margin|income){_LOSS}"),
    _item(
        "operating income",
        "income",
        r"(?:unadjusted )?(?:operating (?:income|profit|earnings|loss)|income from operations|ebit)",
        rf"(?:total )?operating {_PROFIT}{_LOSS}|{_PROFIT}{_LOSS} from operations|operating \(loss\)/?{_PROFIT}",
    ),
    _item(
        "income before taxes",
        "income",
        rf"{_PROFIT} before (?:income )?tax(?:es)?|pre-?tax {_PROFIT}",
        rf"{_PROFIT}{_LOSS}(?: from continuing operations)?,? before.*tax.*",
    ),
    _item(
        "income tax expense",
        "income",
        r"(?:provision for )?income tax(?:es)?(?: expense| provision)?|tax (?:expense|provision)",
        r"(?:provision|benefit|\(benefit\)|expense).* (?:for|from).*income tax.*|(?:provision for )?taxes on income|"
        r"income tax(?:es)?(?: expense| provision)?(?:.*benefit\)?)?",
    ),
    _item(
        "net income attributable to shareholders",
        "income",
        rf"net {_PROFIT}{_LOSS} (?:attributable|available|applicable) to [\w' ]{{1,40}}",
        rf"net {_PROFIT}{_LOSS} (?:attributable|available|applicable) to {_OTHERS}.*",
        rf"net {_PROFIT}{_LOSS}|profit for the year",
    ),
    _item(
        "net income",
        "income",
        rf"net {_PROFIT}|bottom line",
        rf"(?:consolidated )?net {_PROFIT}{_LOSS}|net \(loss\)/?{_PROFIT}|profit for the year",
        rf"net {_PROFIT}{_LOSS} (?:including non-?controlling.*|attributable to {_OTHERS}.*)",
    ),
    _item(
        "interest expense",
        "income",
        r"(?:gross |net )?interest expenses?",
        r"(?:gross |net )?interest expense(?:,? net.*|, gross)?|interest and debt expense",
        spent=True,
    ),
    _item(
        "research and development",
        "income",
        r"research (?:and|&) development(?: expenses?| costs?)?|r&d(?: expenses?)?",
        r"research (?:and|&) development.*|product development.*|technology and (?:content|development)",
        spent=True,
    ),
    _item(
        "selling, general and administrative expenses",
        "income",
        r"selling,? general,? (?:and|&) administrative(?: expenses?)?|sg&a(?: expenses?)?",
        r"selling,? (?:informational|marketing|general|and)[\w ,&]*administrative.*|operating, selling, general.*",
        spent=True,
    ),
    _item("total current assets", "balance", r"(?:total )?current assets", r"total current assets"),
    _item("total current liabilities", "balance", r"(?:total )?current liabilities", r"total current liabilities"),
    _item("total assets", "balance", r"(?:total )?assets", r"total assets"),
    _item("total liabilities", "balance", r"total liabilities", r"total liabilities"),
    _item(
        "total equity",
        "balance",
        r"(?:total )?(?:(?:share|stock)(?:holders|owners)['’]? )?equity|book value",
        r"total (?:[\w.&]+ )*(?:share|stock)(?:holders|owners)['’]* (?:equity|investment).*|total equity.*",
    ),
    _item(
        "inventories",
        "balance",
        r"(?:net |merchandise )?inventor(?:y|ies)",
        r"(?:total |merchandise )?inventor(?:y|ies)(?:,? net.*)?",
    ),
    _item(
        "accounts receivable",
        "balance",
        r"(?:net )?(?:accounts? |trade )?receivables?|(?:net )?ar",
        r"(?:trade |accounts |customer )?(?:accounts )?receivables?(?:,? (?:net|less|gross|trade).*| and other.*)?|"
        r"trade receivables?.*|accounts (?:and notes )?receivable.*",
    ),
    _item(
        "accounts payable",
        "balance",
        r"(?:trade |accounts )payables?|ap",
        r"(?:trade |accounts )payables?(?:,? trade)?",
        r"(?:trade |accounts )payables? (?:and|-).*|trade accounts payable",
    ),
    _item(
        "net property, plant and equipment",
        "balance",
        r"(?:net )?(?:pp&?n?e|property,? (?:plant,? )?(?:and|&) equipment|fixed assets)(?:,? net)?",
        r"(?:total )?(?:net )?property,? (?:plant,? )?(?:and|&) equipment.* net.*|net property.*|property.* [–—-] net",
        r"property,? (?:plant,? )?(?:and|&) equipment(?: ?\(.*\))?|land, buildings and equipment",
    ),
    _item(
        "cash and cash equivalents",
        "balance",
        r"cash (?:and|&) (?:cash )?equivalents|cash balance",
        r"cash (?:and|&) (?:cash )?equivalents.*",
    ),
    _item(
        "short-term investments",
        "balance",
        r"short[- ]term investments|(?:current )?marketable securities",
        r"(?:total )?short-?term investments|(?:current )?marketable securities(?: . current)?",
    ),
    _item("goodwill", "balance", r"goodwill", r"goodwill(?:, net)?"),
    _item("long-term debt", "balance", r"(?:total )?long[- ]term debt", r"(?:total )?long-?term debt.*"),
    _item("retained earnings", "balance", r"retained earnings", r"(?:retained|reinvested) earnings.*"),
    _item(
        "cash from operations",
        "cash",
        r"(?:net )?cash (?:flows? )?(?:provided by |generated by |from )(?:operations|operating activities)|"
        r"(?:net )?operating cash flows?|cfo",
        rf"{_CASH}operati(?:ng activities|ons)(?:,? continuing.*)?",
    ),
    _item(
        "capital expenditure",
        "cash",
        r"cap(?:ital )?ex(?:penditures?)?|(?:purchases?|additions?|acquisitions?) (?:of|to) property[\w ,&]*",
        r"(?:cash paid for )?(?:capital (?:expenditures?|spending)|additions to (?:capital assets|property)).*",
        r"(?:purchases?|payments?|acquisitions?|expenditures?|investments?|cash paid)[\w ()]* (?:of|to|for|in|on) "
        r"(?!.*(?:held for|sale of)).*(?:property|equipment|capital assets).*|.*property additions.*",
        spent=True,
    ),
    _item(
        "depreciation and amortization",
        "cash",
        r"(?:total )?depreciation(?:,? (?:and|&) amorti[sz]ation)?(?: expenses?)?|d&a",
        r"depreciation(?:,| and| &)[\w ,&]*amorti[sz]ation.*|amorti[sz]ation and depreciation.*",
    ),
    _item(
        "dividends paid",
        "cash",
        r"(?:total )?(?:cash )?dividends?(?: payments?)?(?: paid)?",
        r"(?!.*(?:not (?:yet )?paid|declared))(?:(?:common stock )?(?:cash )?dividends?.* (?:paid|payments?).*|"
        r"payments? (?:of|for) (?:cash )?dividends.*|(?:cash )?dividends?(?: (?:to|on) (?:share|stock|common).*)?)",
        spent=True,
    ),
    _item(
        "share repurchases",
        "cash",
        r"(?:share|stock) (?:repurchases?|buybacks?)|repurchases? of (?:common )?(?:stock|shares)",
        r"(?:repurchases?|purchases?|acquisitions?) of (?:the company['’]s )?(?:common |treasury )?(?:stock|shares).*|"
        r"(?:common |treasury )?(?:stock|shares?) (?:repurchase[sd]?|purchased|acquired).*",
        spent=True,
    ),
    _item(
        "stock-based compensation",
        "cash",
        r"(?:stock|share)[- ]based compensation(?: expense)?",
        r"(?:stock|share|equity)[- ](?:based )?(?:award )?compensation.*",
    ),
)


def mentioned(text: str) -> list[Item | None]:
    """The items that a text names, in its order; of two at one place the longer name.

    What another word narrows ("footwear revenue", "revenue from advertising") is another item: None in its place.
    """
    found = sorted(
        ((match.start(), -len(match[0]), i) for i, item in enumerate(ITEMS) for match in item.asked.finditer(text)),
    )
    items: list[Item | None] = []
    end = 0
    for start, length, i in found:
        if start >= end:
            end = start - length
            items.append(None if _narrowed(text, start, end) else ITEMS[i])
    return items


def _narrowed(text: str, start: int, end: int) -> bool:
    """Whether the word before an item or what follows it says that only a part is meant; names are no such words."""
    before = _BEFORE.search(text, max(0, start - 60), start)
    word = before[1] if before else ""
    plain = word.casefold() in STOP_WORDS | PLAIN or word.endswith(("s'", "’", "'s", "’s")) or has_digit(word)
    if word and not plain and not word[0].isupper():
        return True
    after = _AFTER.match(text, end)
    return after is not None and after[1] not in STOP_WORDS | PLAIN


def query(kind: Kind) -> str:
    """What a statement is looked for by."""
    return _TITLES[kind]


def figures(
    items: Sequence[Item], passages: Sequence[Passage], text_of: Callable[[str], str]
) -> Iterator[tuple[Item, Figure]]:
    """Every figure of some items in the statements that passages stand in, the whole company's first.

    A segment's "Total net sales" stands on a page with few other lines of an income statement, and a subsidiary's
    balance sheet is as long as the group's, but its numbers are smaller. Of one statement the surest label comes first.
    """
    kinds = {item.statement for item in items}
    pages = [page for page in _pages(passages, text_of) if page.kind in kinds]
    fullest = {kind: max((page.known for page in pages if page.kind == kind), default=0) for kind in kinds}
    for page in sorted(pages, key=lambda p: (p.known < FULL * fullest[p.kind], -p.greatest, -p.known)):
        found: list[tuple[int, Item, Figure]] = []
        for item in items:
            for row, label in zip(page.rows, page.labels, strict=True):
                sure = next((i for i, pattern in enumerate(item.labels) if pattern.fullmatch(label)), None)
                if item.statement == page.kind and sure is not None:
                    found += [(sure, item, figure) for figure in _cells(item, row, page)]
        yield from ((item, figure) for _, item, figure in sorted(found, key=lambda f: f[0]))


def _cells(item: Item, row: tables.Row, page: _Page) -> Iterator[Figure]:
    scale = tables.scale(page.text, row)
    for cell, heading in zip(row.cells, tables.headings(page.text, row), strict=False):
        value = tables.value(cell.text)
        if value is not None and "%" not in cell.text:
            yield Figure(page.passage, row, cell, heading, abs(value) if item.spent else value, scale)


def of_year(heading: str, year: int) -> bool:
    """Whether a column's heading names one year alone: 2017, December 1, 2017, FY17; not "2017 over 2016"."""
    return years_of(heading) == [year]


def years_of(text: str) -> list[int]:
    """The years that a text names, in its order, each once."""
    found = re.finditer(r"(?<!\d)((?:19|20)\d\d)(?!\d)|\bFY ?['’]?(\d\d)\b", text)
    return list(dict.fromkeys(int(match[1] or f"20{match[2]}") for match in found))


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
    """of the numbers of these rows"""


def _pages(passages: Sequence[Passage], text_of: Callable[[str], str]) -> Iterator[_Page]:
    """The statements around some passages, each once, in their order."""
    seen: set[tuple[str, int]] = set()
    for passage in passages:
        text = text_of(passage.document_id)
        if text[passage.start : passage.end] != passage.text:
            continue  # the document changed under the passage
        begin, end = max(0, passage.start - AROUND), min(len(text), passage.end + AROUND)
        if _PART_OF_A_YEAR.search(text, begin, end):
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
            yield _Page(passage, text, kind, statement, labels, sum(map(any, of_items)), max(numbers, default=0.0))


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
