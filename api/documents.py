"""GET /v1/domains/{domain}/documents and …/{id}: what is stored, and the texts that citations refer to."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from pydantic import Field

from api import wire
from api.service import Service
from rag.errors import UnknownDocument
from rag.types import MetadataValue, Value

MOST = 200
"""Documents of one page; a summary is some 300 bytes."""


class ListedDocument(Value):
    """A stored document without its text."""

    id: str
    title: str
    characters: int = Field(ge=0, description="length of the stored text, in code points")
    chunks: int = Field(ge=0, description="pieces that are searched")
    text_sha256: str
    same_as: str = Field("", description="the first document that says the same in nearly the same words, or empty")
    metadata: dict[str, MetadataValue]


class DocumentPage(Value):
    """Some documents of a domain, by id."""

    documents: tuple[ListedDocument, ...]
    next: str | None = Field(description="what to send as `after` for those that follow; null: these were the last")


class StoredDocument(Value):
    """A stored document with the whole text that the offsets of its citations refer to."""

    id: str
    title: str
    text: str = Field(description="offsets count its code points, end exclusive")
    text_sha256: str = Field(description="equal to a citation's as long as the document has not changed since")
    metadata: dict[str, MetadataValue]


class DocumentsController(Controller):
    """Stored documents, to be read."""

    path = "/v1/domains/{domain:str}/documents"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once

    @get("/")
    async def documents(
        self,
        domain: FromPath[str],
        service: NamedDependency[Service],
        limit: Annotated[int, QueryParameter(ge=1, le=MOST)] = 50,
        after: Annotated[str, QueryParameter(max_length=4096)] = "",
    ) -> Response[bytes]:
        """A page of summaries, by id."""
        found = await service.look_up(
            lambda pipeline: pipeline.documents(domain, after=after, limit=limit + 1), domain=domain
        )
        listed = tuple(
            ListedDocument(
                id=each.id,
                title=each.title,
                characters=each.characters,
                chunks=each.chunks,
                text_sha256=each.text_sha256,
                same_as=each.same_as,
                metadata=each.metadata,
            )
            for each in found[:limit]
        )
        page = DocumentPage(documents=listed, next=listed[-1].id if len(found) > limit else None)
        return Response(wire.to_json(page), media_type="application/json")

    @get("/{id:path}")
    async def document(
        self, domain: FromPath[str], service: NamedDependency[Service], request: Request[Any, Any, Any]
    ) -> Response[bytes]:
        """One document with its whole text."""
        wanted = document_id(request)
        found = await service.look_up(lambda pipeline: pipeline.document(domain, wanted), domain=domain)
        if found is None:
            raise UnknownDocument(
                f"the domain {domain!r} holds no document {wanted!r}; GET /v1/domains/{domain}/documents lists them"
            )
        document = StoredDocument(
            id=found.id, title=found.title, text=found.text, text_sha256=found.text_sha256, metadata=found.metadata
        )
        return Response(wire.to_json(document), media_type="application/json")


def document_id(request: Request[Any, Any, Any]) -> str:
    """The id at the end of the path, as it was sent: Litestar's own would lose double and closing slashes."""
    raw: bytes = request.scope["raw_path"]
    return unquote(raw.partition(b"?")[0].decode("latin-1").split("/", 5)[-1])
