"""Which documents count now: revisions, validity, and what a successor says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rag.revisions import Revisions
from rag.scoping import Scopes
from rag.types import MetadataValue

NOW = datetime(2024, 6, 1, tzinfo=UTC)
Fields = dict[str, dict[str, MetadataValue]]


def superseded(metadata: Fields, titles: list[tuple[str, str]], years: list[int] | None = None) -> set[str]:
    return set(Revisions(metadata, titles).superseded(years or [], NOW))


@pytest.mark.parametrize(
    ("titles", "gone"),
    [
        ([("a", "Pump (revision A)"), ("b", "Pump (revision B)")], {"a"}),
        ([("a", "Pump rev-A"), ("b", "Pump, Rev. C"), ("c", "Valve rev-A")], {"a"}),
        ([("pump-rev-A.md", "Pump"), ("pump-rev-B.md", "The pump")], {"pump-rev-A.md"}),
        ([("x/pump-r2.md", "Pump"), ("x/pump-r10.pdf", "Pump")], set()),  # another suffix is another document
        ([("x/pump-r2.md", "Pump"), ("x/pump-r10.md", "Pump")], {"x/pump-r2.md"}),
        ([("x/pump-r2.md", "Pump"), ("y/pump-r3.md", "Pump")], set()),
        ([("2023-05.md", "Report 2023-05"), ("2023-06.md", "Report 2023-06")], set()),
        ([("a", "Version a of it"), ("b", "Version b of it")], set()),
    ],
)
def test_a_newer_revision_is_told_by_titles_and_paths(titles: list[tuple[str, str]], gone: set[str]) -> None:
    assert superseded({}, titles) == gone


def test_a_revision_may_be_metadata() -> None:
    titles = [("a", "Pump"), ("b", "Pump"), ("c", "Valve")]
    assert superseded({"a": {"revision": 2}, "b": {"revision": "10"}, "c": {"revision": 1}}, titles) == {"a"}


POLICIES: Fields = {
    "old": {"valid_from": "2022-01-01T00:00:00+00:00"},
    "now": {"valid_from": "2024-01-01T00:00:00+00:00"},
    "next": {"valid_from": "2025-01-01T00:00:00+00:00"},
    "ended": {"valid_until": "2024-03-31T23:59:59+00:00"},
    "ends": {"valid_until": "2024-12-31T23:59:59+00:00"},
}
TITLES = [
    ("old", "Travel policy 2022"),
    ("now", "Travel policy 2024"),
    ("next", "Travel policy 2025-01"),
    ("ended", "Parking"),
    ("ends", "Bicycles"),
]


@pytest.mark.parametrize(
    ("years", "gone"),
    [
        ([], {"old", "next", "ended"}),
        ([2024], {"old", "next"}),
        ([2022, 2024], {"next"}),
        ([2023], {"now", "next"}),
        ([2025], {"old", "now", "ended", "ends"}),
        ([2020, 2026], set()),
    ],
)
def test_what_is_in_force_answers(years: list[int], gone: set[str]) -> None:
    assert superseded(POLICIES, TITLES, years) == gone


def test_a_successor_names_what_it_replaces_once_it_is_in_force() -> None:
    titles = [("a", "Handbook"), ("b", "Guide"), ("c", "Manual"), ("d", "Book")]
    metadata: Fields = {
        "b": {"supersedes": "a"},
        "d": {"supersedes": "c", "valid_from": "2030-01-01T00:00:00+00:00"},
    }
    assert superseded(metadata, titles) == {"a", "d"}


def test_a_question_that_says_a_revision_sees_all_and_one_that_says_a_year_sees_its_own() -> None:
    scopes = Scopes(POLICIES, TITLES)
    assert scopes.superseded("What does a night cost in revision 2?", NOW) == frozenset()
    assert scopes.superseded("What did a night cost in 2023?", NOW) == {"now", "next"}
    assert scopes.superseded("What does a night cost?", NOW) == {"old", "next", "ended"}


def test_who_wrote_a_document_is_no_name_that_scopes() -> None:
    metadata: Fields = {f"{who}-{n}": {"author": who} for who in ("Ann Berg", "Ben Li", "Cy Oh") for n in range(2)}
    assert Scopes(metadata).filter("Who is Ann Berg?").documents is None
