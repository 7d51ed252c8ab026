"""Writes a LoRA adapter into the weights it was trained on, once, so that no row pays for it again.

At run time an adapter is two more small products beside every one of the model's: a fifth of a prompt's time. Here
W + scale x B A (Hu et al., "LoRA", 2021) is computed in float32 and then put into the format that was chosen for this
machine (rag.engine.weights). The work runs in a process of its own: `python -m rag.engine.merging SOURCE ADAPTER TARGET
FORMAT`. Knows no profile and no settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.catalog import storage_error
from rag.engine.weights import Choice, convert, run_child

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_MERGED_BYTES = 1 << 30
"""Weights larger than this keep their adapter beside them: float32 takes eight times a file of four bits."""

KEPT = 4
"""Merged files that are kept for one model, those used last: each is as large as the model."""


def merged(
    choice: Choice, source: Path, folder: Path, adapter: Path, sha256: str, *, tell: Callable[[str], None] | None = None
) -> Path | None:
    """The weights with an adapter in them, made where they are not there yet; None where it stays beside them.

    choice: the format of this machine; as shipped, nothing is written; source: the file that was chosen for;
    sha256: of the adapter; `tell` is called before work that takes longer than a second.
    Raises ModelUnavailable when it fails, StorageFull when it does not fit the disk.
    """
    if choice.format == "as-shipped" or source.stat().st_size > MAX_MERGED_BYTES:
        return None
    cache = folder / choice.source_sha256[:16]
    path = cache / f"{choice.format}+{sha256[:16]}.gguf"
    try:
        if not path.is_file():
            if tell is not None:
                tell(f"writing the adapter {adapter.name} into the weights; once, some seconds")
            run_child("rag.engine.merging", str(source), str(adapter), str(path), choice.format)
        path.touch()
        known = sorted(cache.glob("*+*.gguf"), key=lambda file: -file.stat().st_mtime)
        for old in known[KEPT:]:
            old.unlink(missing_ok=True)  # a process that has it loaded keeps it
    except OSError as error:
        raise storage_error(error, path) from error
    return path


# --- the child's side ---


def merge(source: Path, adapter: Path, target: Path, name: str) -> None:
    """Write `source` with an adapter in it, in another format; the file appears whole or not at all."""
    from gguf import GGUFReader

    whole = target.with_suffix(".f32")
    try:
        convert(source, whole, "F32")
        lora = GGUFReader(adapter)
        alpha = float(lora.fields["adapter.lora.alpha"].contents())
        parts = {tensor.name: tensor.data for tensor in lora.tensors}
        weights = GGUFReader(whole, "r+")
        known = {tensor.name: tensor.data for tensor in weights.tensors}
        for part, a in parts.items():
            if not part.endswith(".lora_a"):
                continue
            changed = part.removesuffix(".lora_a")
            product = _product(a, parts[f"{changed}.lora_b"], alpha)
            if changed not in known or known[changed].shape != product.shape:
                raise SystemExit(f"the adapter {adapter} was trained on other weights than {source.name}")
            known[changed] += product
        weights.data.flush()
        convert(whole, target, name)
    finally:
        whole.unlink(missing_ok=True)


def _product(a: npt.NDArray[Any], b: npt.NDArray[Any], alpha: float) -> npt.NDArray[np.float32]:
    """(outputs, inputs) float32 of A (rank, inputs) and B (outputs, rank), scaled by alpha / rank."""
    import numpy as np

    product: npt.NDArray[np.float32] = (b.astype(np.float32) @ a.astype(np.float32)) * np.float32(alpha / a.shape[0])
    return product


def main(arguments: list[str]) -> None:
    """`SOURCE ADAPTER TARGET FORMAT`."""
    source, adapter, target, name = arguments
    merge(Path(source), Path(adapter), Path(target), name)


if __name__ == "__main__":
    main(sys.argv[1:])
