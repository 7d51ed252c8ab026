"""GET /v1/models and POST /v1/embeddings: the domains as models, and the embedder, for OpenAI's clients."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import numpy as np
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody

from api import streams, wire
from api.openai_problems import NotOffered, UnknownModel, respond_as_openai
from api.openai_replies import Model, ModelList, embeddings
from api.openai_requests import PREFIX, EmbeddingsRequest
from api.service import Answering, Service
from rag.errors import Cancelled, UnknownDomain
from rag.protocols import Vectors

AT_ONCE = 32
"""Texts of one turn at the embedder: a question that waits for it waits 0.3 s at most (125 passages/s measured)."""


class ModelsController(Controller):
    """The domains, each as a model."""

    path = "/v1/models"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once
    exception_handlers = {HTTPException: respond_as_openai, Exception: respond_as_openai}  # noqa: RUF012  # as above

    @get("/")
    async def models(self, service: NamedDependency[Service]) -> Response[bytes]:
        """Every domain, by name."""
        found = await service.look_up(lambda pipeline: pipeline.domains())
        listed = ModelList(data=tuple(Model(id=info.name, understudy=info) for info in found))
        return Response(wire.to_json(listed), media_type="application/json")

    @get("/{model:path}")
    async def model(self, model: FromPath[str], service: NamedDependency[Service]) -> Response[bytes]:
        """One of them."""
        name = model.removeprefix("/").removeprefix(PREFIX)
        found = await service.look_up(lambda pipeline: pipeline.domains(among=[name]), domain=name)
        if not found:
            raise UnknownDomain.named(name)
        return Response(wire.to_json(Model(id=name, understudy=found[0])), media_type="application/json")


class EmbeddingsController(Controller):
    """Texts to vectors, by the embedder that the domains are searched with."""

    path = "/v1/embeddings"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once
    exception_handlers = {HTTPException: respond_as_openai, Exception: respond_as_openai}  # noqa: RUF012  # as above

    @post("/", status_code=200)
    async def embed(
        self, data: JSONBody[EmbeddingsRequest], service: NamedDependency[Service], request: Request[Any, Any, Any]
    ) -> Response[bytes]:
        """The vectors, in the order of the texts."""
        texts = data.texts()
        left = False

        def leave() -> None:
            nonlocal left
            left = True

        async def work() -> Response[bytes]:
            parts: list[Vectors] = []
            tokens = 0
            for start in range(0, len(texts), AT_ONCE):
                if left:
                    raise Cancelled("the caller went away")
                part = partial(_embed, data, texts[start : start + AT_ONCE])
                vectors, count = await service.look_up(part, embeds=True)
                parts.append(vectors)
                tokens += count
            # 2,048 vectors take 0.3 s to write: not on the loop that everybody waits for.
            body = await asyncio.to_thread(_written, data, np.concatenate(parts), tokens)
            return Response(body, media_type="application/json")

        answered: Response[bytes] = await streams.unless_gone(work(), request.receive, leave)
        return answered


def _written(data: EmbeddingsRequest, vectors: Vectors, tokens: int) -> bytes:
    encoded = data.encoding_format == "base64"
    return wire.to_json(embeddings(vectors, tokens=tokens, model=data.model, encoded=encoded))


def _embed(data: EmbeddingsRequest, texts: tuple[str, ...], pipeline: Answering) -> tuple[Vectors, int]:
    """The vectors of some texts and the tokens read. Raises UnknownModel, NotOffered."""
    name = pipeline.embedder_name
    if data.model.removeprefix(PREFIX) != name:
        raise UnknownModel(f"no embedder {data.model[:80]!r} is here; texts are embedded by {name!r}")
    if data.dimensions is not None:
        dimensions = pipeline.embed(())[0].shape[1]
        if data.dimensions != dimensions:
            raise NotOffered(f"vectors of {name} have {dimensions} dimensions", param="dimensions")
    return pipeline.embed(texts)
