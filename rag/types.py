"""The nouns that cross a boundary: documents in, questions in, passages and checked answers out.

Frozen values without behaviour beyond their own arithmetic; no library type appears in them.
Offsets are code points (Python `str` indices) of a document's stored extracted text, end exclusive.
"""

from __future__ import annotations

import hashlib
import uuid
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from rag.page_boxes import Box, PlacedText

EVENT_SCHEMA_VERSION = 1
"""Version of the streamed events; raised when a field changes its meaning or goes away."""

POINT_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://understudy.invalid/point/1")

MetadataValue = str | int | float | bool

Decoding = Literal["auto", "extractive", "free"]
"""How an answer is written: in the words of the passages alone, in the model's own, or as fits the question."""


class Value(BaseModel):
    """Base of every value here: frozen, an unknown field is an error, and no error repeats what was given."""

    # A question or a document that does not fit must not reach a log by way of a traceback.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def sha256_text(text: str) -> str:
    """Lower-case hex sha256 of the UTF-8 bytes of `text`; lone surrogates are kept as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# --- documents -------------------------------------------------------------------------------


class Document(Value):
    """One document as it is stored: its extracted text and where that came from."""

    id: str = Field(min_length=1, description="the row's `doc_id`, or the path relative to the corpus root")
    title: str
    text: str
    file_sha256: str = Field(description="hex sha256 of the file (or of the row's bytes) it was read from")
    source: str = Field(description="path relative to the corpus root, with '#row' appended for a row")
    metadata: dict[str, MetadataValue] = Field(default_factory=dict)
    layout: tuple[PlacedText, ...] = Field(default=(), description="where the text stands on pages, if it has any")

    @property
    def text_sha256(self) -> str:
        """Hex sha256 of the stored text: what a citation's offsets refer to."""
        return sha256_text(self.text)


class Chunk(Value):
    """A span of a document: `text == document.text[start:end]`, always."""

    start: NonNegativeInt
    end: PositiveInt
    text: str = Field(min_length=1)
    heading: str = Field(default="", description="path of headings above the chunk, joined by ' > '")
    under: str = Field(default="", description="terms that its first line stands under by its indentation")


def point_id(domain: str, document_id: str, start: int, end: int, chunk_sha256: str) -> str:
    """Identity of a chunk in the index: UUIDv5 over domain, document, offsets and content.

    Two documents with equal content are two documents; a chunk that did not change keeps its id.
    Fields are joined by a character that none of the names may contain (U+001F).
    """
    name = "\x1f".join((domain, document_id, str(start), str(end), chunk_sha256))
    return str(uuid.uuid5(POINT_NAMESPACE, name))


# --- filters ---------------------------------------------------------------------------------


class FieldType(StrEnum):
    """Types of a filterable metadata field; each gets a payload index of that type."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    DATETIME = "datetime"
    BOOL = "bool"


class Condition(Value):
    """One condition on a metadata field. Exactly one of `equals`, `any_of` or a range is set."""

    field: str = Field(min_length=1)
    equals: MetadataValue | None = None
    any_of: tuple[str, ...] | tuple[int, ...] | None = None
    gte: float | str | None = Field(default=None, description="at least; a number, or an RFC 3339 date-time")
    lte: float | str | None = Field(default=None, description="at most; a number, or an RFC 3339 date-time")


class Filter(Value):
    """All conditions hold, and the document is one of `documents` where that is given."""

    conditions: tuple[Condition, ...] = ()
    documents: tuple[str, ...] | None = None


# --- retrieval -------------------------------------------------------------------------------


class RetrievalMode(StrEnum):
    """Which parts of the index are asked, and how two rankings become one (`hybrid`: see rag.fusion)."""

    HYBRID = "hybrid"
    RRF = "rrf"
    DENSE = "dense"
    BM25 = "bm25"


class Passage(Value):
    """A retrieved chunk with everything needed to show and to cite it."""

    document_id: str
    title: str
    heading: str
    text: str
    start: NonNegativeInt
    end: PositiveInt
    text_sha256: str = Field(description="hash of the whole stored text that the offsets refer to")
    metadata: dict[str, MetadataValue] = Field(default_factory=dict)
    score: float = Field(description="the ranking score; comparable within one question only")
    dense_score: float | None = Field(default=None, description="cosine to the question, where computed")
    bm25_score: float | None = Field(default=None, description="BM25 score, where computed")


# --- questions and answers -------------------------------------------------------------------


class Turn(Value):
    """An earlier question of the same conversation and the answer it got."""

    question: str
    answer: str


class Question(Value):
    """What a caller asks of one domain."""

    text: str
    domain: str
    earlier: tuple[Turn, ...] = ()
    filter: Filter = Filter()
    max_passages: PositiveInt | None = Field(default=None, le=50, description="passages retrieved; default by setting")
    options: tuple[str, ...] = Field(default=(), description="answers to choose from; none: the answer is free")


class Citation(Value):
    """The exact words that a claim rests on: `stored_text[char_start:char_end] == quote`."""

    document_id: str
    title: str
    char_start: NonNegativeInt
    char_end: PositiveInt
    quote: str
    text_sha256: str
    claim: str = Field(description="the part of the answer that this citation supports")
    support: float = Field(ge=0, le=1, description="share of the claim's weighted words found in the quote")
    focus: tuple[int, int] | None = Field(
        default=None, description="start and end, in the stored text, of the words in the quote that answer"
    )
    boxes: tuple[Box, ...] = Field(
        default=(), description="where the quote stands on the pages of the file: a box a line; empty without pages"
    )


class StageTiming(Value):
    """Wall milliseconds of one stage of one answer."""

    stage: str
    milliseconds: float


class Trace(Value):
    """How an answer came about, enough to repeat it."""

    standalone_question: str = Field(description="the question as it was retrieved with")
    rewritten: bool = Field(description="whether a follow-up was made to stand alone")
    passages_used: NonNegativeInt = Field(description="passages that fitted the token budget")
    prompt_sha256: str
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    timings: tuple[StageTiming, ...]
    model: str
    model_fingerprint: str
    embedder_fingerprint: str
    generation: str = Field(description="the domain's generation that was searched")
    draft: str = Field(description="the model's own words before they were checked")
    signals: dict[str, float] = Field(default_factory=dict, description="what the confidence was made of")
    citations_dropped: NonNegativeInt = Field(
        0, description="citations that did not stand in the stored text, and were left out"
    )


class OptionScore(Value):
    """One of the given options, and how much speaks for it."""

    option: str
    score: float = Field(description="what the passages and the model say for it; comparable within one question")


class Answer(Value):
    """The final, checked answer."""

    text: str
    abstained: bool
    reason: str = Field(description="why it abstained, or empty")
    basis: Literal["model", "span", "quote", "definition", "option", "computed", "none"] = Field(
        "none",
        description="whose words the text is: the model's, checked; a document's sentence, for the words in it that "
        "the model chose; a document's best sentence; a sentence of a name's definition; the chosen option; computed "
        "from the documents' numbers; none",
    )
    confidence: float | None = Field(
        default=None, ge=0, le=1, description="probability that the best answer found is right; None without a fit"
    )
    warning: str = Field(default="", description="why the confidence is a guess here, or empty")
    language: str = Field(description="ISO 639-1 code the question was taken to be in, 'und' if unknown")
    citations: tuple[Citation, ...]
    options: tuple[OptionScore, ...] = Field(default=(), description="every given option, in the order given")
    passages: tuple[Passage, ...] = Field(description="what was retrieved, best first")
    trace: Trace


class DomainInfo(Value):
    """A stored domain as callers may see it."""

    name: str
    title: str
    language: str = Field(description="ISO 639-1 code of the documents, empty if not declared")
    documents: NonNegativeInt
    chunks: NonNegativeInt
    generation: str
    embedder: str
    fields: dict[str, FieldType] = Field(description="metadata fields that a filter may name")
    compatible: bool
    problem: str = Field(description="why it cannot be asked now, or empty")


class Health(Value):
    """Whether questions can be answered now, and what stands in the way."""

    ready: bool
    checks: dict[str, str] = Field(description="check name to 'ok' or a sentence")


# --- events of a streamed answer -------------------------------------------------------------


class RetrievalEvent(Value):
    """First: what was found."""

    type: Literal["retrieval"] = "retrieval"
    schema_version: int = EVENT_SCHEMA_VERSION
    standalone_question: str
    passages: tuple[Passage, ...]


class TokenEvent(Value):
    """Provisional text; the closing event replaces all of it."""

    type: Literal["token"] = "token"
    text: str


class CitationEvent(Value):
    """A citation that passed its check."""

    type: Literal["citation"] = "citation"
    citation: Citation


class VerdictEvent(Value):
    """Whether the answer stands."""

    type: Literal["verdict"] = "verdict"
    abstained: bool
    reason: str


class DoneEvent(Value):
    """Last: the final, checked answer, replacing the tokens."""

    type: Literal["done"] = "done"
    answer: Answer


Event = Annotated[
    RetrievalEvent | TokenEvent | CitationEvent | VerdictEvent | DoneEvent,
    Field(discriminator="type"),
]


# --- models ----------------------------------------------------------------------------------


class Message(Value):
    """One message of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Value):
    """What a language model is asked to continue, with its decoding limits."""

    messages: tuple[Message, ...]
    max_tokens: PositiveInt
    temperature: float = Field(default=0.0, ge=0, le=2)
    seed: int = 0
    stop: tuple[str, ...] = ()
    timeout_seconds: float = Field(default=120.0, gt=0, description="whole generation, waiting included")
    domain: str = Field(default="", description="whose question it is: a model may have an adapter for a domain")


class Piece(Value):
    """A piece of generated text. The last piece of a generation carries its counts."""

    text: str
    finish: Literal["stop", "length"] | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = Field(default=None, description="prompt tokens that were not evaluated again")
    completion_tokens: int | None = None


class Likelihood(Value):
    """How likely a text is as the continuation of a prompt."""

    logprob: float = Field(le=1e-6, description="natural log-probability of the whole text")
    tokens: PositiveInt

    @property
    def mean(self) -> float:
        """Log-probability a token: what compares texts of different lengths."""
        return self.logprob / self.tokens


class Place(Value):
    """Where words stand: `texts[text][start:end]`, in code points; a `text` beyond the last is an alternative."""

    text: NonNegativeInt
    start: NonNegativeInt
    end: PositiveInt


class Span(Value):
    """An answer in the words of some texts, everywhere it stands, and how likely the model is to give it."""

    places: tuple[Place, ...] = Field(min_length=1)
    logprob: float = Field(le=1e-6, description="natural log-probability of the words and of ending there")
    tokens: PositiveInt = Field(description="the end counted")


class ModelCard(Value):
    """What is known of a loaded language model."""

    name: str
    fingerprint: str = Field(description="changes with anything that changes the model's words")
    context_tokens: PositiveInt
    device: str = Field(description="where it really runs: 'cpu', the name of the GPU, or a URL")
    weights_format: str = Field(description="for example 'Q8_0'; empty for a remote model")
    own_words_format: str = Field(default="", description="what own words are written with where that is another")
    licence: str = ""
    scores: bool = Field(False, description="whether `score` and `extract` work: a remote model tells no likelihoods")
    weights: str = Field(default="", description="hex sha256 of the file it comes from, whatever its format now")

    @property
    def formats(self) -> str:
        """In words."""
        return ", own words ".join(filter(None, (self.weights_format, self.own_words_format)))


class EngineStatistics(Value):
    """What a local engine does now and has done; counts run from the service's start, across restarts."""

    running: NonNegativeInt = Field(0, description="requests that are worked on now")
    waiting: NonNegativeInt = Field(0, description="requests that wait for the engine now")
    sequences: NonNegativeInt = Field(0, description="sequences in the batch now")
    batch_tokens: NonNegativeInt = Field(0, description="tokens of all steps so far; by steps: the mean batch")
    steps: NonNegativeInt = Field(0, description="batches that were evaluated")
    prompt_tokens: NonNegativeInt = Field(0, description="tokens of prompts, the cached ones included")
    cached_tokens: NonNegativeInt = Field(0, description="tokens of prompts that were not evaluated again")
    generated_tokens: NonNegativeInt = 0
    prefix_hits: NonNegativeInt = Field(0, description="requests whose prefix was kept from an earlier one")
    prefix_misses: NonNegativeInt = Field(0, description="requests whose prefix was evaluated")
    cancelled: NonNegativeInt = Field(0, description="requests that were given up before their end")
    restarts: NonNegativeInt = Field(0, description="processes that were started after the first")
    process_id: int | None = Field(None, description="the engine's process; None between two")
