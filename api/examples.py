"""One question and its answer, as the API's documentation shows them. Values that are checked like real ones."""

from __future__ import annotations

from datetime import UTC, datetime

from api.documents import DocumentPage, ListedDocument, StoredDocument
from api.jobs import Job, JobState, Unread
from api.problems import Problem
from api.requests import AnswerRequest, PassagesRequest
from rag.errors import UnknownDomain
from rag.types import (
    Answer,
    Citation,
    CitationEvent,
    Condition,
    DomainInfo,
    DoneEvent,
    Event,
    FieldType,
    Filter,
    Health,
    Passage,
    RetrievalEvent,
    RetrievalMode,
    StageTiming,
    TokenEvent,
    Trace,
    VerdictEvent,
    sha256_text,
)

QUESTION = "How often is the filter of line 4 changed?"
TEXT = "The filter of line 4 is changed every 200 hours. A clogged filter stops the line."
QUOTE = "The filter of line 4 is changed every 200 hours."
CLAIM = "every 200 hours"

ANSWER_REQUEST = AnswerRequest(
    question=QUESTION,
    domain="plant",
    filter=Filter(conditions=(Condition(field="line", equals=4),)),
    max_passages=4,
)

PASSAGES_REQUEST = PassagesRequest(question=QUESTION, domain="plant", limit=4, mode=RetrievalMode.HYBRID)

PASSAGE = Passage(
    document_id="maintenance/filters.md",
    title="Filters",
    heading="Filters > Line 4",
    text=TEXT,
    start=0,
    end=len(TEXT),
    text_sha256=sha256_text(TEXT),
    metadata={"line": 4},
    score=0.93,
    dense_score=0.78,
    bm25_score=11.2,
)

CITATION = Citation(
    document_id=PASSAGE.document_id,
    title=PASSAGE.title,
    char_start=0,
    char_end=len(QUOTE),
    quote=QUOTE,
    text_sha256=PASSAGE.text_sha256,
    claim=QUOTE,
    support=1.0,
    focus=(TEXT.index(CLAIM), TEXT.index(CLAIM) + len(CLAIM)),
)

ANSWER = Answer(
    text=QUOTE,
    abstained=False,
    reason="",
    basis="span",
    confidence=0.83,
    language="en",
    citations=(CITATION,),
    passages=(PASSAGE,),
    trace=Trace(
        standalone_question=QUESTION,
        rewritten=False,
        passages_used=1,
        prompt_sha256=sha256_text("the rendered prompt"),
        prompt_tokens=212,
        completion_tokens=5,
        timings=(
            StageTiming(stage="embed", milliseconds=5.3),
            StageTiming(stage="search", milliseconds=1.1),
            StageTiming(stage="extract", milliseconds=340.0),
        ),
        model="smollm2-135m-instruct",
        model_fingerprint=sha256_text("the model")[:16],
        embedder_fingerprint=sha256_text("the embedder")[:16],
        generation="20250101T000000",
        draft=CLAIM,
        signals={"span": -0.21, "refusal": -4.7, "margin": 6.3, "sentence": 0.91, "cosine": 0.74},
    ),
)

EVENTS: tuple[Event, ...] = (
    RetrievalEvent(standalone_question=QUESTION, passages=(PASSAGE,)),
    TokenEvent(text="every"),
    TokenEvent(text=" 200 hours"),
    CitationEvent(citation=CITATION),
    VerdictEvent(abstained=False, reason=""),
    DoneEvent(answer=ANSWER),
)

DOMAIN = DomainInfo(
    name="plant",
    title="Operations handbook",
    language="en",
    documents=34,
    chunks=180,
    generation=ANSWER.trace.generation,
    embedder="all-MiniLM-L6-v2",
    fields={"line": FieldType.INTEGER},
    compatible=True,
    problem="",
)

JOB = Job(
    id="18a1f0c9d2e4b6f83a7c51e09b2d4f60",
    domain=DOMAIN.name,
    kind="upload",
    state=JobState.DONE,
    created=datetime(2026, 11, 25, 8, 30, tzinfo=UTC),
    documents=3,
    total=3,
    chunks=41,
    seconds=0.6,
    new=2,
    unreadable=(Unread(source="scans/plan.pdf", reason="the file holds no text"),),
)

DOCUMENT = StoredDocument(
    id=PASSAGE.document_id,
    title=PASSAGE.title,
    text=TEXT,
    text_sha256=PASSAGE.text_sha256,
    metadata=PASSAGE.metadata,
)

DOCUMENT_PAGE = DocumentPage(
    documents=(
        ListedDocument(
            id=DOCUMENT.id,
            title=DOCUMENT.title,
            characters=len(DOCUMENT.text),
            chunks=1,
            text_sha256=DOCUMENT.text_sha256,
            metadata=DOCUMENT.metadata,
        ),
    ),
    next=None,
)

READY = Health(ready=True, checks={"model": "ok", "index": "ok", "compatible": "ok"})
STARTING = Health(ready=False, checks={"start": "the models are still being loaded"})


def problem(status: int, title: str, code: str, detail: str) -> Problem:
    """A problem as it is told."""
    return Problem(
        type=f"urn:understudy:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id="0b1f6c9a4d5e4f5f8f0d3c2b1a09f8e7",
    )


PROBLEMS = {
    400: problem(400, "Bad Request", "invalid_question", "the question is empty"),
    401: problem(401, "Unauthorized", "not_authenticated", "this key is expired: ask the operator for another"),
    403: problem(403, "Forbidden", "not_allowed", "this needs a key of scope read; this one has ingest"),
    404: problem(404, "Not Found", "unknown_domain", str(UnknownDomain.named("plants"))),
    405: problem(405, "Method Not Allowed", "method_not_allowed", "this path does not take this method"),
    408: problem(408, "Request Timeout", "upload_too_slow", "nothing came for 30 s: send the upload again"),
    413: problem(413, "Request Entity Too Large", "body_too_large", "the body is larger than this server reads"),
    415: problem(415, "Unsupported Media Type", "unsupported_media_type", "the body must be JSON"),
    429: problem(
        429, "Too Many Requests", "too_many_requests", "this key may ask 600 times a minute: try again in 3 s"
    ),
    500: problem(500, "Internal Server Error", "incompatible_index", "the domain was built with another embedder"),
    503: problem(503, "Service Unavailable", "model_busy", "32 questions wait already: try again in 30 s"),
}
