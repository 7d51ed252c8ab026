"""Tuning a tiny model for real: what torch learned is what llama.cpp serves, and a cut-off run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.running import unseen
from evaluation.suites import SuiteQuestion, Use
from rag.adapters import lora_files
from rag.adapters.llama_model import LlamaModel
from rag.engine.llama import Llama, LoadError, Logits
from rag.engine.merging import merge, merged
from rag.engine.weights import Choice
from rag.errors import InvalidSettings, ModelUnavailable
from rag.prompt import seen_hash
from rag.types import Message, Prompt
from tests.fakes.gguf_files import write_gguf
from tuning import gguf_adapter
from tuning.training import Recipe, Tokens, Trained, device_of, train

RECIPE = Recipe(steps=6, batch=2, rank=4, alpha=8.0, learning_rate=0.05, warmup=1, dropout=0.0)
EXAMPLES: list[Tokens] = [([3 + i, 9, 12, 20 + i], [30 + i, 31, 40]) for i in range(5)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "llama.gguf"
    write_gguf(path, "llama")
    return path


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(base, EXAMPLES, RECIPE, checkpoint=tmp_path_factory.mktemp("run") / "checkpoint.pt")


@pytest.fixture(scope="module")
def adapter(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapter") / "adapter.gguf"
    gguf_adapter.write(
        path, trained.pairs, architecture=trained.architecture, alpha=RECIPE.alpha, heads=trained.heads,
        kv_heads=trained.kv_heads, name="tiny", licence="Apache-2.0",
    )  # fmt: skip
    return path


@pytest.fixture
def llama(base: Path, adapter: Path) -> Iterator[Llama]:
    loaded = Llama(base, context_tokens=128, threads=1, gpu_layers=0, adapters={"tuned": adapter})
    yield loaded
    loaded.close()


def test_it_learns_the_answers(trained: Trained) -> None:
    assert len(trained.losses) == RECIPE.steps
    assert trained.losses[-1] < 0.7 * trained.losses[0]


def test_llama_cpp_serves_what_torch_learned(base: Path, trained: Trained, llama: Llama) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    tokens = [3, 9, 12, 20, 30, 31]
    plain = llama.logits(tokens)
    llama.use("tuned")
    served = llama.logits(tokens)
    model = AutoModelForCausalLM.from_pretrained(base.parent, gguf_file=base.name, dtype=torch.float32)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for (layer, projection), (a, b) in trained.pairs.items():
            part = "self_attn" if projection in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
            weights[f"model.layers.{layer}.{part}.{projection}.weight"] += torch.from_numpy(
                RECIPE.alpha / RECIPE.rank * b @ a
            )
        expected = model(torch.tensor([tokens])).logits[0].numpy()
    assert np.abs(served - plain).max() > 1.0, "the adapter changes something"
    assert np.abs(served - expected).max() < 0.05 * np.abs(expected - plain).max()
    llama.use("")
    assert np.array_equal(llama.logits(tokens), plain)


def test_an_adapter_written_into_the_weights_says_the_same(
    base: Path, adapter: Path, llama: Llama, tmp_path: Path
) -> None:
    inside = tmp_path / "F16.gguf"
    merge(base, adapter, inside, "F16")
    assert [file.name for file in tmp_path.iterdir()] == ["F16.gguf"], "what was written on the way is gone"
    tokens = [3, 9, 12, 20, 30, 31]
    plain = llama.logits(tokens)
    llama.use("tuned")
    beside = llama.logits(tokens)
    both = Llama(base, context_tokens=128, threads=1, gpu_layers=0, merged={"tuned": inside})
    both.use("tuned")
    assert np.abs(both.logits(tokens) - beside).max() < 0.02 * np.abs(beside - plain).max()
    both.use("")
    assert np.array_equal(both.logits(tokens), plain)
    both.close()
    alone = Llama(base, context_tokens=128, threads=1, gpu_layers=0, merged={"tuned": inside}, plain=False)
    assert alone.adapter == "tuned"
    with pytest.raises(KeyError):
        alone.use("")
    alone.close()


def test_sequences_of_different_weights_do_not_mix(base: Path, adapter: Path, tmp_path: Path) -> None:
    inside = tmp_path / "F16.gguf"
    merge(base, adapter, inside, "F16")
    both = Llama(base, context_tokens=64, threads=1, gpu_layers=0, merged={"tuned": inside}, sequences=4)

    def rows(sequence: int, *, start: int = 0) -> list[tuple[int, int, int, bool]]:
        return [(token, start + i, sequence, i == 2) for i, token in enumerate([3, 9, 12])]

    def after(sequence: int) -> Logits:
        told = both.evaluate([(20, 3, sequence, True)])
        assert told is not None
        return told

    alone = {}
    for name in ("", "tuned"):
        both.use(name)
        both.evaluate(rows(0))
        both.copy(0, 1)
        alone[name] = after(1)
        both.remove(0)
        both.remove(1)
    both.use("")
    both.evaluate(rows(0))
    both.use("tuned")
    both.evaluate(rows(2))
    both.copy(2, 3)
    both.use("")
    both.copy(0, 1)
    assert np.array_equal(after(1), alone[""])
    both.use("tuned")
    assert np.array_equal(after(3), alone["tuned"])
    both.close()


def test_merged_weights_are_made_once_and_the_latest_kept(base: Path, adapter: Path, tmp_path: Path) -> None:
    choice = Choice(machine="m", source_sha256="ab" * 32, format="F16", path=str(base), trials=())
    folder = tmp_path / "weights"
    (folder / ("ab" * 8)).mkdir(parents=True)
    told: list[str] = []
    first = merged([choice], base, folder, {"0" * 64: adapter}, tell=told.append)
    assert merged([choice], base, folder, {"0" * 64: adapter}, tell=told.append) == first
    assert len(told) == 1
    for number in range(1, 6):
        merged([choice], base, folder, {str(number) * 64: adapter})
    kept = sorted(file.name for file in (folder / ("ab" * 8)).glob("*.gguf"))
    assert kept == [f"F16+{str(number) * 16}.gguf" for number in range(2, 6)], "three beside the one in use"
    others = {str(number) * 64: adapter for number in range(8)}
    written = choice.model_copy(update={"format": "Q8_0"})
    many = [path for found in merged([written, choice], base, folder, others) for path in found.values()]
    assert len(many) == 16, "of those in use none goes, however many there are"
    assert all(path.is_file() for path in many)
    shipped = choice.model_copy(update={"format": "as-shipped"})
    assert merged([shipped], base, folder, {"0" * 64: adapter}) == [{}]
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(adapter.read_bytes()[:200])
    with pytest.raises(ModelUnavailable, match="could not be converted"):
        merged([choice], base, folder, {"9" * 64: damaged})


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(base: Path, trained: Trained, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    told: list[int] = []

    class Cut(Exception):
        pass

    def cut(step: int, _steps: int, _loss: float) -> None:
        told.append(step)
        if step == 4:
            raise Cut

    with pytest.raises(Cut):
        train(base, EXAMPLES, RECIPE, checkpoint=checkpoint, progress=cut, save_every=3)
    again = train(base, EXAMPLES, RECIPE, checkpoint=checkpoint, progress=lambda s, _n, _l: told.append(s))
    assert told == [1, 2, 3, 4, 4, 5, 6], "it goes on after the third step, the last one saved"
    assert again.losses == pytest.approx(trained.losses, rel=1e-3)


def test_a_gpu_is_used_where_there_is_one_and_asked_for_in_vain_it_is_said() -> None:
    assert device_of("cpu") == "cpu"
    if torch.cuda.is_available():
        assert device_of("auto") == device_of("cuda") == "cuda"
        return
    assert device_of("auto") == "cpu"
    with pytest.raises(InvalidSettings, match="leave out --device"):
        device_of("cuda")


def test_an_adapter_for_other_weights_is_refused(adapter: Path, tmp_path: Path) -> None:
    qwen = tmp_path / "qwen.gguf"
    write_gguf(qwen, "qwen2")
    with pytest.raises(LoadError, match="adapter"):
        Llama(qwen, context_tokens=128, threads=1, gpu_layers=0, adapters={"tuned": adapter})
    card = '{"base_sha256": "0", "sha256": "0"}'
    (tmp_path / "a.json").write_text(card)
    (tmp_path / "a.gguf").write_bytes(adapter.read_bytes())
    with pytest.raises(ModelUnavailable, match="other weights"):
        lora_files.resolve(str(tmp_path / "a.gguf"), {}, model=qwen, model_sha256="1", cache=tmp_path)
    with pytest.raises(ModelUnavailable, match="not the file"):
        lora_files.resolve(str(tmp_path / "a.gguf"), {}, model=qwen, model_sha256="0", cache=tmp_path)
    with pytest.raises(ModelUnavailable, match="understudy tune"):
        lora_files.resolve("missing.gguf", {}, model=qwen, model_sha256="0", cache=tmp_path)


def test_domains_get_their_own_adapter_or_none(adapter: Path, tmp_path: Path) -> None:
    found = lora_files.resolve(
        "none", {"handbook": str(adapter), "plant": "none"}, model=adapter, model_sha256="1", cache=tmp_path
    )
    sha256 = hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert [found.of(domain) for domain in ("handbook", "plant", "other")] == [sha256, "", ""]
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(adapter.read_bytes())
    same = lora_files.resolve(str(adapter), {"default": str(copy)}, model=adapter, model_sha256="1", cache=tmp_path)
    assert len(same.files) == 1, "equal adapters are loaded once"
    assert same.of("default") == same.of("other") == sha256


def test_only_a_domain_with_an_adapter_is_answered_by_one(base: Path, adapter: Path) -> None:
    model = LlamaModel(
        base, name="tiny", template="smollm2", context_tokens=128, threads=1, gpu_layers=0, max_waiting=1,
        fingerprint="tiny/1", adapters={"sha": adapter},
        adapter_of=lambda domain: "sha" if domain == "handbook" else "",
    )  # fmt: skip
    prompt = Prompt(messages=(Message(role="user", content="the end of"),), max_tokens=4)
    plain = model.score(prompt, ["the end"])
    tuned = model.score(prompt.model_copy(update={"domain": "handbook"}), ["the end"])
    again = model.score(prompt.model_copy(update={"domain": "plant"}), ["the end"])
    model.close()
    assert (model.adapter("handbook"), model.adapter("plant")) == ("sha", "")
    assert tuned != plain == again


def test_an_evaluation_leaves_out_what_the_adapter_learned_from(
    adapter: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        SuiteQuestion(id=str(i), question=text, answers=("x",), use=Use.ANSWERABLE, file="q", line=i)
        for i, text in enumerate(["Who built  it?", "Who broke it?", "Who mended it?"], start=1)
    ]
    (tmp_path / "a.gguf").write_bytes(adapter.read_bytes())
    card = {
        "base_sha256": hashlib.sha256(base.read_bytes()).hexdigest(),
        "sha256": hashlib.sha256(adapter.read_bytes()).hexdigest(),
        "trained": [seen_hash("who built it?")],
        "checked": [seen_hash("who BROKE it?")],
    }
    (tmp_path / "a.json").write_text(json.dumps(card))
    monkeypatch.setenv("UNDERSTUDY_DATA__DIRECTORY", str(tmp_path / "data"))
    monkeypatch.setenv("UNDERSTUDY_MODEL__NAME", str(base))
    monkeypatch.setenv("UNDERSTUDY_MODEL__ADAPTER", str(tmp_path / "a.gguf"))
    assert [q.id for q in unseen(asked, checked_too=True)] == ["3"]
    assert [q.id for q in unseen(asked, checked_too=False)] == ["2", "3"]
    monkeypatch.setenv("UNDERSTUDY_MODEL__ADAPTER", "none")
    assert len(unseen(asked, checked_too=True)) == 3
