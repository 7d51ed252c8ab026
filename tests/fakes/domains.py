"""Small real domains: files ingested into Qdrant Edge with the hashed embedder, and a pipeline over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import Target
from rag.adapters.edge_index import EdgeIndex
from rag.answering import Limits
from rag.catalog import Catalog, Generation
from rag.pipeline import Pipeline
from rag.protocols import Embedder, Index
from rag.types import Prompt, RetrievalMode
from tests.fakes.embedder import HashedWords
from tests.fakes.language_model import FakeLanguageModel, sentence_of

LIMITS = Limits(
    passages=8,
    mode=RetrievalMode.HYBRID,
    scope=True,
    rerank_candidates=20,
    context_tokens=200,
    max_tokens=32,
    temperature=0.0,
    seed=0,
    decoding="auto",
    min_support=0.6,
    min_coverage=0.4,
    sentences=6,
    sentence_spread=0.2,
    min_relevance=0.5,
    min_confidence=0.0,
    likelihood_weight=0.02,
    max_question_chars=4000,
    timeout_seconds=30,
)
DIMENSIONS = 256


def open_edge(generation: Generation, create: bool = False) -> Index:
    manifest = generation.manifest
    return EdgeIndex(generation.shard_path, dimensions=manifest.dimensions, fields=manifest.fields, create=create)


@contextmanager
def opened(data: Path, embedder: Embedder | None = None, *, afresh: bool = False) -> Iterator[Target]:
    """The domain `plant`, open for changes; `afresh`: to be built anew."""
    target = Target(
        "plant",
        catalog=Catalog(data),
        embedder=embedder or HashedWords(dimensions=DIMENSIONS),
        open_index=open_edge,
        backend="edge",
        create=True,
        afresh=afresh,
    )
    with closing(target):
        yield target


def ingest(data: Path, source: Path, embedder: Embedder, domain: str = "plant") -> None:
    corpus = open_corpus(source)
    target = Target(
        domain,
        catalog=Catalog(data),
        embedder=embedder,
        open_index=open_edge,
        backend="edge",
        create=True,
        fields=corpus.declaration.filterable,
    )
    apply(corpus, target)
    target.close()


def open_pipeline(data: Path, answer: Callable[[Prompt], str] = sentence_of, **limits: object) -> Pipeline:
    """Over everything that was ingested into `data`; the caller closes it."""
    return Pipeline(
        catalog=Catalog(data),
        embedder=HashedWords(dimensions=DIMENSIONS),
        model=FakeLanguageModel(answer=answer),
        open_index=open_edge,
        limits=replace(LIMITS, **limits),  # type: ignore[arg-type]  # fields by name
    )


@contextmanager
def pipeline_over(
    folder: Path, documents: Mapping[str, str], answer: Callable[[Prompt], str] = sentence_of, **limits: object
) -> Iterator[Pipeline]:
    """A pipeline over a domain `plant` of some files."""
    source = folder / "source"
    source.mkdir()
    for name, text in documents.items():
        (source / name).write_text(text, "utf-8")
    ingest(folder / "data", source, HashedWords(dimensions=DIMENSIONS))
    pipeline = open_pipeline(folder / "data", answer, **limits)
    yield pipeline
    pipeline.close()
