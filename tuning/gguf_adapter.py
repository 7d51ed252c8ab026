"""A LoRA adapter as the GGUF file that llama.cpp loads beside its model.

Format: llama.cpp's convert_lora_to_gguf.py; tensors `<base tensor>.lora_a` (rank, in) and `.lora_b` (out, rank),
metadata general.type, adapter.type and adapter.lora.alpha. Knows no training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

TENSORS = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
"""A projection's name in transformers and in llama.cpp."""

ROTATED = frozenset({"llama"})
"""Architectures whose query and key rows llama.cpp keeps in another order (its rotary embedding pairs neighbours)."""

ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})
"""Those whose projections have the names above on both sides."""


def write(
    path: Path,
    pairs: Mapping[tuple[int, str], tuple[Matrix, Matrix]],
    *,
    architecture: str,
    alpha: float,
    heads: int,
    kv_heads: int,
    name: str,
    licence: str,
) -> None:
    """Write the file, in 16-bit floats.

    pairs: (layer, projection) -> A (rank, in) and B (out, rank), in transformers' order of rows
    alpha: the scale is alpha / rank; heads, kv_heads: of the base model
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_name(name)
    writer.add_license(licence)
    for (layer, projection), (a, b) in sorted(pairs.items()):
        tensor = f"blk.{layer}.{TENSORS[projection]}.weight"
        if architecture in ROTATED and projection in ("q_proj", "k_proj"):
            b = rotated(b, heads if projection == "q_proj" else kv_heads)
        writer.add_tensor(f"{tensor}.lora_a", a.astype(np.float16))
        writer.add_tensor(f"{tensor}.lora_b", b.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rotated(rows: Matrix, heads: int) -> Matrix:
    """Rows (heads · d, n) from transformers' order, halves of a head, to llama.cpp's, pairs."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
