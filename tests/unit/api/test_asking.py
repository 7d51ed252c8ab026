"""`ask` and `config show`: what is printed, for a reader and for a program, and what a caller's script gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.asking import ask_all, render
from api.configuration import REDACTED, entries, print_settings
from rag.errors import UnknownDomain
from rag.settings import load, variables
from rag.types import Answer
from tests.fakes.pipeline import TEXT, FakePipeline, answer, citation

SETTINGS = load({})


def ask(*questions: str, domain: str = "plant", as_json: bool = False) -> tuple[int, FakePipeline]:
    pipeline = FakePipeline()
    status = ask_all(SETTINGS, questions, domain=domain, passages=None, as_json=as_json, build=lambda _: pipeline)
    return status, pipeline


def test_an_answer_is_printed_with_its_citation_and_its_times(capsys: pytest.CaptureFixture[str]) -> None:
    status, pipeline = ask("How often?")
    assert status == 0
    assert capsys.readouterr().out.splitlines() == [
        "Q: How often?",
        "A: Every 200 hours",
        "   [1] Pumps (pumps.md, characters 0-46)",
        '       "The pump of line 4 is greased every 200 hours."',
        "   30 ms: search 0.5 · generate 30.0",
    ]
    assert pipeline.closed.is_set()


def test_an_abstention_shows_why_and_the_closest_passages_and_is_status_3(capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = ask("nothing")
    assert status == 3
    out = capsys.readouterr().out.splitlines()
    assert out[1] == "A: The documents do not answer this question. (no passage supports the draft)"
    assert out[2:5] == ["   Closest passages:", "   - Pumps (pumps.md, characters 0-81)", f'     "{TEXT}"']


def test_a_document_cannot_command_the_terminal() -> None:
    spoilt = answer("Why?", (citation().model_copy(update={"quote": "red\x1b[31m\x9b2J\r\nline"}),), "")
    assert '       "red [31m 2J line"' in render("Why?\x07", spoilt).splitlines()
    assert not set(render("Why?\x07", spoilt)) & {"\x1b", "\x9b", "\r", "\x07"}


def test_one_abstention_among_answers_is_status_3_and_all_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = ask("nothing", "How often?")
    assert status == 3
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("Q: ")] == [
        "Q: nothing",
        "Q: How often?",
    ]


def test_json_is_one_line_for_each_question(capsys: pytest.CaptureFixture[str]) -> None:
    ask("How often?", "nothing", as_json=True)
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first.pop("question"), second.pop("question")) == ("How often?", "nothing")
    assert Answer.model_validate(first).citations[0].document_id == "pumps.md"
    assert Answer.model_validate(second).abstained


def test_an_error_closes_the_pipeline_and_is_raised() -> None:
    pipeline = FakePipeline()
    with pytest.raises(UnknownDomain, match="there is no domain"):
        ask_all(SETTINGS, ["Why?"], domain="nowhere", passages=None, as_json=False, build=lambda _: pipeline)
    assert pipeline.closed.is_set()


def test_every_setting_is_shown_once_with_its_meaning() -> None:
    found = entries(SETTINGS)
    assert [entry.variable for entry in found] == list(variables())
    assert all(entry.description for entry in found)


def test_a_secret_is_redacted_and_the_data_directory_absolute(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load({"UNDERSTUDY_INDEX__API_KEY": "hunter2", "UNDERSTUDY_DATA__DIRECTORY": "here"})
    print_settings(settings, as_json=True)
    print_settings(settings, as_json=False)
    out = capsys.readouterr().out
    assert "hunter2" not in out
    values = {entry.variable: entry.value for entry in entries(settings)}
    assert values["UNDERSTUDY_INDEX__API_KEY"] == REDACTED
    assert values["UNDERSTUDY_MODEL__API_KEY"] == ""
    assert values["UNDERSTUDY_DATA__DIRECTORY"] == str(Path.cwd() / "here")


def test_a_setting_that_differs_from_its_default_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    print_settings(load({"UNDERSTUDY_SERVER__PORT": "9000", "UNDERSTUDY_INDEX__GRPC": "true"}), as_json=False)
    marked = [line for line in capsys.readouterr().out.splitlines() if line.startswith("*")]
    assert marked == ["* UNDERSTUDY_INDEX__GRPC=true", "* UNDERSTUDY_SERVER__PORT=9000"]
