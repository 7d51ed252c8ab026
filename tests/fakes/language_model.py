"""A language model without a model: it answers with a sentence of its prompt, and keeps the protocol to the letter."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

from rag.errors import Cancelled, InvalidQuestion, ModelTimeout
from rag.types import EngineStatistics, Likelihood, Message, ModelCard, Piece, Place, Prompt, Span

TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+$")
"""A word or a sign with the white space before it."""

MARKERS = 4
"""Tokens of the markers around one message."""

ENDLESS = "without end"
"""A prompt that says so is answered with its own words, over and over, until the limit."""


def sentence_of(prompt: Prompt) -> str:
    """The sentence of the prompt that shares most words with its last line; the first of several."""
    text = prompt.messages[-1].content
    if ENDLESS in text:
        return f"{text} " * prompt.max_tokens
    *body, question = [line for line in text.splitlines() if line.strip()] or [""]
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n", "\n".join(body)) if part.strip()]
    asked = set(re.findall(r"\w+", question.casefold()))
    return max(
        sentences, key=lambda part: len(asked & set(re.findall(r"\w+", part.casefold()))), default=question.strip()
    )


class FakeLanguageModel:
    """Deterministic at any temperature; one piece a token, each after `seconds_a_piece`."""

    def __init__(
        self,
        *,
        answer: Callable[[Prompt], str] = sentence_of,
        context_tokens: int = 512,
        seconds_a_piece: float = 0.0,
        name: str = "fake",
    ) -> None:
        self._answer, self._context_tokens, self._pause, self._name = answer, context_tokens, seconds_a_piece, name
        self.prompts: list[Prompt] = []
        """What it was asked, in order."""
        self.closed = False

    @property
    def card(self) -> ModelCard:
        return ModelCard(
            name=self._name,
            fingerprint=f"{self._name}/1",
            context_tokens=self._context_tokens,
            device="cpu",
            weights_format="",
            scores=True,
        )

    def adapter(self, domain: str) -> str:
        return ""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(TOKEN.findall(text)) for text in texts]

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        return sum(self.count_tokens([message.content])[0] + MARKERS for message in messages)

    def generate(self, prompt: Prompt, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Piece]:
        self.prompts.append(prompt)
        begun = time.monotonic()
        needed = self.prompt_tokens(prompt.messages)
        if needed >= self._context_tokens:
            raise InvalidQuestion(f"the prompt has {needed} tokens, the context holds {self._context_tokens}")
        whole = self._answer(prompt)
        places = [place for stop in prompt.stop if stop and (place := whole.find(stop)) >= 0]
        tokens = TOKEN.findall(whole)
        limit = min(prompt.max_tokens, self._context_tokens - needed)
        text, count = "", 0
        for token in tokens[:limit]:
            time.sleep(self._pause)
            if cancelled is not None and cancelled():
                raise Cancelled("the request was cancelled")
            if time.monotonic() - begun >= prompt.timeout_seconds:
                raise ModelTimeout(f"no whole answer within {prompt.timeout_seconds:g} s")
            count += 1
            piece = token if not places else whole[len(text) : min(len(text) + len(token), min(places))]
            text += piece
            if piece:
                yield Piece(text=piece)
            if places and len(text) >= min(places):
                break
        stopped = bool(places) and len(text) >= min(places)
        yield Piece(
            text="",
            finish="length" if count >= limit and len(tokens) > limit and not stopped else "stop",
            prompt_tokens=needed,
            completion_tokens=count,
        )

    def score(
        self, prompt: Prompt, continuations: Sequence[str], *, cancelled: Callable[[], bool] | None = None
    ) -> list[Likelihood]:
        """A word of the prompt is likelier than another; so is one of what it would answer."""
        self.prompts.append(prompt)
        if cancelled is not None and cancelled():
            raise Cancelled("the request was cancelled")
        needed = self.prompt_tokens(prompt.messages) + max(self.count_tokens(continuations))
        if needed > self._context_tokens:
            raise InvalidQuestion(f"prompt and option have {needed} tokens, the context holds {self._context_tokens}")
        said = set(re.findall(r"\w+", self._answer(prompt).casefold()))
        shown = set(re.findall(r"\w+", " ".join(message.content for message in prompt.messages).casefold()))
        found = []
        for text in continuations:
            tokens = TOKEN.findall(text)
            words = [token.strip().casefold() for token in tokens]
            logprob = -sum(0.5 if word in said else 1.0 if word in shown else 3.0 for word in words)
            found.append(Likelihood(logprob=logprob, tokens=len(tokens)))
        return found

    def extract(
        self,
        prompt: Prompt,
        texts: Sequence[str],
        *,
        alternatives: Sequence[str] = (),
        worth: Sequence[Sequence[tuple[int, int, float]]] = (),
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Span]:
        """What it would answer where that stands in a text; then single words, then alternatives."""
        self.prompts.append(prompt)
        if cancelled is not None and cancelled():
            raise Cancelled("the request was cancelled")
        needed = self.prompt_tokens(prompt.messages)
        if needed >= self._context_tokens:
            raise InvalidQuestion(f"the prompt has {needed} tokens, the context holds {self._context_tokens}")
        said = self._answer(prompt).strip().rstrip(".")
        words = {word: -8.0 for text in texts for word in re.findall(r"\w+", text)}
        found = []
        for answer, logprob in [(said, -1.0), *words.items()]:
            pattern = re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)") if answer else re.compile(r"(?!)")
            places = [
                Place(text=i, start=match.start(), end=match.end())
                for i, text in enumerate(texts)
                for match in pattern.finditer(text)
            ]
            tokens = len(TOKEN.findall(answer)) + 1
            if places and tokens <= prompt.max_tokens:
                found.append(Span(places=tuple(places), logprob=logprob, tokens=tokens))
        for i, answer in enumerate(alternatives):
            place = Place(text=len(texts) + i, start=0, end=len(answer))
            logprob = -0.5 if answer == said else -9.0
            found.append(Span(places=(place,), logprob=logprob, tokens=len(TOKEN.findall(answer)) + 1))

        def value(span: Span) -> float:
            told = [
                nats
                for place in span.places
                if place.text < len(worth)
                for start, end, nats in worth[place.text]
                if start <= place.start < end
            ]
            return span.logprob + max(told, default=0.0)

        return sorted(found, key=lambda span: -value(span))

    def statistics(self) -> EngineStatistics | None:
        return EngineStatistics(prefix_misses=len(self.prompts))

    def close(self) -> None:
        self.closed = True
