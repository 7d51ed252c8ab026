"""Names and years in a question, and the documents that they mean."""

from __future__ import annotations

import pytest

from rag.scoping import Scopes, of_another
from rag.types import MetadataValue

COMPANIES = ("3M", "Adobe", "General Mills", "General Motors")
FILINGS: dict[str, dict[str, MetadataValue]] = {
    f"{company}-{year}-{page}": {"company": company, "period": year, "page": page, "kind": "filing"}
    for company in COMPANIES
    for year in (2017, 2018)
    for page in range(3)
}
SCOPES = Scopes(FILINGS)


def named(question: str) -> set[str]:
    documents = SCOPES.filter(question).documents
    return {name.rsplit("-", 1)[0] for name in documents} if documents is not None else {"everything"}


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("What was 3M's capital expenditure in FY2018?", {"3M-2018"}),
        ("what did ADOBE spend in fiscal year 2017", {"Adobe-2017"}),
        ("How did General Mills' sales change from FY17 to FY18?", {"General Mills-2017", "General Mills-2018"}),
        ("Who audits General Motors?", {"General Motors-2017", "General Motors-2018"}),
        ("What did 3M sell in 1955?", {"3M-2017", "3M-2018"}),
        ("What happened in 2018?", {"everything"}),
        ("What do general mills produce?", {"General Mills-2017", "General Mills-2018"}),
        ("What is a general ledger filing?", {"everything"}),
        ("Adobe or 3M in 2017?", {"Adobe-2017", "3M-2017"}),
    ],
)
def test_a_question_is_scoped_by_the_names_and_years_it_says(question: str, meant: set[str]) -> None:
    assert named(question) == meant


def test_fields_that_contradict_each_other_do_not_empty_the_scope() -> None:
    sectors = {name: {**fields, "sector": f"{fields['company']} Sector"} for name, fields in FILINGS.items()}
    documents = Scopes(sectors).filter("Is 3M larger than the Adobe Sector?").documents
    assert documents


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": {}, "b": {}},
        {"a": {"area": "Yard"}, "b": {"area": "Yard"}, "c": {"area": "Kiln"}},
        {str(i): {"title": f"Title {i}"} for i in range(9)},
    ],
)
def test_without_names_that_some_documents_share_nothing_is_scoped(
    metadata: dict[str, dict[str, MetadataValue]],
) -> None:
    assert Scopes(metadata).filter("What is in the Yard, Title 3?").documents is None


TITLES = [
    ("valve", "Gas shut-off valve V-17"),
    ("start", "Start-up of melter K-3 (revision 3)"),
    ("melter", "Melter K-3"),
    ("technique", "T1185 Browser Session Hijacking"),
    ("group", "APT29 (G0016)"),
    *((f"note-{i}", f"Note on CO2: part {i}, CO2") for i in range(5)),
]


@pytest.mark.parametrize(
    ("title", "text", "other"),
    [
        ("Cooling-water pump P-214", "The pump gives 3.8 bar.", True),
        ("Cooling-water pump P-214", "Standby P-216 gives 3.8 bar.", False),
        ("Pumps", "P-214 gives 3.8 bar.", False),
        ("Valve V-17", "It closes in 1.8 s.", False),
        ("Pump P-216 > Settings", "It gives 3.8 bar.", False),
    ],
)
def test_a_passage_of_another_number_is_told(title: str, text: str, other: bool) -> None:
    assert of_another("What does standby pump P-216 give?", title, text) is other


REVISED = [
    ("a2", "Start-up of melter K-3 (revision 2)"),
    ("a10", "Start-up of melter K-3 (revision 10)"),
    ("b", "Start-up of the oven (revision 1)"),
    ("c1", "Handbook, Rev. 1.9"),
    ("c2", "Handbook, Rev. 1.10"),
    ("d", "Start-up of melter K-3"),
    ("e", "Version 2"),
    ("f", "Version 3"),
]


def test_the_newest_revision_answers_unless_the_question_says_one() -> None:
    scopes = Scopes({}, REVISED)
    assert scopes.superseded("How fast is the melter heated?") == {"a2", "c1"}
    assert scopes.superseded("How fast was it heated in revision 2?") == frozenset()
    assert Scopes({}).superseded("Anything?") == frozenset()


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("What closes v-17?", ("valve",)),
        ("How is T1185 used by APT29 (G0016)?", ("group", "technique")),
        ("How hot is K-3?", ("melter",)),
        ("How much CO2 is left?", ()),
        ("What does a valve close in 2018?", ()),
    ],
)
def test_a_question_says_the_number_of_a_document(question: str, meant: tuple[str, ...]) -> None:
    assert Scopes({}, TITLES).numbered(question) == meant
