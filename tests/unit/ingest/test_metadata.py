"""Declared fields get their type; what does not fit is told by name and value."""

import pytest

from ingest.metadata import typed
from rag.errors import UnreadableDocument
from rag.types import FieldType, MetadataValue


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (7, FieldType.KEYWORD, "7"),
        ("1.5", FieldType.FLOAT, 1.5),
        ("12", FieldType.INTEGER, 12),
        ("12.0", FieldType.INTEGER, 12),
        (3.0, FieldType.INTEGER, 3),
        ("Yes", FieldType.BOOL, True),
        (0, FieldType.BOOL, False),
        ("2024-03-01", FieldType.DATETIME, "2024-03-01T00:00:00+00:00"),
        ("2024-03-01T02:00:00+02:00", FieldType.DATETIME, "2024-03-01T00:00:00+00:00"),
    ],
)
def test_a_declared_field_gets_its_type(value: MetadataValue, kind: FieldType, expected: MetadataValue) -> None:
    result = typed({"f": value, "other": "x"}, {"f": kind})
    assert result == {"f": expected, "other": "x"}
    assert type(result["f"]) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("abc", FieldType.INTEGER),
        ("1.5", FieldType.INTEGER),
        ("nan", FieldType.FLOAT),
        ("maybe", FieldType.BOOL),
        ("tomorrow", FieldType.DATETIME),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(value: str, kind: FieldType) -> None:
    with pytest.raises(UnreadableDocument, match=rf"'f' is '{value}', declared filterable as {kind.value}"):
        typed({"f": value}, {"f": kind})


def test_an_empty_value_is_left_out_and_a_missing_one_stays_missing() -> None:
    assert typed({"f": " "}, {"f": FieldType.INTEGER, "g": FieldType.BOOL}) == {}


def test_numbers_that_no_payload_holds_become_text() -> None:
    assert typed({"big": 2**70, "inf": float("inf"), "ok": -(2**63)}, {}) == {
        "big": str(2**70),
        "inf": "inf",
        "ok": -(2**63),
    }


@pytest.mark.parametrize(
    ("field", "told", "moment"),
    [
        ("valid_from", "2023", "2023-01-01T00:00:00+00:00"),
        ("valid_from", 2023, "2023-01-01T00:00:00+00:00"),
        ("valid_from", "2023-05", "2023-05-01T00:00:00+00:00"),
        ("valid_until", "2024-02", "2024-02-29T23:59:59+00:00"),
        ("valid_until", "2024-02-10", "2024-02-10T23:59:59+00:00"),
        ("valid_until", "2024-02-10T12:00:00+02:00", "2024-02-10T10:00:00+00:00"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_validity_is_a_moment_whether_declared_or_not(
    field: str, told: MetadataValue, moment: str, declared: bool
) -> None:
    assert typed({field: told}, {field: FieldType.DATETIME} if declared else {}) == {field: moment}


def test_an_undeclared_validity_that_is_no_date_stays_what_it_is() -> None:
    assert typed({"valid_until": "further notice"}, {}) == {"valid_until": "further notice"}
    with pytest.raises(UnreadableDocument, match="declared filterable as datetime"):
        typed({"valid_until": "2023-13"}, {"valid_until": FieldType.DATETIME})
