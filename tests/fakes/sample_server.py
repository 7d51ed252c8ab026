"""`understudy serve` as a process of its own, over sample corpora, with the default models: nothing in it is a fake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import Target
from rag.build import open_catalog, open_embedder, open_index
from rag.catalog import Generation
from rag.protocols import Index
from rag.settings import Settings
from tests.fakes.server import wait_until_ready

ROOT = Path(__file__).parents[2]


def store(settings: Settings, *names: str) -> None:
    """Bring corpora of `corpora/` into domains of the same names."""

    def made(generation: Generation, create: bool) -> Index:
        return open_index(settings, generation, create=create)

    catalog, embedder = open_catalog(settings), open_embedder(settings)
    for name in names:
        corpus = open_corpus(ROOT / "corpora" / name)
        target = Target(
            name,
            catalog=catalog,
            embedder=embedder,
            open_index=made,
            backend="edge",
            create=True,
            title=corpus.declaration.corpus.title,
        )
        apply(corpus, target)
        target.close()
    embedder.close()


@contextmanager
def serving(data: Path, **variables: str) -> Iterator[str]:
    """The URL of a server over a data directory, once it takes questions; stopped in order at the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "api", "serve", "--port", "0"],
        env=os.environ | variables | {"UNDERSTUDY_DATA__DIRECTORY": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert child.stdout is not None
    with child.stdout as said:
        try:
            match = re.search(r"http://\S+", said.readline())
            assert match is not None, "the server did not start"
            wait_until_ready(match.group())
            yield match.group()
        finally:
            child.terminate()
            child.wait(60)
