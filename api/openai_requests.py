"""What OpenAI's clients send: chats and texts to embed. Unknown fields are ignored, as there. Knows no pipeline.

A parameter that would change what the answer is gets a refusal; one that only shapes how words are drawn
(temperature, top_p, seed, stop, max_tokens ...) is accepted and not read: the words are the documents', not drawn.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.openai_problems import NotOffered
from rag.errors import InvalidQuestion
from rag.types import Filter, Question, Turn, Value

PREFIX = "understudy/"
"""A model may be named `understudy/<domain>`, for clients that want a provider before the name."""

MOST_EARLIER = 50
"""Earlier turns that are kept, the newest: a follow-up leans on the one before it."""

MOST_INPUTS = 2048
"""Texts of one call, as at OpenAI; the body's size bounds them too."""


class Tolerant(Value):
    """A value from a client that may send more than is read here."""

    model_config = ConfigDict(extra="ignore")


class ContentPart(Tolerant):
    """A part of a message."""

    type: str = Field(description="`text`; images, audio and files are refused")
    text: str = ""


class ChatMessage(Tolerant):
    """One message of a chat."""

    role: str = Field(description="`user` or `assistant`; `system` and `developer` are accepted and not read")
    content: str | tuple[ContentPart, ...] | None = None


class StreamOptions(Tolerant):
    """What a stream tells besides the answer."""

    include_usage: bool | None = Field(None, description="a last chunk with the counts of tokens")


class Extension(Value):
    """What OpenAI has no parameter for; the official client sends it by `extra_body={"understudy": {...}}`."""

    filter: Filter = Field(Filter(), description="only passages of documents that fit it")
    max_passages: int | None = Field(None, ge=1, le=50, description="passages retrieved; default by setting")
    options: tuple[str, ...] = Field((), max_length=26, description="answers to choose from; none: it is free")


class ChatRequest(Tolerant):
    """A chat whose last message is the question."""

    model: str = Field(description="the domain that is asked, or `understudy/<domain>`; GET /v1/models lists them")
    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=2048, description="the last one is the question")
    stream: bool | None = Field(None, description="server-sent chunks, `data: [DONE]` at the end")
    stream_options: StreamOptions | None = None
    understudy: Extension = Field(Extension(), description="filter, passages and options, as POST /v1/answers has them")
    n: Any = Field(None, description="1: there is one checked answer")
    tools: Any = Field(None, description="refused")
    tool_choice: Any = Field(None, description="refused but for `none` and `auto`")
    functions: Any = Field(None, description="refused")
    function_call: Any = Field(None, description="refused but for `none` and `auto`")
    logprobs: Any = Field(None, description="refused")
    top_logprobs: Any = Field(None, description="refused")
    response_format: Any = Field(None, description="refused but for `text`")
    modalities: Any = Field(None, description="refused but for `text`")
    audio: Any = Field(None, description="refused")
    web_search_options: Any = Field(None, description="refused")

    @property
    def domain(self) -> str:
        """The domain that is asked."""
        return self.model.removeprefix(PREFIX)

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with its counts."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def as_question(self) -> Question:
        """The question that the pipeline is asked. Raises NotOffered, InvalidQuestion."""
        self._refuse()
        texts = [self._text(at) for at in range(len(self.messages))]
        spoken = [
            (m.role, text) for m, text in zip(self.messages, texts, strict=True) if m.role in ("user", "assistant")
        ]
        if not spoken or spoken[-1][0] != "user":
            raise InvalidQuestion("the last message must be the user's: it is the question")
        return Question(
            text=spoken[-1][1],
            domain=self.domain,
            earlier=turns(spoken[:-1])[-MOST_EARLIER:],
            filter=self.understudy.filter,
            max_passages=self.understudy.max_passages,
            options=self.understudy.options,
        )

    def _refuse(self) -> None:
        """Raises NotOffered for what is asked for and not done here."""
        if self.n not in (None, 1) or self.n is True:
            raise NotOffered("there is one checked answer to a question: leave n out, or 1", param="n")
        for name in ("tools", "functions", "logprobs", "top_logprobs", "audio", "web_search_options"):
            if getattr(self, name):
                raise NotOffered(f"{name} is not offered here: answers come from the domain's documents", param=name)
        for name in ("tool_choice", "function_call"):
            if getattr(self, name) not in (None, "none", "auto"):
                raise NotOffered(f"{name} is not offered here: there are no tools to call", param=name)
        if self.response_format not in (None, {"type": "text"}):
            message = "answers are text in the documents' words: leave response_format out"
            raise NotOffered(message, param="response_format")
        if self.modalities not in (None, [], ["text"]):
            raise NotOffered("answers are text: leave modalities out", param="modalities")

    def _text(self, at: int) -> str:
        message = self.messages[at]
        if message.role not in ("system", "developer", "user", "assistant"):
            raise NotOffered(
                f"messages of role {message.role[:40]!r} are not read: there are no tools here",
                param=f"messages.{at}.role",
            )
        if message.content is None or isinstance(message.content, str):
            return message.content or ""
        for part in message.content:
            if part.type not in ("text", "refusal"):
                raise NotOffered(
                    f"content of type {part.type[:40]!r} is not read: send text", param=f"messages.{at}.content"
                )
        return "\n".join(part.text for part in message.content)


class EmbeddingsRequest(Tolerant):
    """Texts that are to be embedded."""

    model: str = Field(description="the embedder's name, as GET /v1/domains tells it")
    input: str | tuple[str, ...] | Any = Field(description="a text, or several; token ids are refused")
    encoding_format: Literal["float", "base64"] | None = Field(None, description="base64: float32, little endian")
    dimensions: int | None = Field(None, description="refused but for the embedder's own")

    def texts(self) -> tuple[str, ...]:
        """The texts, in order. Raises NotOffered, InvalidQuestion."""
        given = (self.input,) if isinstance(self.input, str) else self.input
        if not isinstance(given, tuple | list) or not given:
            raise InvalidQuestion("input must be a text or a list of texts, one at least")
        if not all(isinstance(text, str) for text in given):
            message = "input must be text: token ids belong to another model's tokenizer"
            raise NotOffered(message, param="input")
        if len(given) > MOST_INPUTS:
            raise InvalidQuestion(f"{len(given)} texts are more than one call takes: send at most {MOST_INPUTS}")
        if not all(given):
            raise InvalidQuestion("an empty text has no meaning to embed: leave it out")
        return tuple(given)


def turns(spoken: list[tuple[str, str]]) -> tuple[Turn, ...]:
    """Earlier messages as questions with their answers; an answer before any question belongs to none."""
    found: list[Turn] = []
    for role, text in spoken:
        if role == "user":
            found.append(Turn(question=text, answer=""))
        elif found:
            last = found[-1]
            found[-1] = Turn(question=last.question, answer=f"{last.answer}\n{text}" if last.answer else text)
    return tuple(found)
