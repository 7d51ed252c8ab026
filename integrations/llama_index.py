"""LlamaIndex: a retriever and a query engine, over a pipeline here or a service elsewhere, that drop into its code.

    from integrations.llama_index import UnderstudyQueryEngine, UnderstudyRetriever

Nodes keep the exact offsets of the stored text. A stream yields checked text only, since LlamaIndex cannot take a
word back: the sources come at once, the text when it is checked, the citations with it in `metadata`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from integrations.remote import HERE, Answering, RemotePipeline
from rag.types import (
    Answer,
    DoneEvent,
    Event,
    Filter,
    Passage,
    Question,
    RetrievalEvent,
    RetrievalMode,
    point_id,
    sha256_text,
)

NOT_FOR_MODELS = ["document_id", "text_sha256"]
"""Metadata that tells a program where the words stand and a model nothing."""


class UnderstudyRetriever(BaseRetriever):  # type: ignore[misc]  # LlamaIndex is not typed here
    """The passages of one domain for a query, best first."""

    def __init__(
        self,
        domain: str,
        *,
        pipeline: Answering | None = None,
        base_url: str = HERE,
        api_key: str = "",
        similarity_top_k: int | None = None,
        mode: RetrievalMode | None = None,
        filter: Filter | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """`pipeline`: an open one of this process; without it the service at `base_url` is asked."""
        self._domain = domain
        self._pipeline = pipeline or RemotePipeline(base_url, api_key=api_key)
        self._similarity_top_k = similarity_top_k
        self._mode = mode
        self._filter = filter or Filter()
        super().__init__(callback_manager=callback_manager)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = Question(
            text=query_bundle.query_str,
            domain=self._domain,
            filter=self._filter,
            max_passages=self._similarity_top_k,
        )
        return nodes(self._domain, self._pipeline.passages(question, mode=self._mode))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


class UnderstudyQueryEngine(BaseQueryEngine):  # type: ignore[misc]  # LlamaIndex is not typed here
    """The checked answer of one domain to a query, its passages as source nodes, its citations in `metadata`."""

    def __init__(
        self,
        domain: str,
        *,
        pipeline: Answering | None = None,
        base_url: str = HERE,
        api_key: str = "",
        streaming: bool = False,
        similarity_top_k: int | None = None,
        filter: Filter | None = None,
        options: Sequence[str] = (),
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """`pipeline`: an open one of this process; without it the service at `base_url` is asked."""
        self._domain = domain
        self._pipeline = pipeline or RemotePipeline(base_url, api_key=api_key)
        self._streaming = streaming
        self._similarity_top_k = similarity_top_k
        self._filter = filter or Filter()
        self._options = tuple(options)
        super().__init__(callback_manager=callback_manager)

    def _get_prompt_modules(self) -> dict[str, Any]:
        return {}

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """The passages alone."""
        return nodes(self._domain, self._pipeline.passages(self._question(query_bundle)))

    def _query(self, query_bundle: QueryBundle) -> Response | StreamingResponse:
        run = self._begun(query_bundle)
        if self._streaming:
            return StreamingResponse(response_gen=run.text(), source_nodes=run.sources, metadata=run.metadata)
        return Response("".join(run.text()), source_nodes=run.sources, metadata=run.metadata)

    async def _aquery(self, query_bundle: QueryBundle) -> Response | AsyncStreamingResponse:
        run = await asyncio.to_thread(self._begun, query_bundle)
        if self._streaming:
            return AsyncStreamingResponse(
                response_gen=run.text_async(), source_nodes=run.sources, metadata=run.metadata
            )
        text = "".join([piece async for piece in run.text_async()])
        return Response(text, source_nodes=run.sources, metadata=run.metadata)

    def _begun(self, query_bundle: QueryBundle) -> _Run:
        return _Run(self._domain, self._pipeline, self._question(query_bundle))

    def _question(self, query_bundle: QueryBundle) -> Question:
        return Question(
            text=query_bundle.query_str,
            domain=self._domain,
            filter=self._filter,
            max_passages=self._similarity_top_k,
            options=self._options,
        )


class _Run:
    """One answer on its way: begun once its sources are known, so that a refusal is raised by the query itself."""

    def __init__(self, domain: str, pipeline: Answering, question: Question) -> None:
        self._left = threading.Event()
        self._events: Iterator[Event] = pipeline.stream(question, cancelled=self._left.is_set)
        first = next(self._events)
        self.sources = nodes(domain, first.passages if isinstance(first, RetrievalEvent) else ())
        self.metadata: dict[str, Any] = {}
        """Empty until the answer is whole."""

    def text(self) -> Generator[str, None, None]:
        """The checked text; who closes this cancels the answer."""
        events = self._events
        try:
            for event in events:
                if isinstance(event, DoneEvent):
                    self.metadata.update(told(event.answer))
                    yield event.answer.text
        finally:
            self._left.set()
            if isinstance(events, Generator):
                events.close()

    async def text_async(self) -> AsyncGenerator[str, None]:
        """The same, waited for in a thread."""
        pieces = self.text()
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece
        except asyncio.CancelledError:
            self._left.set()  # the thread is still inside, and ends with the next event
            raise
        except GeneratorExit:
            pieces.close()
            raise


def nodes(domain: str, passages: Sequence[Passage]) -> list[NodeWithScore]:
    """Passages as LlamaIndex has them; a node's id is the passage's own in the index, the same in every query."""
    return [NodeWithScore(node=_node(domain, passage), score=passage.score) for passage in passages]


def told(answer: Answer) -> dict[str, Any]:
    """What an answer says beside its text."""
    return answer.model_dump(mode="json", exclude={"text", "passages", "trace"})


def _node(domain: str, passage: Passage) -> TextNode:
    own = {
        "title": passage.title,
        "heading": passage.heading,
        "document_id": passage.document_id,
        "text_sha256": passage.text_sha256,
    }
    return TextNode(
        id_=point_id(domain, passage.document_id, passage.start, passage.end, sha256_text(passage.text)),
        text=passage.text,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        metadata={**passage.metadata, **own},
        excluded_llm_metadata_keys=NOT_FOR_MODELS,
        excluded_embed_metadata_keys=NOT_FOR_MODELS,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=passage.document_id)},
    )
