"""Which files a model is loaded from: its weights in this machine's format, those for own words, adapters in either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag.engine.merging import merged
from rag.engine.weights import Choice, choose, steady


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files that are there."""

    weights: Choice
    written: Choice
    """for own words: the same one where that rounds little"""
    inside: Mapping[str, Path]
    """weights that hold an adapter, by its sha256"""
    own_words: Mapping[str, Path]
    """those of them that own words are written with, '' for the model without an adapter; empty where they are none"""

    @property
    def formats(self) -> tuple[str, ...]:
        """The one or two formats."""
        return tuple(dict.fromkeys((self.weights.format, self.written.format)))


def prepare(
    source: Path,
    source_sha256: str,
    folder: Path,
    *,
    wanted: str,
    own_words: str,
    shipped_format: str,
    threads: int,
    adapters: Mapping[str, Path],
    plain: bool,
    tell: Callable[[str], None] | None = None,
) -> Prepared:
    """Choose, convert and merge what is not there yet.

    wanted, own_words: the settings of these names; shipped_format: the source's own; plain: whether any answer is made
    without an adapter. Raises ModelUnavailable, StorageFull.
    """
    weights = choose(source, source_sha256, folder, wanted=wanted, threads=threads, adapted=bool(adapters), tell=tell)
    written = weights
    if own_words != "same" and wanted != "as-shipped":
        written = steady(weights, source, folder, shipped_format=shipped_format, plain=plain)
    inside, spoken = merged((weights, written), source, folder, adapters, tell=tell)
    if written is weights:
        return Prepared(weights, written, inside, {})
    return Prepared(weights, written, inside, spoken | ({"": Path(written.path)} if plain else {}))
