"""LoRA over a dequantised GGUF or a model of the hub: examples in, pairs of small matrices out.

Method: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), on every projection of every layer; the
loss counts the answer's tokens alone. Runs on the CPU, or on a GPU where there is one, in bfloat16 where that is fast.
Every few steps the state is written to a checkpoint; a run that was cut off goes on there, with the same batches in the
same order. Knows no corpus and no GGUF of an adapter.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.optim.lr_scheduler import LambdaLR

from rag.errors import InvalidSettings
from tuning.gguf_adapter import TENSORS

Tokens = tuple[list[int], list[int]]
"""Ids of a prompt, and of what should follow it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how hard to train."""

    steps: int = 120
    batch: int = 8
    rank: int = 16
    alpha: float = 32.0
    learning_rate: float = 5e-4
    warmup: int = 10
    dropout: float = 0.05
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out."""

    pairs: dict[tuple[int, str], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
    """(layer, projection) -> A (rank, in) and B (out, rank)"""
    losses: list[float]
    """mean loss of each step's answer tokens, in nats"""
    architecture: str
    heads: int
    kv_heads: int


CHECKPOINT_STEPS = 20
"""A checkpoint is megabytes; a step is seconds."""


def train(
    base: Path | str,
    examples: Sequence[Tokens],
    recipe: Recipe,
    *,
    checkpoint: Path,
    progress: Callable[[int, int, float], None] | None = None,
    save_every: int = CHECKPOINT_STEPS,
    device: str = "auto",
) -> Trained:
    """Train an adapter. Raises InvalidSettings as `device_of`.

    base: a GGUF file, or a folder or repository that transformers loads
    progress: called with the step, the steps there will be and the step's loss
    device: as `device_of` takes it; a run begun on a GPU goes on without one, and the other way round
    """
    import peft

    torch.manual_seed(recipe.seed)
    device = device_of(device)
    plain = _base(base).to(device)
    for parameter in plain.parameters():
        parameter.requires_grad_(False)
    config = plain.config
    peft.inject_adapter_in_model(
        peft.LoraConfig(
            r=recipe.rank, lora_alpha=int(recipe.alpha), lora_dropout=recipe.dropout, target_modules=list(TENSORS)
        ),
        plain,
    )
    small = {name: p for name, p in plain.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(small.values(), lr=recipe.learning_rate, weight_decay=0.01)
    schedule = LambdaLR(optimizer, lambda step: _rate(step, recipe))
    losses: list[float] = []
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        if saved["recipe"] == asdict(recipe) and saved["examples"] == len(examples):
            with torch.no_grad():
                for name, parameter in small.items():
                    parameter.copy_(saved["weights"][name])
            optimizer.load_state_dict(saved["optimizer"])
            schedule.load_state_dict(saved["schedule"])
            losses = saved["losses"]
    batches = plan([len(prompt) + len(answer) for prompt, answer in examples], recipe)
    plain.train()
    for step in range(len(losses), recipe.steps):
        torch.manual_seed(recipe.seed * 100_003 + step)  # a run that goes on drops the same units
        loss = _loss(plain, [examples[i] for i in batches[step]], device)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
        torch.nn.utils.clip_grad_norm_(list(small.values()), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if (step + 1) % save_every == 0 or step + 1 == recipe.steps:
            _save(
                checkpoint,
                recipe=recipe,
                examples=len(examples),
                small=small,
                optimizer=optimizer,
                schedule=schedule,
                losses=losses,
            )
        if progress:
            progress(step + 1, recipe.steps, losses[-1])
    return Trained(_pairs(small), losses, str(config.model_type), config.num_attention_heads, _kv_heads(config))


def plan(lengths: Sequence[int], recipe: Recipe) -> list[list[int]]:
    """The examples of every step: each epoch a new order, batches of like lengths in random order."""
    rng = random.Random(recipe.seed)  # noqa: S311  # a repeatable draw, no secret
    batches: list[list[int]] = []
    while len(batches) < recipe.steps:
        order = list(range(len(lengths)))
        rng.shuffle(order)
        pool = recipe.batch * 16
        epoch: list[list[int]] = []
        for start in range(0, len(order), pool):
            part = sorted(order[start : start + pool], key=lambda i: lengths[i])
            epoch += [part[i : i + recipe.batch] for i in range(0, len(part), recipe.batch)]
        rng.shuffle(epoch)
        batches += epoch
    return batches[: recipe.steps]


def device_of(wanted: str = "auto") -> str:
    """Where "auto", "cpu" or "cuda" trains here. Raises InvalidSettings where a GPU is wanted and torch finds none."""
    there = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if there else "cpu"
    if wanted == "cuda" and not there:
        raise InvalidSettings(
            f"torch {torch.__version__} finds no GPU here: leave out --device, or install a torch built for your GPU"
        )
    return wanted


def hardware_of(device: str) -> str:
    """The name of the GPU; empty for the CPU."""
    return torch.cuda.get_device_name() if device == "cuda" else ""


def half_is_fast(device: str) -> bool:
    """Whether bfloat16 is worth its rounding: without AVX-512 a CPU takes over ten times as long as for float32."""
    if device == "cuda":
        return True
    # what torch's own products go by; a build without oneDNN has no fast ones
    return torch._C._has_mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _base(base: Path | str) -> Any:
    from transformers import AutoModelForCausalLM

    path = Path(base)
    if path.suffix == ".gguf":
        return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def _rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return float(0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * share)))


def _loss(model: Any, batch: Sequence[Tokens], device: str) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens; only their positions go through the head."""
    width = max(len(prompt) + len(answer) for prompt, answer in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    targets = torch.full((len(batch), width), -1, dtype=torch.long)
    for row, (prompt, answer) in enumerate(batch):
        whole = prompt + answer
        ids[row, : len(whole)] = torch.tensor(whole)
        mask[row, : len(whole)] = 1
        targets[row, len(prompt) - 1 : len(whole) - 1] = torch.tensor(answer)
    ids, mask, targets = ids.to(device), mask.to(device), targets.to(device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=half_is_fast(device)):
        hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        wanted = targets >= 0
        logits = model.lm_head(hidden[wanted])
    return torch.nn.functional.cross_entropy(logits.float(), targets[wanted])


def _save(
    checkpoint: Path,
    *,
    recipe: Recipe,
    examples: int,
    small: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    schedule: LambdaLR,
    losses: list[float],
) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_suffix(".partial")
    torch.save(
        {
            "recipe": asdict(recipe),
            "examples": examples,
            "weights": {name: p.detach().cpu() for name, p in small.items()},
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "losses": losses,
        },
        partial,
    )
    partial.replace(checkpoint)


def _pairs(
    small: dict[str, torch.nn.Parameter],
) -> dict[tuple[int, str], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    found: dict[tuple[int, str], dict[str, npt.NDArray[np.float32]]] = {}
    for name, parameter in small.items():  # model.layers.3.self_attn.q_proj.lora_A.default.weight
        parts = name.split(".")
        where = parts.index("layers")
        key = (int(parts[where + 1]), parts[where + 3])
        side = "a" if "lora_A" in parts else "b"
        found.setdefault(key, {})[side] = parameter.detach().float().cpu().numpy()
    return {key: (sides["a"], sides["b"]) for key, sides in found.items()}


def _kv_heads(config: Any) -> int:
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
