"""Lines of financial statements: how questions name them and how statements label them, and which a text names.

A filing says "Purchases of property, plant and equipment" where a question says "capex". The names are those of
everyday analysis, the labels those of statements after US GAAP and IFRS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["income", "balance", "cash"]

CASH = r"(?:total |net ){0,2}cash (?:flows? |provided|used|from|generated|by|in|for|[(),/\s])*"
_PROFIT = r"(?:income|earnings|profit)"
_LOSS = r"(?:,? ?/?\(?loss(?:es)?\)?)?"
_OTHERS = r"(?!.*non-?controlling)"

_WORDS = """
    total net annual consolidated reported unadjusted overall fiscal year end year-end ending average mean company full
    full-year actual amount much many year-over-year yoy change increase growth decrease difference percent percents
    percentage usd dollars thousands millions billions unit units place places decimal decimals period periods
    shareholders stockholders common relation calculating
"""
PLAIN = frozenset(_WORDS.split())
"""Words beside an item that do not narrow it."""


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
        r"(?:unadjusted )?(?:operating (?:income|profit|earnings)|income from operations|ebit)",
        rf"(?:total )?operating {_PROFIT}{_LOSS}|{_PROFIT}{_LOSS} from operations|operating \(loss\)/?{_PROFIT}",
    ),
    _item(
        "income before taxes",
        "income",
        rf"{_PROFIT} before (?:income )?tax(?:es)?|pre-?tax {_PROFIT}",
        rf"{_PROFIT}{_LOSS}(?: from continuing operations)?,? before.*tax.*",
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
        r"(?:total (?!.*liabilities)(?:[\w.&]+ )*)?(?:share|stock)(?:holders|owners)['’]* (?:equity|investment)|"
        r"total equity",
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
    _item(
        "long-term debt",
        "balance",
        r"(?:total )?long[- ]term debt",
        r"(?:total )?long-?term debt(?!.*(?:due|maturing|within))(?:,? (?:less|net|excluding|obligations).*)?",
    ),
    _item("retained earnings", "balance", r"retained earnings", r"(?:retained|reinvested) earnings.*"),
    _item(
        "cash from operations",
        "cash",
        r"(?:net )?cash (?:flows? )?(?:provided by |generated by |from )(?:operations|operating activities)|"
        r"(?:net )?operating cash flows?|cfo",
        rf"{CASH}operati(?:ng activities|ons)(?:,? continuing.*)?",
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


def places(text: str) -> list[tuple[int, int, Item]]:
    """Where a text names items: start, end and which, in its order; of two at one place the longer name."""
    found = sorted(
        (match.start(), -len(match[0]), i) for i, item in enumerate(ITEMS) for match in item.asked.finditer(text)
    )
    named: list[tuple[int, int, Item]] = []
    end = 0
    for start, length, i in found:
        if start >= end:
            end = start - length
            named.append((start, end, ITEMS[i]))
    return named


def mentioned(text: str) -> list[Item]:
    """The items that a text names, in its order."""
    return [item for _, _, item in places(text)]


def years_of(text: str) -> list[int]:
    """The years that a text names, in its order, each once."""
    found = re.finditer(r"(?<!\d)((?:19|20)\d\d)(?!\d)|\bFY ?['’]?(\d\d)\b", text)
    return list(dict.fromkeys(int(match[1] or f"20{match[2]}") for match in found))
