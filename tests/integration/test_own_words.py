"""Own words are written with weights of their own where those that read round more: the shipped model, both formats."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from rag.build import open_model
from rag.protocols import LanguageModel
from rag.settings import DataSettings, ModelSettings, Settings
from rag.types import Likelihood, Message, Prompt

ASKED = Prompt(
    messages=(Message(role="user", content="Explain in one sentence why a pump must be primed."),), max_tokens=24
)
OPTIONS = ["Air does not lift water.", "Because of the colour."]

Said = tuple[str, list[Likelihood], str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def said(data: Path, adapter: str, weights_format: str, own_words_format: str) -> Said:
    """What is written, how likely some words are, and the formats as the card names them."""
    model = {"weights_format": weights_format, "own_words_format": own_words_format, "adapter": adapter}
    settings = Settings(
        data=DataSettings(directory=data), model=ModelSettings.model_validate({**model, "threads": 1, "parallel": 1})
    )
    with closing(open_model(settings)) as opened:
        return written(opened), opened.score(ASKED, OPTIONS), opened.card.formats


def written(model: LanguageModel) -> str:
    return "".join(piece.text for piece in model.generate(ASKED))


@pytest.fixture(scope="module", params=["none", "auto"])
def three(request: pytest.FixtureRequest, data: Path) -> tuple[Said, Said, Said]:
    """Eight bits alone, F16 alone, and eight bits that read beside F16 that writes; without and with an adapter."""
    eight = said(data, request.param, "Q8_0", "same")
    whole = said(data, request.param, "F16", "F16")
    return eight, whole, said(data, request.param, "Q8_0", "F16")


def test_it_reads_with_the_one_and_writes_with_the_other(three: tuple[Said, Said, Said]) -> None:
    eight, whole, both = three
    assert both[0] == whole[0] != ""
    assert both[1] == eight[1] != whole[1]


def test_the_card_names_both_formats_only_where_there_are_two(three: tuple[Said, Said, Said]) -> None:
    assert [formats for _, _, formats in three] == ["Q8_0", "F16", "Q8_0, own words F16"]
