"""Progress without a terminal, and how a command ends that is refused or stopped."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

from rag.errors import InvalidCorpus

with warnings.catch_warnings():
    # what typer imports from click is deprecated in the newest click
    warnings.simplefilter("ignore", DeprecationWarning)
    import typer

    from evaluation import console


def test_without_a_terminal_a_line_comes_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with console.bar() as tell:
        for done in range(1, 8):
            now[0] += 4.0
            tell("asking", done, 7)
    assert capsys.readouterr().err.splitlines() == ["asking: 3 of 7", "asking: 6 of 7"]


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (InvalidCorpus("no question could be made"), 2, "tune: no question could be made\n"),
        (KeyboardInterrupt(), 130, "tune: stopped; the same command goes on with what was kept\n"),
    ],
)
def test_a_refusal_and_a_stop_are_one_sentence_and_a_status(
    raised: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, console.refusals("tune"):
        raise raised
    assert ended.value.exit_code == status
    assert capsys.readouterr().err == said
