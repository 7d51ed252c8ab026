"""Front matter as people write it: numbers that are versions stay versions, and no value is lost."""

from __future__ import annotations

import time

import pytest

from ingest.front_matter import fields, scalar
from ingest.metadata import typed
from rag.types import FieldType, MetadataValue


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("title: Travel: policy", {"title": "Travel: policy"}),
        ("version: 1.10\nid: 0042\nphone: 1_000\nn: 7\nx: -1.5", {"version": "1.10", "id": "0042", "phone": "1_000",
                                                                   "n": 7, "x": -1.5}),
        ("a: nan\nb: 1e5\nc: inf\nd: 12:30\ne: 2024-03-01", {"a": "nan", "b": "1e5", "c": "inf", "d": "12:30",
                                                            "e": "2024-03-01"}),
        ("owner: Jane Doe  # HR\nissue: see #12\ncolour: #fff\nleft: # to be told", {
            "owner": "Jane Doe", "issue": "see #12", "colour": "#fff"}),
        ("a: \"1.5\"\nb: 'true' # told\nc: \"say \\\"x\\\" # y\"\nd: 'it''s'", {"a": "1.5", "b": "true",
                                                                             "c": 'say "x" # y', "d": "it's"}),
        ("draft: True\ndone: false", {"draft": True, "done": False}),
        ("tags: [hr, 'a, b', \"travel\"]  # two\nnext: 1", {"tags": "hr, a, b, travel", "next": 1}),
        ("tags: [\n  hr,\n  travel\n]\nnext: 1", {"tags": "hr, travel", "next": 1}),
        ("keywords:\n  - one\n  - 'two'  # last\nother:\n- x\n- y: z\n  w: v\nn: 1", {
            "keywords": "one, two", "other": "x, y: z, w: v", "n": 1}),
        ("summary: >\n  A long\n  summary: here.\n\nbody: |-\n  One\n  # Two\nn: 1", {
            "summary": "A long summary: here.", "body": "One\n# Two", "n": 1}),
        ("text: goes on\n  below  # not this\n  http://x.example\nn: 1", {"text": "goes on below http://x.example",
                                                                         "n": 1}),
        ("contact:\n  name: Bob\n  at:\n    city: Bonn\n  room: 5\nn: 1", {
            "contact.name": "Bob", "contact.at.city": "Bonn", "contact.room": 5, "n": 1}),
        ("- stray\nstray\n\"quoted key\": x\nkey with space: y\nclose:by\nempty:\n# a: b", {
            "quoted key": "x", "key with space": "y", "close": "by"}),
    ],
)  # fmt: skip
def test_a_field_is_what_is_written(block: str, told: dict[str, MetadataValue]) -> None:
    assert fields(block) == told


def test_a_value_keeps_the_type_that_is_declared_for_it() -> None:
    told = fields("a: 0042\nb: 1.10\nc: 1_000\nd: true\ne: 2024-03\nf: 5")
    kinds = {"a": FieldType.INTEGER, "b": FieldType.FLOAT, "c": FieldType.INTEGER, "d": FieldType.BOOL,
             "e": FieldType.DATETIME, "f": FieldType.KEYWORD}  # fmt: skip
    assert typed(told, kinds) == {
        "a": 42, "b": 1.1, "c": 1000, "d": True, "e": "2024-03-01T00:00:00+00:00", "f": "5",
    }  # fmt: skip


def test_a_number_too_long_to_be_one_is_text() -> None:
    assert scalar("9" * 5000) == "9" * 5000


def test_front_matter_of_any_size_is_read_in_one_pass() -> None:
    begun = time.monotonic()
    for block in (
        "a:\n" + "  - x\n" * 100_000,
        "\n".join(f"{' ' * min(n, 300)}k{n}:" for n in range(20_000)),
        "a: [" + "'," * 100_000 + "]",
        "a: " + " #1" * 100_000,
        "a: >\n" + "  x\n" * 100_000,
        "a: " + '"' * 100_001,
        "a" * 100_000 + "\n" + "a " * 100_000,
    ):
        fields(block)
    assert time.monotonic() - begun < 10
