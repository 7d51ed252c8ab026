"""Filters: what fits a domain's fields, and what is refused before an engine sees it."""

import math

import pytest

from rag.errors import InvalidQuestion
from rag.filters import check
from rag.types import Condition, Filter
from tests.contracts.test_index import FIELDS


def asked(**condition: object) -> None:
    check(Filter(conditions=(Condition.model_validate(condition),)), FIELDS)


@pytest.mark.parametrize(
    "moment",
    [
        "2017-06-01",
        "2017-06-01 00:00",
        "2017-06-01T00:00:00",
        "2017-06-01T00:00:00Z",
        "2017-06-01T00:00:00.5+02:00",
        "2017-06-01t00:00:00z",
    ],
)
def test_a_moment_is_taken_as_both_engines_take_it(moment: str) -> None:
    asked(field="valid_from", gte=moment)


@pytest.mark.parametrize(
    "moment", ["", "not a date", "2017", "2017-06", "2017-13-01", "20170601T000000", "2017-06-01T00:00Z", "٢٠١٧-06-01"]
)
def test_what_an_engine_would_refuse_or_take_otherwise_is_refused_with_an_example(moment: str) -> None:
    with pytest.raises(InvalidQuestion, match="'valid_from' needs values of type datetime like 2023"):
        asked(field="valid_from", gte=moment)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 1e30])
def test_a_bound_that_no_index_holds_is_refused(number: float) -> None:
    for field in ("revision", "pressure"):
        with pytest.raises(InvalidQuestion, match=f"'{field}' needs values of type"):
            asked(field=field, gte=number)
    with pytest.raises(InvalidQuestion):
        asked(field="revision", equals=2**70)


def test_what_can_never_match_is_refused_with_what_to_ask() -> None:
    with pytest.raises(InvalidQuestion, match="by gte and lte"):
        asked(field="valid_from", equals="2017-06-01T00:00:00Z")
    with pytest.raises(InvalidQuestion, match="by equals, or by gte and lte"):
        asked(field="pressure", any_of=(1, 2))


def test_a_whole_number_is_asked_of_a_field_of_either_kind() -> None:
    asked(field="pressure", equals=3)
    asked(field="revision", equals=3.0)
    asked(field="revision", any_of=(1, 2))
    asked(field="draft", equals=True)
