"""An embedder and a language model that remember on disk what they were asked, so that a trial asks them only anew.

Keys hold the fingerprints of weights and adapter and the whole of what was asked: another model, prompt or text is
another key. Knows no question and no suite.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.protocols import Embedder, LanguageModel, Tokenized, Vectors
from rag.types import EngineStatistics, Likelihood, Message, ModelCard, Piece, Prompt, Span

Cancelled = Callable[[], bool] | None


class Memory:
    """Bytes by key, in one file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = off")
        self._db.execute("create table if not exists known (key blob primary key, value blob) without rowid")

    def get(self, key: bytes) -> bytes | None:
        """What was put under a key, or None."""
        with self._lock:
            row = self._db.execute("select value from known where key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value."""
        with self._lock:
            self._db.execute("insert or replace into known values (?, ?)", (key, value))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class RememberedEmbedder:
    """An embedder that embeds each text once."""

    def __init__(self, embedder: Embedder, memory: Memory) -> None:
        self._embedder, self._memory = embedder, memory
        self.dimensions, self.name = embedder.dimensions, embedder.name
        self.weights_sha256, self.fingerprint = embedder.weights_sha256, embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows."""
        keys = [_key(self.fingerprint, "embed", text) for text in texts]
        known = [self._memory.get(key) for key in keys]
        new = [i for i, value in enumerate(known) if value is None]
        if new:
            for i, vector in zip(new, self._embedder.embed([texts[i] for i in new]), strict=True):
                known[i] = vector.tobytes()
                self._memory.put(keys[i], known[i] or b"")
        rows = [np.frombuffer(value or b"", np.float32) for value in known]
        return np.stack(rows) if rows else np.empty((0, self.dimensions), np.float32)

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """Not here: most are remembered."""
        return [Tokenized(text, len(text)) for text in texts]

    def embed_parts(self, texts: Sequence[Tokenized]) -> Iterator[tuple[Sequence[int], Vectors]]:
        """By `embed`."""
        yield range(len(texts)), self.embed([item.text for item in texts])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """By the embedder."""
        return self._embedder.count_tokens(texts)

    def close(self) -> None:
        """Close the embedder."""
        self._embedder.close()


class RememberedModel:
    """A language model that answers each prompt once; temperature 0 is taken for granted."""

    def __init__(self, model: LanguageModel, memory: Memory) -> None:
        self._model, self._memory = model, memory
        self._card: ModelCard | None = None

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        self._card = self._card or self._model.card
        return self._card

    def adapter(self, domain: str) -> str:
        """Of the model."""
        return self._model.adapter(domain)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """By the model."""
        counts: list[int] = self._known("count", list(texts), lambda: self._model.count_tokens(texts))
        return counts

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        """By the model."""
        shown = [[message.role, message.content] for message in messages]
        count: int = self._known("prompt", shown, lambda: self._model.prompt_tokens(messages))
        return count

    def generate(self, prompt: Prompt, *, cancelled: Cancelled = None) -> Iterator[Piece]:
        """The pieces, one after the other."""
        made = self._known(
            "generate",
            self._asked(prompt),
            lambda: [piece.model_dump() for piece in self._model.generate(prompt, cancelled=cancelled)],
        )
        yield from map(Piece.model_validate, made)

    def score(self, prompt: Prompt, continuations: Sequence[str], *, cancelled: Cancelled = None) -> list[Likelihood]:
        """By the model."""
        made = self._known(
            "score",
            [self._asked(prompt), list(continuations)],
            lambda: [told.model_dump() for told in self._model.score(prompt, continuations, cancelled=cancelled)],
        )
        return [Likelihood.model_validate(told) for told in made]

    def extract(
        self,
        prompt: Prompt,
        texts: Sequence[str],
        *,
        alternatives: Sequence[str] = (),
        worth: Sequence[Sequence[tuple[int, int, float]]] = (),
        cancelled: Cancelled = None,
    ) -> list[Span]:
        """By the model."""
        made = self._known(
            "extract",
            [self._asked(prompt), list(texts), list(alternatives), [list(stretches) for stretches in worth]],
            lambda: [
                span.model_dump()
                for span in self._model.extract(
                    prompt, texts, alternatives=alternatives, worth=worth, cancelled=cancelled
                )
            ],
        )
        return [Span.model_validate(span) for span in made]

    def statistics(self) -> EngineStatistics | None:
        """Of the model."""
        return self._model.statistics()

    def close(self) -> None:
        """Close the model."""
        self._model.close()

    def _asked(self, prompt: Prompt) -> list[Any]:
        """What of a prompt decides the words, the adapter in force for its domain among it."""
        known = prompt.model_dump(mode="json", exclude={"domain", "timeout_seconds"})
        return [known, self.adapter(prompt.domain)]

    def _known(self, what: str, asked: Any, ask: Callable[[], Any]) -> Any:
        card = self.card
        used = card.own_words_format if what == "generate" and card.own_words_format else card.weights_format
        key = _key(card.weights, used, what, json.dumps(asked, ensure_ascii=False))
        value = self._memory.get(key)
        if value is not None:
            return json.loads(value)
        made = ask()
        self._memory.put(key, json.dumps(made).encode())
        return made


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
