"""A model over one of the tiny files of `gguf_files`, in a real engine."""

from __future__ import annotations

from pathlib import Path

from rag.adapters.llama_model import LlamaModel
from rag.adapters.model_files import resolve


def tiny_model(path: Path, *, cache: Path) -> LlamaModel:
    """The model of such a file, in an engine of its own; the caller's to close."""
    file = resolve(str(path), cache=cache)
    return LlamaModel(
        file.path,
        name=file.name,
        template=file.template,
        context_tokens=256,
        threads=1,
        gpu_layers=0,
        max_waiting=1,
        fingerprint="tiny/1",
    )
