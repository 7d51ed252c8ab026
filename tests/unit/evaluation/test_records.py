"""Records: whole lines or none, a run that goes on, and nothing mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.records import Declared, Record, Records, read_declared, read_records
from rag.errors import InvalidCorpus


def declared(**changes: object) -> Declared:
    plain = {
        "suite": "s", "suite_sha256": "0" * 64, "domain": "d", "arms": ("slm",), "questions": ("1", "2"), "of": 2,
        "seed": 0, "margin": 0.05, "primary": {}, "model": "m", "model_fingerprint": "f", "embedder_fingerprint": "e",
        "generation": "g000001", "code": "c", "hardware": "h", "date": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Declared.model_validate({**plain, **changes})


def test_a_cut_last_line_is_asked_again(tmp_path: Path) -> None:
    with Records(tmp_path, declared()) as records:
        records.add(Record(id="1", arm="slm", text="one"))
        records.add(Record(id="2", arm="slm", text="two"))
    file = tmp_path / "records.jsonl"
    file.write_bytes(file.read_bytes()[:-7])
    assert [record.id for record in read_records(tmp_path)] == ["1"]
    with Records(tmp_path, declared()) as records:
        assert records.done == {("slm", "1")}
        records.add(Record(id="2", arm="slm", text="two"))
    assert [record.text for record in read_records(tmp_path)] == ["one", "two"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text('{"id": "1"}\n{"id": "2", "arm": "slm", "text": ""}\n')
    with pytest.raises(InvalidCorpus, match=r"records\.jsonl:1"):
        read_records(tmp_path)


@pytest.mark.parametrize(("field", "value"), [("model_fingerprint", "x"), ("seed", 1), ("questions", ("1",))])
def test_another_declaration_is_refused(tmp_path: Path, field: str, value: object) -> None:
    with Records(tmp_path, declared()):
        pass
    with pytest.raises(InvalidCorpus, match=field):
        Records(tmp_path, declared(**{field: value}))


def test_a_run_that_goes_on_keeps_its_first_date(tmp_path: Path) -> None:
    with Records(tmp_path, declared()):
        pass
    with Records(tmp_path, declared(date="2027-01-01T00:00:00+00:00", code="later")) as records:
        assert records.declared.date.startswith("2026")


def test_no_run_and_another_format_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidCorpus, match="holds no run"):
        read_declared(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(InvalidCorpus, match="format"):
        read_declared(tmp_path)
