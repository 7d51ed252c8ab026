"""LlamaIndex's own code over our retriever and query engine: in this process and over HTTP, the same results."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import get_response_synthesizer
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.tools import QueryEngineTool

from integrations.llama_index import UnderstudyQueryEngine, UnderstudyRetriever
from integrations.remote import Answering, Refused, RemotePipeline, Unreachable
from rag.errors import EngineDied, RagError, UnknownDomain
from rag.types import Question, RetrievalMode, point_id, sha256_text
from tests.fakes.pipeline import QUOTE, TEXT, FakePipeline
from tests.fakes.server import served
from tests.integration.test_api_server import ready, until

ASK = "How often is the pump greased?"


@pytest.fixture
def fake() -> FakePipeline:
    return FakePipeline()


@pytest.fixture(params=["here", "over HTTP"])
def where(request: pytest.FixtureRequest, fake: FakePipeline) -> Iterator[dict[str, Any]]:
    """What a user passes for a pipeline of the process, and for a service."""
    if request.param == "here":
        yield {"pipeline": fake}
        return
    with served(lambda _: fake) as url:
        assert until(lambda: ready(url))
        yield {"base_url": url, "api_key": "none"}


def test_nodes_keep_the_exact_words_and_where_they_stand(where: dict[str, Any]) -> None:
    (found,) = UnderstudyRetriever("plant", **where).retrieve(ASK)
    assert isinstance(found, NodeWithScore)
    node = found.node
    assert (node.get_content(), found.score) == (TEXT, 1.0)
    assert (node.start_char_idx, node.end_char_idx) == (0, len(TEXT))
    assert (node.metadata["document_id"], node.metadata["heading"]) == ("pumps.md", "Line 4")
    assert node.ref_doc_id == "pumps.md"
    assert node.node_id == point_id("plant", "pumps.md", 0, len(TEXT), sha256_text(TEXT))
    assert "text_sha256" not in node.get_content(metadata_mode=MetadataMode.LLM)


def test_the_retriever_drops_into_a_retriever_query_engine(where: dict[str, Any]) -> None:
    engine = RetrieverQueryEngine.from_args(
        UnderstudyRetriever("plant", similarity_top_k=3, **where),
        llm=MockLLM(),
        node_postprocessors=[SimilarityPostprocessor(similarity_cutoff=0.5)],
    )
    response = engine.query(ASK)
    # the mock repeats its prompt: our passage stands in it
    assert TEXT in str(response)
    assert [source.node.metadata["document_id"] for source in response.source_nodes] == ["pumps.md"]
    assert TEXT in str(asyncio.run(engine.aquery(ASK)))


def test_the_retriever_drops_into_a_response_synthesizer_and_a_fusion(where: dict[str, Any]) -> None:
    fusion = QueryFusionRetriever(
        [UnderstudyRetriever("plant", **where), UnderstudyRetriever("plant", mode=RetrievalMode.BM25, **where)],
        llm=MockLLM(),
        num_queries=1,
        use_async=False,
    )
    found = fusion.retrieve(ASK)
    assert len(found) == 1  # one passage, one id
    synthesizer = get_response_synthesizer(llm=MockLLM(), streaming=True)
    assert TEXT in str(synthesizer.synthesize(ASK, nodes=found))


def test_a_query_gives_the_checked_answer_with_its_citations(where: dict[str, Any]) -> None:
    engine = UnderstudyQueryEngine("plant", **where)
    for response in (engine.query(ASK), asyncio.run(engine.aquery(QueryBundle(ASK)))):
        assert isinstance(response, Response)
        assert str(response) == "Every 200 hours"
        assert [source.node.get_content() for source in response.source_nodes] == [TEXT]
        assert response.metadata is not None
        (citation,) = response.metadata["citations"]
        assert TEXT[citation["char_start"] : citation["char_end"]] == citation["quote"] == QUOTE
        assert (response.metadata["abstained"], response.metadata["confidence"]) == (False, None)
        assert TEXT[:20] in response.get_formatted_sources()
    assert engine.retrieve(QueryBundle(ASK))[0].node.get_content() == TEXT


def test_an_abstention_says_so(where: dict[str, Any]) -> None:
    response = UnderstudyQueryEngine("plant", **where).query("nothing")
    assert str(response) == "The documents do not answer this question."
    assert response.metadata is not None
    assert response.metadata["abstained"] is True
    assert response.metadata["reason"]


def test_a_stream_has_its_sources_at_once_and_its_text_when_it_is_checked(
    where: dict[str, Any], fake: FakePipeline
) -> None:
    response = UnderstudyQueryEngine("plant", streaming=True, **where).query("slow")
    assert isinstance(response, StreamingResponse)
    assert len(response.source_nodes) == 1
    assert (response.metadata, fake.finished) == ({}, [])
    fake.pace = 0
    assert list(response.response_gen) == ["Every 200 hours"]
    assert response.metadata is not None
    assert response.metadata["citations"][0]["quote"] == QUOTE


def test_an_async_stream_leaves_the_loop_free(where: dict[str, Any], fake: FakePipeline) -> None:
    fake.tokens = 20

    async def read() -> tuple[str, int]:
        response = await UnderstudyQueryEngine("plant", streaming=True, **where).aquery("slow")
        assert isinstance(response, AsyncStreamingResponse)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        beside = asyncio.create_task(count())
        text = "".join([piece async for piece in response.async_response_gen()])
        beside.cancel()
        return text, turns

    text, turns = asyncio.run(read())
    assert text == "Every 200 hours"
    assert turns > 5


def test_who_closes_a_stream_cancels_the_answer(where: dict[str, Any], fake: FakePipeline) -> None:
    fake.tokens = 10_000
    engine = UnderstudyQueryEngine("plant", streaming=True, **where)

    async def leave() -> None:
        response = await engine.aquery("slow")
        reading = asyncio.create_task(anext(response.response_gen))
        await asyncio.sleep(0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(leave())
    assert fake.cancelled.wait(2.0)


def test_the_engine_is_a_tool_for_an_agent(where: dict[str, Any]) -> None:
    tool = QueryEngineTool.from_defaults(UnderstudyQueryEngine("plant", **where), name="plant", description="manuals")
    output = tool.call(input=ASK)
    assert (output.content, output.is_error) == ("Every 200 hours", False)


@pytest.mark.parametrize(
    ("domain", "question", "here", "status"),
    [("nowhere", ASK, UnknownDomain, 404), ("plant", "early", EngineDied, 503), ("plant", "late", EngineDied, 503)],
)
def test_what_is_refused_is_raised_with_its_reason(
    where: dict[str, Any], domain: str, question: str, here: type[RagError], status: int
) -> None:
    with pytest.raises((here, Refused)) as refused:
        UnderstudyQueryEngine(domain, **where).query(question)
    if isinstance(refused.value, Refused):
        assert (refused.value.status, refused.value.problem) == (status, here.code)
    assert "no domain" in str(refused.value) or "ask again" in str(refused.value)


def test_a_service_that_is_not_there_or_is_none_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="understudy serve"):
        UnderstudyRetriever("plant", base_url=f"http://127.0.0.1:{port}").retrieve(ASK)
    with pytest.raises(Unreachable, match="understudy serve"):
        UnderstudyQueryEngine("plant", base_url=f"http://127.0.0.1:{port}").query(ASK)


def test_a_remote_pipeline_gives_the_same_events_as_one_here(fake: FakePipeline) -> None:
    def kinds(pipeline: Answering) -> list[str]:
        return [event.type for event in pipeline.stream(Question(text=ASK, domain="plant"))]

    with served(lambda _: fake) as url:
        assert until(lambda: ready(url))
        assert kinds(RemotePipeline(url)) == kinds(fake)
