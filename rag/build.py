"""Settings to a running pipeline: the only file that names every class.

python -m rag.build prepare     make once what a first start would wait for: embedder export, weights format
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rag.answering import Limits
from rag.catalog import Catalog, Generation
from rag.documents import DocumentStore
from rag.errors import IncompatibleIndex, IndexUnavailable, MissingIndex, RagError
from rag.folder_copy import copy_shard
from rag.pipeline import Pipeline
from rag.protocols import Embedder, Index, LanguageModel, Reranker
from rag.settings import Settings, load
from rag.telemetry import silence_telemetry
from rag.types import Document, RetrievalMode

if TYPE_CHECKING:
    from rag.adapters.lora_files import Adapters, Card
    from rag.adapters.model_files import ModelEntry, ModelFile, Verification
    from rag.adapters.qdrant_index import QdrantIndex

CORES_A_TURN = 4
"""Cores for each answer that is worked on at the same time: two at once on two cores are slower than one by one. A
guess for machines with more than four, where nothing was measured."""


def open_catalog(settings: Settings) -> Catalog:
    """The domains under the data directory."""
    return Catalog(settings.data.directory)


def open_embedder(settings: Settings) -> Embedder:
    """The embedder that the settings name. Raises ModelUnavailable."""
    silence_telemetry()
    from rag.adapters.embedding import open_embedder as open_sentence_embedder

    return open_sentence_embedder(
        settings.embedder.model,
        backend=settings.embedder.backend,
        cache=settings.data.directory / "models",
        batch_tokens=settings.embedder.batch_tokens,
        threads=settings.embedder.threads,
        offline=settings.network.offline,
    )


def open_index(settings: Settings, generation: Generation, *, create: bool) -> Index:
    """The index of a generation, on the backend that the settings name; `create` makes it where it is not there."""
    manifest = generation.manifest
    _check_backend(settings, generation)
    _check_words(generation)
    if settings.index.backend == "edge":
        from rag.adapters.edge_index import EdgeIndex

        return EdgeIndex(generation.shard_path, dimensions=manifest.dimensions, fields=manifest.fields, create=create)
    return _server_index(settings, generation, create=create)


def words_fingerprint() -> str:
    """How words are weighed for BM25 here, for the manifest of a new generation."""
    from rag.adapters.sparse import fingerprint

    return fingerprint()


def copy_index(settings: Settings, old: Generation, new: Generation) -> None:
    """Copy the index of a generation into a new one, which nobody reads yet. Raises IncompatibleIndex."""
    _check_backend(settings, old)
    if settings.index.backend == "edge":
        copy_shard(old, new)
        return
    with (
        closing(_server_index(settings, old, create=False)) as source,
        closing(_server_index(settings, new, create=True)) as target,
    ):
        target.fill_from(source)


def drop_index(settings: Settings, generation: Generation) -> None:
    """Remove what a generation has outside its folder: on a server its collection, if it is there.

    Raises IndexUnavailable.
    """
    if generation.manifest.backend == "edge":
        return
    with suppress(MissingIndex), closing(_server_index(settings, generation, create=False)) as index:
        index.drop()


def _check_backend(settings: Settings, generation: Generation) -> None:
    manifest = generation.manifest
    if manifest.backend != settings.index.backend:
        raise IncompatibleIndex(
            f"domain {manifest.domain!r} lives on backend {manifest.backend!r}, the settings name "
            f"{settings.index.backend!r}: set UNDERSTUDY_INDEX__BACKEND={manifest.backend}, or "
            f"`understudy ingest migrate --domain {manifest.domain}` copies it to the other"
        )


def _check_words(generation: Generation) -> None:
    manifest = generation.manifest
    if manifest.words_fingerprint not in ("", words_fingerprint()):
        raise IncompatibleIndex(
            f"domain {manifest.domain!r} was built with other weights of words ({manifest.words_fingerprint}) than "
            f"this version's ({words_fingerprint()}): `understudy ingest rebuild --domain {manifest.domain}` makes "
            "them anew from its stored texts"
        )


def _server_index(settings: Settings, generation: Generation, *, create: bool) -> QdrantIndex:
    from rag.adapters.qdrant_index import QdrantIndex, connect, shown

    manifest = generation.manifest
    if not settings.index.url:
        raise IndexUnavailable(
            f"generation {manifest.generation} of domain {manifest.domain!r} is on a Qdrant server: name it by "
            "UNDERSTUDY_INDEX__URL, for example http://127.0.0.1:6333"
        )
    client = connect(
        settings.index.url,
        api_key=settings.index.api_key.get_secret_value(),
        grpc=settings.index.grpc,
        timeout_seconds=settings.index.timeout_seconds,
    )
    return QdrantIndex(
        client,
        domain=manifest.domain,
        generation=manifest.generation,
        identity=manifest.identity,
        alias=settings.index.alias,
        dimensions=manifest.dimensions,
        fields=manifest.fields,
        where=f"the Qdrant server at {shown(settings.index.url)}",
        shard_number=settings.index.shard_number,
        replication_factor=settings.index.replication_factor,
        create=create,
    )


def publish_index(settings: Settings, generation: Generation) -> None:
    """Let others find the index of the live generation: on a server by the domain's alias, if it is not there yet.

    Raises IndexUnavailable, and MissingIndex where it is gone.
    """
    _check_backend(settings, generation)
    if settings.index.backend == "server":
        with closing(_server_index(settings, generation, create=False)) as index:
            index.publish()


def check_index(settings: Settings, generation: Generation) -> None:
    """Raise IncompatibleIndex for a generation of another backend; on a server MissingIndex and IndexUnavailable."""
    _check_backend(settings, generation)
    reach_index(settings, generation)


def reach_index(settings: Settings, generation: Generation) -> None:
    """Raise IndexUnavailable where it is on a server that is not named or does not answer, MissingIndex if gone."""
    if generation.manifest.backend == "server":
        _server_index(settings, generation, create=False).close()


def open_documents(settings: Settings, domain: str) -> list[Document]:
    """Every stored document of a domain. Raises UnknownDomain."""
    with closing(_stored(open_catalog(settings).live(domain))) as store:
        return [found for summary in store.summaries() if (found := store.get(summary.id)) is not None]


def _stored(generation: Generation) -> DocumentStore:
    return DocumentStore(generation.documents_path, writable=False)


def open_reranker(settings: Settings) -> Reranker | None:
    """The cross-encoder that the settings name, or None. Raises ModelUnavailable."""
    if not settings.retrieval.reranker:
        return None
    silence_telemetry()
    from rag.adapters.cross_encoder import CrossEncoder

    return CrossEncoder(
        settings.retrieval.reranker,
        milliseconds=settings.retrieval.rerank_milliseconds,
        offline=settings.network.offline,
    )


def open_model(settings: Settings) -> LanguageModel:
    """The language model that the settings name. Raises ModelUnavailable."""
    if settings.model.provider == "openai":
        from rag.adapters.openai_model import OpenAIModel

        return OpenAIModel(
            base_url=settings.model.base_url,
            api_key=settings.model.api_key.get_secret_value(),
            model=settings.model.name,
            context_tokens=settings.model.context_tokens,
            timeout_seconds=settings.model.timeout_seconds,
            retries=settings.model.retries,
        )
    from rag.adapters.llama_model import LlamaModel
    from rag.adapters.lora_files import fingerprint
    from rag.engine.prepared import prepare

    file = model_file(settings)
    threads = settings.model.threads or len(os.sched_getaffinity(0))
    adapters = _adapters(settings, file)
    plain = "" in (adapters.default, *adapters.domains.values())
    files = prepare(
        file.path,
        file.sha256,
        settings.data.directory / "models" / "weights",
        wanted=settings.model.weights_format,
        own_words=settings.model.own_words_format,
        shipped_format=file.weights_format,
        threads=threads,
        adapters=adapters.files,
        plain=plain,
        tell=_tell,
    )
    parts = ("llama/3", file.sha256, *files.formats, file.template, version("llama-cpp-python"), *fingerprint(adapters))
    return LlamaModel(
        Path(files.weights.path),
        name=file.name,
        template=file.template,
        context_tokens=min(settings.model.context_tokens, file.context_tokens or settings.model.context_tokens),
        threads=threads,
        gpu_layers=settings.model.gpu_layers,
        max_waiting=settings.model.max_waiting,
        parallel=settings.model.parallel,
        memory_tokens=settings.model.memory_tokens,
        fingerprint=hashlib.sha256("\x1f".join(parts).encode()).hexdigest(),
        licence=file.licence,
        weights_format=files.weights.format,
        own_words_format=files.written.format,
        weights=file.sha256,
        adapters={sha256: lora for sha256, lora in adapters.files.items() if sha256 not in files.inside},
        merged=files.inside,
        own_words=files.own_words,
        plain=plain,
        adapter_of=adapters.of,
    )


def model_file(settings: Settings) -> ModelFile:
    """The verified GGUF that the settings name, and how it is spoken to. Raises ModelUnavailable, InvalidSettings."""
    from rag.adapters.model_files import resolve

    return resolve(settings.model.name, cache=settings.data.directory / "models", template=settings.model.template)


def shipped_adapter(settings: Settings) -> Path | None:
    """The adapter that comes with the product for the model that the settings name, or None."""
    from rag.adapters.lora_files import shipped

    return shipped(model_file(settings).sha256)


def _adapters(settings: Settings, file: ModelFile) -> Adapters:
    from rag.adapters.lora_files import resolve

    model, cache = settings.model, settings.data.directory / "models"
    return resolve(model.adapter, model.adapters, model=file.path, model_sha256=file.sha256, cache=cache)


def adapter_cards(settings: Settings) -> list[Card]:
    """The cards of the adapters in force, for those that must not ask what was learned from."""
    if settings.model.provider != "llama":
        return []
    from rag.adapters.lora_files import card_of

    adapters = _adapters(settings, model_file(settings))
    return [card for path in adapters.files.values() if (card := card_of(path)) is not None]


def list_models(settings: Settings) -> list[ModelEntry]:
    """Every language model that can be named, and what is known of its file here."""
    from rag.adapters.model_files import listing

    return listing(settings.data.directory / "models")


def pull_model(settings: Settings, name: str, progress: Callable[[int, int | None], None] | None = None) -> ModelFile:
    """Fetch a model of the hub; `progress` gets the bytes so far and in all. Raises ModelUnavailable, StorageFull."""
    silence_telemetry()
    from rag.adapters.model_files import pull

    cache = settings.data.directory / "models"
    return pull(name, cache=cache, offline=settings.network.offline, progress=progress)


def verify_models(settings: Settings) -> list[Verification]:
    """Hash every packaged and pulled model file anew."""
    from rag.adapters.model_files import verify

    return verify(settings.data.directory / "models")


def build_pipeline(settings: Settings) -> Pipeline:
    """Everything, wired. The model loads in its own process while the embedder loads here."""
    model = open_model(settings)
    try:
        embedder = open_embedder(settings)
        reranker = open_reranker(settings)
    except BaseException:
        model.close()
        raise
    return Pipeline(
        catalog=open_catalog(settings),
        embedder=embedder,
        model=model,
        open_index=lambda generation: open_index(settings, generation, create=False),
        reranker=reranker,
        remembered_texts=settings.embedder.remembered_texts,
        turns=max(1, len(os.sched_getaffinity(0)) // CORES_A_TURN),
        limits=Limits(
            passages=settings.retrieval.passages,
            mode=RetrievalMode(settings.retrieval.mode),
            scope=settings.retrieval.scope,
            rerank_candidates=settings.retrieval.rerank_candidates,
            context_tokens=settings.answer.context_tokens,
            max_tokens=settings.answer.max_tokens,
            temperature=settings.answer.temperature,
            seed=settings.answer.seed,
            decoding=settings.answer.decoding,
            min_support=settings.answer.min_support,
            min_coverage=settings.answer.min_coverage,
            sentences=settings.answer.sentences,
            sentence_spread=settings.answer.sentence_spread,
            min_relevance=settings.answer.min_relevance,
            min_confidence=settings.answer.min_confidence,
            likelihood_weight=settings.answer.likelihood_weight,
            max_question_chars=settings.answer.max_question_chars,
            timeout_seconds=settings.model.timeout_seconds,
        ),
    )


def _tell(line: str) -> None:
    print(f"understudy: {line}", file=sys.stderr, flush=True)


def prepare(settings: Settings) -> None:
    """Make once what a first start would wait for, saying so line by line."""
    begin = time.monotonic()
    embedder = open_embedder(settings)
    embedder.close()
    print(f"embedder {embedder.name}: {embedder.dimensions} dimensions, ready ({time.monotonic() - begin:.1f} s)")
    begin = time.monotonic()
    model = open_model(settings)
    card = model.card
    model.close()
    print(
        f"model {card.name}: weights {card.formats}, {card.context_tokens} tokens of context, on {card.device} "
        f"({time.monotonic() - begin:.1f} s)"
    )


def main(arguments: list[str]) -> int:
    """`prepare`; exit status 2 with one sentence when something is missing."""
    if arguments != ["prepare"]:
        print("usage: python -m rag.build prepare", file=sys.stderr)
        return 2
    try:
        prepare(load())
    except RagError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
