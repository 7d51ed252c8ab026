"""A small real embedder: hashed words, unit rows. Passes tests/contracts/test_embedder.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from rag.errors import ModelUnavailable
from rag.lexical import words
from rag.protocols import Tokenized, Vectors

PART = 8
"""Texts that are given out at a time."""


class HashedWords:
    """Texts that share words point the same way. Counts what it embedded."""

    def __init__(self, *, dimensions: int = 32, name: str = "hashed-words") -> None:
        self.dimensions = dimensions
        self.name = name
        self.weights_sha256 = hashlib.sha256(name.encode()).hexdigest()
        self.fingerprint = hashlib.sha256(f"{name}/{dimensions}".encode()).hexdigest()
        self.embedded: list[str] = []
        self._closed = False

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self._closed:
            raise ModelUnavailable("the embedder was closed")
        self.embedded.extend(texts)
        out = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            out[row, 0] = 0.01  # no row is zero, a text without words neither
            for word in words(text):
                out[row, int(hashlib.sha256(word.encode("utf-8", "replace")).hexdigest(), 16) % self.dimensions] += 1
        return out / np.linalg.norm(out, axis=1, keepdims=True) if len(texts) else out

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        return [Tokenized(text, length) for text, length in zip(texts, self.count_tokens(texts), strict=True)]

    def embed_parts(self, texts: Sequence[Tokenized]) -> Iterator[tuple[Sequence[int], Vectors]]:
        order = sorted(range(len(texts)), key=lambda row: texts[row].length)
        for first in range(0, len(order), PART):
            rows = order[first : first + PART]
            yield rows, self.embed([texts[row].text for row in rows])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [min(256, len(words(text)) + 2) for text in texts]

    def close(self) -> None:
        self._closed = True
