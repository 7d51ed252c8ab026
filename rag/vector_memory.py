"""Vectors of texts that were embedded lately: the sentences of passages that are found again and again. Thread-safe.

Reading embeds every sentence of what was found, a fifth of an answer's time; the passages that people ask about are
few. Knows no index: what goes into one is embedded anew. The least recently used goes first.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rag.protocols import Embedder, Tokenized, Vectors


class RememberingEmbedder:
    """Another embedder's vectors, the latest of them remembered: an `Embedder`."""

    def __init__(self, embedder: Embedder, *, most: int) -> None:
        """most: texts that are remembered; each takes its vector (1.5 KB for 384 dimensions) and a hash."""
        self._embedder, self._most = embedder, most
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()

    @property
    def dimensions(self) -> int:
        """See Embedder."""
        return self._embedder.dimensions

    @property
    def name(self) -> str:
        """See Embedder."""
        return self._embedder.name

    @property
    def weights_sha256(self) -> str:
        """See Embedder."""
        return self._embedder.weights_sha256

    @property
    def fingerprint(self) -> str:
        """See Embedder."""
        return self._embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See Embedder; only what is not remembered is computed, each text once."""
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        out = np.empty((len(texts), self.dimensions), np.float32)
        missing: dict[bytes, str] = {}
        with self._lock:
            for row, (key, text) in enumerate(zip(keys, texts, strict=True)):
                vector = self._known.get(key)
                if vector is None:
                    missing[key] = text
                else:
                    self._known.move_to_end(key)
                    out[row] = vector
        if not missing:
            return out
        found = dict(zip(missing, self._embedder.embed(list(missing.values())), strict=True))
        for row, key in enumerate(keys):
            if key in found:
                out[row] = found[key]
        with self._lock:
            for key, vector in found.items():
                self._known[key] = vector.copy()  # a row alone, not a view that keeps its whole batch alive
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return out

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """See Embedder."""
        return self._embedder.tokenize(texts)

    def embed_parts(self, texts: Sequence[Tokenized]) -> Iterator[tuple[Sequence[int], Vectors]]:
        """See Embedder; what comes many at a time is neither looked for nor remembered."""
        return self._embedder.embed_parts(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See Embedder."""
        return self._embedder.count_tokens(texts)

    def close(self) -> None:
        """See Embedder."""
        with self._lock:
            self._known.clear()
        self._embedder.close()
