"""A domain that the settings name, opened for writing. Knows no command and no corpus."""

from __future__ import annotations

from collections.abc import Mapping

from ingest import generations
from ingest.target import Target
from rag.build import copy_index, drop_index, open_catalog, open_index, publish_index, words_fingerprint
from rag.catalog import Generation, Manifest
from rag.errors import InvalidSettings
from rag.protocols import Embedder
from rag.settings import Settings
from rag.types import FieldType


def on_backend(settings: Settings, backend: str) -> Settings:
    """The settings with this backend, 'edge' or 'server'. Raises InvalidSettings where no server is named."""
    if backend == "server" and not settings.index.url:
        raise InvalidSettings("no Qdrant server is named: set UNDERSTUDY_INDEX__URL, for example http://127.0.0.1:6333")
    return settings.model_copy(update={"index": settings.index.model_copy(update={"backend": backend})})


def open_target(
    settings: Settings,
    domain: str,
    embedder: Embedder | None,
    *,
    create: bool,
    fields: Mapping[str, FieldType] | None = None,
    title: str = "",
    language: str = "",
    gentle: bool = False,
    afresh: bool = False,
    like: Manifest | None = None,
) -> Target:
    """The domain, whose only writer this is until it is closed. Raises what Target raises.

    gentle: for a process that answers from the same embedder meanwhile. afresh: to write everything again. like: to
    take over chunks with their vectors, embedded as this manifest says; no embedder is needed then.
    """
    catalog = open_catalog(settings)

    def drop(generation: Generation) -> None:
        drop_index(settings, generation)

    def tidy(name: str) -> None:
        data = settings.data
        now = generations.utc_now()
        generations.tidy(catalog, name, days=data.retention_days, keep=data.generations, drop_index=drop, now=now)

    return Target(
        domain,
        catalog=catalog,
        embedder=embedder,
        open_index=lambda generation, make: open_index(settings, generation, create=make),
        backend=settings.index.backend,
        create=create,
        fields=fields,
        title=title,
        language=language,
        gentle=gentle,
        afresh=afresh,
        like=like,
        copy_index=lambda old, new: copy_index(settings, old, new),
        drop_index=drop,
        publish=lambda generation: publish_index(settings, generation),
        tidy=tidy,
        words_fingerprint=words_fingerprint(),
    )
