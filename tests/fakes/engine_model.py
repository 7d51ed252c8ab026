"""A small real model for the scheduler: what follows depends on every token of the sequence before it, and no other.

It keeps each sequence's tokens as llama.cpp keeps their keys and values, and refuses what llama.cpp refuses: a position
that does not follow, more rows than a call takes, more cells than the memory has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

END = 0
"""The token that ends a generation."""


class EngineModel:
    """As `rag.engine.llama.Llama`, over a vocabulary of 32 tokens."""

    vocabulary_size = 32

    def __init__(self, *, sequences: int, memory_tokens: int, chunk: int = 256) -> None:
        self.sequences, self.memory_tokens, self.context_tokens = sequences, memory_tokens, memory_tokens
        self.adapter = ""
        self.calls: list[list[tuple[int, int]]] = []
        """(sequence, token) of the rows of each call"""
        self.aborted = False
        self._chunk = chunk
        self._held: dict[int, list[tuple[int, int]]] = {}
        """sequence to (cell, token); cells are shared by copies"""
        self._cells = 0

    def use(self, adapter: str) -> None:
        self.adapter = adapter

    def abort(self, wanted: bool) -> None:
        self.aborted = wanted

    def evaluate(self, rows: Sequence[tuple[int, int, int, bool]]) -> npt.NDArray[np.float32] | None:
        assert 0 < len(rows) <= self._chunk
        if self.aborted:
            return None
        out = []
        for token, position, sequence, wanted in rows:
            held = self._held.setdefault(sequence, [])
            assert position == len(held), f"sequence {sequence} goes on at {len(held)}, not at {position}"
            self._cells += 1
            held.append((self._cells, token))
            if wanted:
                out.append(self.logits_after([token for _, token in held]))
        assert len({cell for held in self._held.values() for cell, _ in held}) <= self.memory_tokens, "no room is left"
        self.calls.append([(sequence, token) for token, _, sequence, _ in rows])
        return np.array(out, np.float32).reshape(len(out), self.vocabulary_size)

    def logits_after(self, tokens: Sequence[int]) -> list[float]:
        digest = hashlib.sha256(f"{self.adapter}:{list(tokens)}".encode()).digest()
        return [float(byte) for byte in digest]

    def copy(self, source: int, target: int) -> None:
        self._held[target] = list(self._held.get(source, []))

    def remove(self, sequence: int, start: int = 0) -> None:
        self._held[sequence] = self._held.get(sequence, [])[:start]

    def held(self, sequence: int) -> list[int]:
        return [token for _, token in self._held.get(sequence, [])]
