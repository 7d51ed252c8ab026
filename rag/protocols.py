"""What the core asks of the world: three protocols. Every implementation passes one contract suite.

`tests/contracts/` holds one suite per protocol; it runs on the fakes of `tests/fakes/` and on the
real adapters alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rag.types import (
    Chunk,
    EngineStatistics,
    Filter,
    Likelihood,
    Message,
    ModelCard,
    Passage,
    Piece,
    Prompt,
    RetrievalMode,
    Span,
)

Vectors = npt.NDArray[np.float32]
"""(n, d) float32, rows of unit length."""

EVERYTHING = Filter()
"""The filter that admits every chunk."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A text that waits for its vector."""

    text: str
    length: int
    """Texts of like length take like time and go well together: tokens, or characters where the model cuts itself."""
    tokens: npt.NDArray[np.int32] | None = None
    """(t,) numbers of the tokens that are read; None where the model tokenizes itself."""


class Embedder(Protocol):
    """Texts to unit vectors. Thread-safe: concurrent calls queue for one owner."""

    @property
    def dimensions(self) -> int:
        """d, the length of a vector."""
        ...

    @property
    def name(self) -> str:
        """The model's name, path or repository, for people."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Hex sha256 of the model's weights file."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes with anything that moves a vector measurably (weights, pooling, length), not with the backend."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32, one unit row a text, in the order given; n = 0 gives (0, d)."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """The texts as `embed_parts` takes them; in any thread, also while something is embedded."""
        ...

    def embed_parts(self, texts: Sequence[Tokenized]) -> Iterator[tuple[Sequence[int], Vectors]]:
        """What `embed` gives, some texts at a time as they are done: which of them, and (n, d).

        Shortest first. Others may embed between two parts; what is left when this is closed is given up.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text that `embed` reads, the model's own marks among them; what is cut off is not counted."""
        ...

    def close(self) -> None:
        """Release memory; a second call does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk as it goes into the index, with the document fields that its passage must carry."""

    id: str
    document_id: str
    title: str
    text_sha256: str
    chunk: Chunk
    metadata: dict[str, str | int | float | bool]
    vector: Vectors
    """(d,) float32, unit length."""

    @property
    def search_text(self) -> str:
        """What BM25 indexes."""
        return search_text(self.title, self.chunk)


def search_text(title: str, chunk: Chunk) -> str:
    """What is embedded and indexed of a chunk: title, headings, what it stands under, and text, one a line."""
    return "\n".join(part for part in (title, chunk.heading, chunk.under, chunk.text) if part)


class Index(Protocol):
    """The chunks of one generation of one domain: dense vectors, BM25 and payload. Thread-safe.

    Raises IndexLocked, IndexUnavailable, StorageFull; IncompatibleIndex when opened with another dimension.
    """

    def upsert(self, chunks: Sequence[IndexedChunk]) -> None:
        """Insert or replace by id. Durable when it returns."""
        ...

    def delete_documents(self, document_ids: Sequence[str]) -> int:
        """Remove every chunk of these documents; the number of chunks removed."""
        ...

    def delete_chunks(self, ids: Sequence[str]) -> None:
        """Remove chunks by id; unknown ids are ignored."""
        ...

    def search(
        self, *, vector: Vectors, text: str, limit: int, mode: RetrievalMode = RetrievalMode.HYBRID, filter: Filter
    ) -> list[Passage]:
        """At most `limit` passages, best first, ties by document id then start.

        vector: (d,) float32 of the question; text: the question, for BM25. Unknown filter fields match nothing.
        """
        ...

    def count(self, filter: Filter = EVERYTHING) -> int:
        """Exact number of chunks that the filter admits."""
        ...

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The dense vector, (d,) float32, of each of these chunks that is there, by id."""
        ...

    def chunks(self, ids: Sequence[str]) -> dict[str, IndexedChunk]:
        """Each of these chunks that is there, as it was written, by id: to be written to another index."""
        ...

    def optimize(self) -> None:
        """Build search structures after bulk writes. Searching is correct before and during."""
        ...

    def close(self) -> None:
        """Flush and release the store; a second call does nothing."""
        ...


class Reranker(Protocol):
    """Scores passages against a question, more slowly and better than a search. Thread-safe."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Higher is better; one for each of the first texts, at least one where there is a text, in their order.

        Fewer than texts where its time was up: the rest keep their order after the scored ones.
        """
        ...


class LanguageModel(Protocol):
    """A chat model. Thread-safe: concurrent calls queue in order of arrival."""

    @property
    def card(self) -> ModelCard:
        """What is loaded, and where it runs."""
        ...

    def adapter(self, domain: str) -> str:
        """The adapter that answers a domain's questions, by its hex sha256; '' where the plain model does."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's own tokenizer, no special tokens added."""
        ...

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the rendered chat prompt, template included."""
        ...

    def generate(self, prompt: Prompt, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Piece]:
        """Stream the continuation; the last piece has `finish` and the counts set.

        `cancelled` is polled between pieces; once true, generation stops and Cancelled is raised.
        The same prompt at temperature 0 gives the same text. Closing the iterator stops the generation.
        Raises InvalidQuestion when the prompt does not fit the context, EngineDied, ModelBusy,
        ModelTimeout, ModelRejected, ModelUnreachable, ModelUnavailable.
        """
        ...

    def score(
        self, prompt: Prompt, continuations: Sequence[str], *, cancelled: Callable[[], bool] | None = None
    ) -> list[Likelihood]:
        """How likely each continuation of the prompt is, in the order given; the prompt is evaluated once.

        Of the prompt's limits only the deadline counts. A continuation is not empty; its text is never a marker.
        Raises what `generate` raises, and Unscorable where the model's card says that it does not score.
        """
        ...

    def extract(
        self,
        prompt: Prompt,
        texts: Sequence[str],
        *,
        alternatives: Sequence[str] = (),
        worth: Sequence[Sequence[tuple[int, int, float]]] = (),
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Span]:
        """The likeliest answers to the prompt that are whole words of one text, or one alternative; best first.

        worth: for each text, stretches (start, end, nats): what an answer that begins there has beside its
        log-probability; an answer is worth 0 elsewhere, and as an alternative
        All texts are searched at once; of the prompt's limits `max_tokens` and the deadline count. Empty where no
        text has a word. Raises what `score` raises.
        """
        ...

    def statistics(self) -> EngineStatistics | None:
        """What the engine does and has done, told at once; None where it is not ours to see, as of a remote model."""
        ...

    def close(self) -> None:
        """Stop the model and release memory; a second call does nothing."""
        ...
