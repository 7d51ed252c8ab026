"""A real server over Qdrant Edge with the hashed embedder, as a process of its own: to be killed at any moment.

python -m tests.fakes.ingest_server DATA_DIRECTORY SECONDS_PER_TEXT
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from api.serving import serve
from rag.catalog import Catalog
from rag.pipeline import Pipeline
from rag.protocols import Vectors
from rag.settings import DataSettings, Settings, UploadsSettings
from tests.fakes.domains import DIMENSIONS, LIMITS, open_edge
from tests.fakes.embedder import HashedWords
from tests.fakes.language_model import FakeLanguageModel, sentence_of


class SlowWords(HashedWords):
    """Takes `pace` seconds a text, one call at a time, and remembers how many texts each call had."""

    def __init__(self, pace: float) -> None:
        super().__init__(dimensions=DIMENSIONS)
        self.pace = pace
        self.calls: list[int] = []
        self._one = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        with self._one:
            self.calls.append(len(texts))
            time.sleep(self.pace * len(texts))
            return super().embed(texts)


def settings_for(data: Path, **uploads: float) -> Settings:
    return Settings(data=DataSettings(directory=data), uploads=UploadsSettings.model_validate(uploads))


def pipeline_over(data: Path, embedder: HashedWords) -> Pipeline:
    return Pipeline(
        catalog=Catalog(data),
        embedder=embedder,
        model=FakeLanguageModel(answer=sentence_of),
        open_index=open_edge,
        limits=LIMITS,
    )


if __name__ == "__main__":
    folder, pace = Path(sys.argv[1]), float(sys.argv[2])
    serve(settings_for(folder), port=0, build=lambda _: pipeline_over(folder, SlowWords(pace)))
