"""What every reranker keeps: word overlap as the fake, a tiny real cross-encoder as the real part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rag.adapters.cross_encoder import BATCH, CrossEncoder
from rag.errors import ModelUnavailable
from rag.lexical import words
from rag.protocols import Reranker

TEXTS = [f"Valve {i} opens at {i} bar." for i in range(3 * BATCH)]


class Overlap:
    """Scores by shared words."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        asked = set(words(question))
        return [float(len(asked & set(words(text)))) for text in texts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one layer with random weights, saved as sentence-transformers saves one."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("cross-encoder")
    known = {
        word: i
        for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *["valve", "opens", "at", "bar", "1", "2", "3"]])
    }
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", sep_token="[SEP]")
    fast.save_pretrained(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(known), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_labels=1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(path)
    return path


@pytest.fixture(params=["fake", "cross-encoder"])
def reranker(request: pytest.FixtureRequest, folder: Path) -> Reranker:
    if request.param == "fake":
        return Overlap()
    return CrossEncoder(str(folder), milliseconds=60_000, offline=True)


def test_every_text_gets_a_score_of_its_own_wherever_it_stands(reranker: Reranker) -> None:
    scores = reranker.scores("Which valve opens at 2 bar?", TEXTS)
    assert len(scores) == len(TEXTS)
    assert reranker.scores("Which valve opens at 2 bar?", TEXTS[::-1]) == pytest.approx(scores[::-1], abs=1e-5)
    assert len(set(scores)) > 1
    assert reranker.scores("Which?", []) == []


def test_when_the_time_is_up_the_first_batch_has_been_read(folder: Path) -> None:
    hurried = CrossEncoder(str(folder), milliseconds=1e-6, offline=True)
    assert len(hurried.scores("Which valve?", TEXTS)) == BATCH


def test_a_missing_one_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="UNDERSTUDY_RETRIEVAL__RERANKER"):
        CrossEncoder(str(tmp_path / "none"), milliseconds=10, offline=True)
