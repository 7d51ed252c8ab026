"""The audit log's file: appended to, bounded, and never a reason to fail."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from api import audit
from api.audit import FILE, OLDER, AuditLog


def test_a_line_is_json_with_a_time(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "data")
    log.write("keys create", outcome="created", key="abc", domain="plant")
    log.write("GET /v1/domains", outcome="401", request="r-1")
    first, second = [json.loads(line) for line in (tmp_path / "data" / FILE).read_text("utf-8").splitlines()]
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "request_id": "",
        "key": "abc",
        "action": "keys create",
        "domain": "plant",
        "outcome": "created",
    }
    assert second["request_id"] == "r-1"


def test_a_callers_words_break_no_line(tmp_path: Path) -> None:
    AuditLog(tmp_path).write("DELETE", outcome="202", domain='a"\n{"forged": "line"}\ud800' * 10)
    (line,) = (tmp_path / FILE).read_text("utf-8").splitlines()
    assert len(json.loads(line)["domain"]) == 80


def test_a_full_file_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LARGEST", 1000)
    log = AuditLog(tmp_path)
    for number in range(100):
        log.write("GET /v1/domains", outcome="401", request=str(number))
    sizes = [(tmp_path / name).stat().st_size for name in (FILE, OLDER)]
    assert max(sizes) < 1000 + 200
    assert {path.name for path in tmp_path.iterdir()} == {FILE, OLDER}
    assert json.loads((tmp_path / FILE).read_text("utf-8").splitlines()[-1])["request_id"] == "99"


def test_a_disk_that_takes_no_line_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).mkdir()
    AuditLog(tmp_path).write("keys create", outcome="created")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.message == "the audit log takes no line"
