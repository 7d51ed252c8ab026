"""A domain that the settings name, opened for writing. Knows no command and no corpus."""

from __future__ import annotations

from collections.abc import Mapping

from ingest import generations
from ingest.target import Target
from rag.build import copy_index, drop_index, open_catalog, open_index
from rag.catalog import Generation
from rag.protocols import Embedder
from rag.settings import Settings
from rag.types import FieldType


def open_target(
    settings: Settings,
    domain: str,
    embedder: Embedder,
    *,
    create: bool,
    fields: Mapping[str, FieldType] | None = None,
    title: str = "",
    language: str = "",
    gentle: bool = False,
    afresh: bool = False,
) -> Target:
    """The domain, whose only writer this is until it is closed. Raises what Target raises.

    gentle: for a process that answers from the same embedder meanwhile. afresh: to write everything again.
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
        copy_index=lambda old, new: copy_index(settings, old, new),
        drop_index=drop,
        tidy=tidy,
    )
