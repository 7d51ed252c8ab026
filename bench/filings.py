"""Sums over financial statements: questions made for this, over real filings that no reported question rests on.

The answers were worked out from the statements by hand. Three groups: those that the code was made with, and two that
were written before it first met their filings. Right is what says the number; read is what was left to the model.

    python -m bench.filings --suites DIR [--data DIR] [--json]

Of the suites only the filings of `financebench` are used, its corpus, ingested as the domain of that name.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from evaluation.machine import hardware
from ingest.corpus import open_corpus
from ingest.opening import open_target
from ingest.run import apply
from rag.build import build_pipeline, open_embedder
from rag.settings import load
from rag.types import Question

DOMAIN = "financebench"

_DPO = (
    "DPO is defined as: 365 * (average accounts payable between FY{0} and FY{1}) / (FY{1} COGS + change in inventory "
    "between FY{0} and FY{1})."
)
MADE_WITH = (
    ("What is the FY2021 working capital ratio for Costco? Define working capital ratio as total current assets "
     "divided by total current liabilities. Round to two decimals.", "1.00"),
    ("What is the FY2019 - FY2021 3 year average of capex as a % of revenue for Costco? Answer in units of percents.",
     "1.8%"),
    ("What is Microsoft's FY2023 days payable outstanding (DPO)? " + _DPO.format(2022, 2023), "104.76"),
    ("What is the FY2019 cash conversion cycle (CCC) for Kraft Heinz? CCC is defined as: DIO + DSO - DPO. DIO is "
     "defined as: 365 * (average inventory between FY2018 and FY2019) / (FY2019 COGS). DSO is defined as: 365 * "
     "(average accounts receivable between FY2018 and FY2019) / (FY2019 Revenue). " + _DPO.format(2018, 2019), "0.24"),
    ("What is Lockheed Martin's FY2022 unadjusted EBITDA in USD millions? EBITDA is defined as: unadjusted operating "
     "income + depreciation and amortization.", "9,752"),
    ("What is the year-over-year change in revenue for Netflix from FY2016 to FY2017?", "32.4%"),
    ("What was CVS Health's net working capital in FY2022 (in USD millions)? Net working capital is calculated as "
     "total current assets minus total current liabilities.", "-4,054"),
    ("What is PepsiCo's FY2021 retention ratio? Retention ratio is defined as: 1 - total cash dividends paid / net "
     "income attributable to shareholders.", "0.24"),
    ("What is the FY2022 return on assets of Johnson & Johnson? ROA is defined as: FY2022 net income / (average total "
     "assets between FY2021 and FY2022).", "0.10"),
    ("What is the FY2015 free cash flow (in USD millions) for Adobe? FCF here is defined as: (cash from operations - "
     "capex).", "1,285"),
    ("What is Verizon's FY2022 asset turnover ratio? Asset turnover ratio is defined as: FY2022 revenue / (average "
     "total assets between FY2021 and FY2022).", "0.37"),
    ("What is the 2 year revenue CAGR of Microsoft from FY2021 to FY2023?", "12.3%"),
    ("How much did Kraft Heinz pay in dividends in 2019 in USD billions?", "1.95"),
    ("What was the year end FY2022 total amount of inventories for Lockheed Martin? Answer in USD millions.", "3,088"),
    ("What is Best Buy's FY2023 gross profit % margin?", "21.4%"),
    ("What is Nike's FY2020 - FY2021 change in gross profit % margin?", "1.4%"),
    ("What is the FY2016 capital expenditure amount (in USD millions) for Microsoft?", "8,343"),
    ("What is the FY2021 cash position of Costco: how much cash and cash equivalents did it hold?", "11,258"),
)  # fmt: skip
FIRST_UNSEEN = (
    ("How much did 3M pay in dividends in FY2018 (in USD millions)?", "3,193"),
    ("What is the FY2018 capital expenditure amount (in USD millions) for 3M?", "1,577"),
    ("What is Amcor's FY2023 gross profit % margin? Round to one decimal place.", "18.5%"),
    ("What is Amcor's FY2023 working capital ratio? Working capital ratio is defined as: total current assets / total "
     "current liabilities.", "1.19"),
    ("What is Amcor's FY2023 DSO? DSO is defined as: 365 * (average accounts receivable between FY2022 and FY2023) / "
     "FY2023 revenue. Round to two decimal places.", "47.32"),
    ("What was the FY2022 free cash flow of American Water Works in USD millions? Define FCF as cash from operations "
     "less capex.", "-1,189"),
    ("What is American Water Works' FY2022 dividend payout ratio? Dividend payout ratio is defined as: total cash "
     "dividends paid / net income attributable to shareholders.", "0.57"),
    ("What is the FY2020 - FY2022 3 year average of capex as a % of revenue for American Water Works?", "51.2%"),
    ("What is Block's FY2020 gross profit % margin?", "28.8%"),
    ("What is Block's year-over-year change in revenue from FY2019 to FY2020?", "101.5%"),
    ("What is FY2020 days payable outstanding (DPO) for Walmart? " + _DPO.format(2019, 2020), "43.47"),
    ("What is Walmart's FY2020 unadjusted operating income % margin?", "3.9%"),
    ("What is Walmart's FY2020 asset turnover? Asset turnover is defined as: FY2020 revenue / (average total assets "
     "between FY2019 and FY2020).", "2.30"),
    ("What is Block's FY2020 capital expenditure in USD millions?", "138"),
)  # fmt: skip
SECOND_UNSEEN = (
    ("What was Adobe's gross margin in FY2022?", "87.7%"),
    ("What is Adobe's FY2022 working capital ratio? Define it as total current assets / total current liabilities.",
     "1.11"),
    ("What was Adobe's current ratio in FY2022?", "1.11"),
    ("What is the year-over-year change in revenue of Adobe from FY2021 to FY2022, in percent?", "11.5%"),
    ("What is Best Buy's FY2017 inventory turnover? Inventory turnover is defined as: FY2017 COGS / (average inventory "
     "between FY2016 and FY2017).", "6.04"),
    ("What was Best Buy's FY2017 operating margin?", "4.7%"),
    ("How much cash from operations (in USD millions) did MGM Resorts report for FY2022?", "1,756"),
    ("What was the current ratio of MGM Resorts in FY2022?", "1.81"),
    ("What were Nike's total assets in FY2023, in USD millions?", "37,531"),
    ("What was Nike's FY2023 net working capital in USD millions?", "15,946"),
    ("What was Verizon's net margin in FY2021?", "16.9%"),
    ("What is Verizon's FY2021 asset turnover? Asset turnover is defined as: FY2021 revenue / (average total assets "
     "between FY2020 and FY2021).", "0.39"),
    ("What is the FY2019 - FY2021 3 year average operating income % margin of Verizon?", "23.3%"),
    ("What is Nike's FY2023 days payable? Days payable is defined as: 365 * (average accounts payable between FY2022 "
     "and FY2023) / FY2023 COGS.", "39.24"),
    ("What is the 2 year revenue CAGR of Adobe from FY2020 to FY2022?", "17.0%"),
)  # fmt: skip
GROUPS = {"made with": MADE_WITH, "first unseen": FIRST_UNSEEN, "second unseen": SECOND_UNSEEN}


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--data", type=Path, default=Path(".cache/bench"), help="where the ingested domain is")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    result = measure(Path(arguments.suites), arguments.data)
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"Sums over financial statements · {result['hardware']}")
    for name, group in result["groups"].items():
        print(f"  {name}, {len(group)}: {tally(group)}")
        for row in group:
            if row["outcome"] != "right":
                print(f"    {row['outcome']}: {row['question'][:90]} … {row['answer'][:90]} (wanted {row['wanted']})")
    return 0


def measure(suites: Path, data: Path) -> dict[str, Any]:
    """Ingest the filings where they are not, and ask everything."""
    settings = load()
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"directory": data})})
    embedder = open_embedder(settings)
    with closing(embedder), closing(open_target(settings, DOMAIN, embedder, create=True)) as target:
        apply(open_corpus(suites / DOMAIN), target)
    groups: dict[str, list[dict[str, str]]] = {}
    with closing(build_pipeline(settings)) as pipeline:
        asked = [(name, *pair) for name, pairs in GROUPS.items() for pair in pairs]
        for name, question, wanted in track(asked, description="asking", console=Console(stderr=True)):
            answer = pipeline.answer(Question(domain=DOMAIN, text=question))
            outcome = "read" if answer.basis != "computed" else "right" if says(answer.text, wanted) else "wrong"
            row = {"question": question, "wanted": wanted, "answer": answer.text, "outcome": outcome}
            groups.setdefault(name, []).append(row)
    return {"groups": groups, "hardware": hardware()}


def says(answer: str, wanted: str) -> bool:
    """Whether an answer says a number, before what it is made of."""
    told = answer.partition(" = ")[0]
    return bool(re.search(rf"(?<![\d.,]){re.escape(wanted)}(?![\d])", told))


def tally(group: list[dict[str, str]]) -> str:
    """How many were computed rightly, wrongly, and left to the model."""
    outcomes = [row["outcome"] for row in group]
    return ", ".join(f"{name} {outcomes.count(name)}" for name in ("right", "wrong", "read"))


if __name__ == "__main__":
    raise SystemExit(main())
