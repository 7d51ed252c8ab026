"""A cross-encoder that reads question and passage together: sentence-transformers, on the CPU or a GPU.

Best passages first, until the time is up: those that were not reached keep their order after those that were. Knows no
index. Method: Nogueira & Cho 2019, "Passage Re-ranking with BERT".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag.errors import ModelUnavailable

BATCH = 8
"""Pairs read at once, between two looks at the clock."""


class CrossEncoder:
    """Scores how well texts answer a question. Thread-safe: one caller at a time."""

    def __init__(self, model: str, *, milliseconds: float, offline: bool) -> None:
        """model: a folder, or a repository of the hub. Raises ModelUnavailable."""
        from sentence_transformers import CrossEncoder as Model

        self._milliseconds, self._lock = milliseconds, threading.Lock()
        try:
            self._model: Any = Model(model, local_files_only=offline or Path(model).is_dir())
        except (OSError, ValueError) as error:
            raise ModelUnavailable(
                f"the reranker {model!r} cannot be loaded ({type(error).__name__}): UNDERSTUDY_RETRIEVAL__RERANKER "
                "names a folder or a repository with a cross-encoder, empty does without"
            ) from error

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """A score for each of the first texts, in their order, as many as the time allows; at least one batch."""
        found: list[float] = []
        with self._lock:
            end = time.monotonic() + self._milliseconds / 1000
            for start in range(0, len(texts), BATCH):
                if found and time.monotonic() >= end:
                    break
                pairs = [(question, text) for text in texts[start : start + BATCH]]
                found += [float(score) for score in self._model.predict(pairs, show_progress_bar=False)]
        return found
