"""Writes a LoRA adapter into the weights it was trained on, once, so that no row pays for it again.

At run time an adapter is two more small products beside every one of the model's: a fifth of a prompt's time. Here
W + scale x B A (Hu et al., "LoRA", 2021) is computed in float32 and then put into the format that was chosen for this
machine (rag.engine.weights). The work runs in a process of its own: `python -m rag.engine.merging SOURCE ADAPTER TARGET
FORMAT`. Knows no profile and no settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.catalog import storage_error
from rag.engine.weights import Choice, convert, run_child

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_MERGED_BYTES = 1 << 30
"""Weights larger than this keep their adapter beside them: float32 takes eight times a file of four bits."""

KEPT = 3
"""Merged files that are kept beside those in use, the latest: each is as large as the model."""


def merged(
    choices: Sequence[Choice],
    source: Path,
    folder: Path,
    adapters: Mapping[str, Path],
    *,
    tell: Callable[[str], None] | None = None,
) -> list[dict[str, Path]]:
    """For each format, the weights with each adapter in them, by its sha256, made where they are not there yet.

    Empty where adapters stay beside: as shipped, and above `MAX_MERGED_BYTES`.
    choices: the formats in use on this machine; source: the file that they were chosen for; adapters: files by their
    sha256; `tell` is called before work that takes longer than a second.
    Raises ModelUnavailable when it fails, StorageFull when it does not fit the disk.
    """
    cache = folder / choices[0].source_sha256[:16]
    large = source.stat().st_size > MAX_MERGED_BYTES
    paths = [
        {}
        if large or choice.format == "as-shipped"
        else {sha256: cache / f"{choice.format}+{sha256[:16]}.gguf" for sha256 in adapters}
        for choice in choices
    ]
    missing = {
        path: (adapters[sha256], choice.format)
        for choice, found in zip(choices, paths, strict=True)
        for sha256, path in found.items()
        if not path.is_file()
    }
    for path, (adapter, name) in missing.items():
        if tell is not None:
            tell(f"writing the adapter {adapter.name} into the weights ({name}); once, some seconds")
        run_child("rag.engine.merging", str(source), str(adapter), str(path), name)
    if missing:
        others = set(cache.glob("*+*.gguf")).difference(*(found.values() for found in paths))
        try:
            for old in sorted(others, key=lambda file: file.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)  # a process that has it loaded keeps it
        except OSError as error:
            raise storage_error(error, cache) from error
    return paths


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
