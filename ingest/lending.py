"""Vectors that a generation holds already, found again by the text that they were made of. Knows no corpus.

The store keeps a digest of that text with each chunk, so that neither a stored document has to be split again, as by
the chunker of its time, nor the index has to be open to know what would be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from rag.documents import DocumentStore
from rag.protocols import Index, Vectors
from rag.types import sha256_text

DIGEST = 32
"""Hex digits of sha256 that are kept: 128 bits, where two texts of a domain never meet by chance."""

AT_ONCE = 256
"""Vectors of one call to the index."""


@dataclass(frozen=True, slots=True)
class Lender:
    """A generation that was embedded by the embedder in use."""

    store: DocumentStore
    index: Index
    without: AbstractSet[str] = frozenset()
    """Documents that lend nothing: they are about to be written, or have just been."""

    def vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """The vector, (d,) float32, of each of the texts that one is held of."""
        of = {digest(text): text for text in texts}
        chunks = self.store.made_of(list(of), without=self.without)
        named = {name: of[made_of] for made_of, name in chunks.items()}
        names = list(named)
        held: dict[str, Vectors] = {}
        for first in range(0, len(names), AT_ONCE):
            found = self.index.vectors(names[first : first + AT_ONCE])
            held |= {named[name]: vector for name, vector in found.items()}
        return held


def digest(text: str) -> str:
    """What a text that is embedded is known by."""
    return sha256_text(text)[:DIGEST]
