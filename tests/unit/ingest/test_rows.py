"""Rows of JSON: what is nested is read, what is an envelope is opened, and what was read before reads the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest import nested, rows
from ingest.rows import BadRow, Mapping, Row, read


def rows_of(path: Path, data: Any, mapping: Mapping | None = None) -> list[Row]:
    path.write_text(json.dumps(data), "utf-8")
    found = list(read(path, path.name, mapping))
    assert all(isinstance(row, Row) for row in found), found
    return [row for row in found if isinstance(row, Row)]


def test_objects_and_lists_within_a_row_are_written_out(tmp_path: Path) -> None:
    [row] = rows_of(
        tmp_path / "a.json",
        [{"name": "Ann", "address": {"city": "Bonn", "zip": "53111"}, "phones": ["11", "22"], "left": None}],
    )
    assert row.text == "name: Ann\naddress.city: Bonn\naddress.zip: 53111\nphones: 11, 22"


def test_a_document_of_sections_keeps_every_word(tmp_path: Path) -> None:
    sections = [
        {"heading": "Annual", "text": "30 days"},
        {"heading": "Sick", "notes": [["six", "weeks"], {"of": "pay"}]},
    ]
    [row] = rows_of(tmp_path / "a.json", {"title": "Leave", "sections": sections})
    assert (row.title, row.text) == (
        "Leave",
        "title: Leave\nsections 1 heading: Annual\nsections 1 text: 30 days\nsections 2 heading: Sick\n"
        "sections 2 notes 1: six, weeks\nsections 2 notes 2 of: pay",
    )
    [row] = rows_of(tmp_path / "b.json", {"title": "Leave", "text": "In short: rest.", "sections": sections[:1]})
    assert row.text == "In short: rest.\n\nsections 1 heading: Annual\nsections 1 text: 30 days"


@pytest.mark.parametrize(
    ("envelope", "count"),
    [
        ({"data": [{"name": "Ann"}, {"name": "Ben"}], "total": 2}, 2),
        ({"employees": [{"name": "Ann"}, {"name": "Ben"}], "total": 2, "next": None}, 2),
        ({"status": "ok", "results": [{"name": "Ann"}, {"name": "Ben"}]}, 2),
        ({"name": "Crew", "data": [{"name": "Ann"}, {"name": "Ben"}]}, 1),
        ({"company": "Acme", "staff": [{"name": "Ann"}, {"name": "Ben"}]}, 1),
        ({"data": [{"name": "Ann"}], "more": [{"name": "Ben"}]}, 1),
    ],
)
def test_the_one_list_of_objects_in_an_object_is_the_rows(tmp_path: Path, envelope: Any, count: int) -> None:
    found = rows_of(tmp_path / "a.json", envelope)
    assert len(found) == count
    assert [row.source for row in found] == (["a.json#1", "a.json#2"] if count == 2 else ["a.json"])
    assert all(name in "\n".join(row.text for row in found) for name in ("Ann", "Ben"))


def test_paragraphs_of_a_text_stand_apart_and_lists_of_metadata_are_one_value(tmp_path: Path) -> None:
    [row] = rows_of(tmp_path / "a.json", [{"id": 4, "text": ["One.", "Two."], "n": 1, "tags": ["hr", "travel", 3]}])
    assert (row.text, row.metadata) == ("One.\n\nTwo.", {"n": 1, "tags": "hr, travel, 3"})
    mapping = Mapping(text=("body",), metadata=("from", "tags"))
    [row] = rows_of(tmp_path / "b.json", [{"body": ["One.", "Two."], "from": {"name": "Ann"}, "tags": ["x"]}], mapping)
    assert (row.text, row.metadata) == ("One.\n\nTwo.", {"from.name": "Ann", "tags": "x"})


def test_the_rows_of_a_corpus_read_as_ever(tmp_path: Path) -> None:
    [row] = rows_of(
        tmp_path / "a.json",
        [{"doc_id": "d", "title": "T", "text": " Words. ", "metadata": {"a": {"b": 1}}, "year": 2020, "left": None}],
    )
    assert (row.id, row.title, row.text, row.metadata) == ("d", "T", " Words. ", {"year": 2020})


def test_what_is_nested_beyond_measure_is_said_and_not_left_out(tmp_path: Path) -> None:
    deep: Any = "x"
    for _ in range(nested.MAX_DEPTH + 1):
        deep = {"a": deep}
    name = "n" * 1_000_000
    fields: list[Any] = [deep, [[1, [2]]] * nested.MAX_VALUES, {name: [None, {}] * 500_000}]
    for field in fields:
        path = tmp_path / "a.jsonl"
        path.write_text(json.dumps({"id": 1, "field": field}) + '\n{"id": 2, "field": "x"}\n', "utf-8")
        bad, good = read(path, "a.jsonl", None)
        assert isinstance(bad, BadRow)
        assert "one of its fields is nested" in bad.reason or "its field 'field' has more than" in bad.reason
        assert isinstance(good, Row)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp1252", "utf-8-sig", "utf-8"])
def test_json_is_read_in_the_encoding_it_is_written_in(tmp_path: Path, encoding: str) -> None:
    lines = [f'{{"id": "{n}", "text": "Die Größe {n} für 5 €"}}' for n in range(3)]
    (tmp_path / "a.json").write_bytes(f"[{','.join(lines)}]".encode(encoding))
    (tmp_path / "a.jsonl").write_bytes(("\r\n".join([*lines[:2], "", lines[2]])).encode(encoding))
    for name in ("a.json", "a.jsonl"):
        found = list(read(tmp_path / name, name, None))
        assert [row.text for row in found if isinstance(row, Row)] == [f"Die Größe {n} für 5 €" for n in range(3)]


def test_a_line_of_utf_16_that_is_too_long_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_LINE_BYTES", 100)
    (tmp_path / "a.jsonl").write_bytes(('{"text": "' + "x" * 300 + '"}\n{"text": "short"}').encode("utf-16"))
    first, second = read(tmp_path / "a.jsonl", "a.jsonl", None)
    assert (type(first), isinstance(second, Row) and second.text) == (BadRow, "short")


def test_a_line_in_an_encoding_that_nobody_can_tell_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"text": "Насос работает"}\n{"text": "Pump"}\n'.encode("cp1251"))
    bad, good = read(tmp_path / "a.jsonl", "a.jsonl", None)
    assert (isinstance(bad, BadRow) and "no JSON in UTF-8" in bad.reason, isinstance(good, Row)) == (True, True)
