"""A language model behind the OpenAI-compatible protocol: OpenAI, Claude, Gemini, vLLM. Knows no settings.

Passing failures are tried again before the first token, never after it: a stream that breaks off is an error. The
connection is read by a thread of its own, so that a cancelled or late request ends here at once; the server is told
at the next bytes it sends. The key is sent, and never shown: not in a message, not in a repr.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from rag.adapters.openai_wire import (
    RETRIED,
    Event,
    Failure,
    body,
    estimate_prompt,
    estimate_tokens,
    parse_chunk,
    parse_failure,
    parse_line,
    retry_after,
)
from rag.errors import (
    AnswerWithheld,
    Cancelled,
    InvalidQuestion,
    InvalidSettings,
    ModelBusy,
    ModelRejected,
    ModelTimeout,
    ModelUnreachable,
    RagError,
    Unscorable,
)
from rag.stop_text import StopText
from rag.types import EngineStatistics, Likelihood, Message, ModelCard, Piece, Prompt, Span

POLL_SECONDS = 0.02
"""How often a waiting caller looks whether it was cancelled."""

CONNECT_SECONDS = 10.0
LONGEST_BACKOFF_SECONDS = 8.0
DEFAULT_PAUSE_SECONDS = 10.0
"""What a caller is told to wait where a busy server does not say."""

MAX_ERROR_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class _Answered:
    """The server's first words: its status, and the whole body of an error."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(slots=True)
class _Attempt:
    """One request and what its thread has read so far; ends with None or with the error that ended it."""

    inbox: queue.SimpleQueue[_Answered | Event | Exception | None] = field(default_factory=queue.SimpleQueue)
    abandoned: threading.Event = field(default_factory=threading.Event)


class OpenAIModel:
    """A chat model at `base_url`; requests run beside each other, as many as its server takes."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        model: str,
        context_tokens: int,
        timeout_seconds: float,
        retries: int,
        backoff_seconds: float = 0.5,
    ) -> None:
        """base_url: ends before '/chat/completions'; context_tokens: what the model takes, prompt and answer.

        timeout_seconds: longest wait for one answer, retries included; a prompt may set less.
        backoff_seconds: the first wait before a retry is drawn from 0 to this, the next from 0 to twice it …
        Raises InvalidSettings for a URL or a key that can be none.
        """
        self._key = key = api_key.strip()
        if not (key.isascii() and key.isprintable()):
            raise InvalidSettings("UNDERSTUDY_MODEL__API_KEY holds characters that no key has: copy it again")
        try:
            address = httpx.URL(base_url.strip().rstrip("/") + "/")
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in ("http", "https") or not address.host:
            raise InvalidSettings(
                "UNDERSTUDY_MODEL__BASE_URL is no address of a server: give one like http://127.0.0.1:8080/v1"
            )
        self._shown = str(address.copy_with(userinfo=b"")).rstrip("/")
        self._model, self._context_tokens = model, context_tokens
        self._timeout, self._retries, self._backoff = timeout_seconds, retries, backoff_seconds
        self._without: frozenset[str] = frozenset()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=address, headers=headers, timeout=timeout_seconds)

    def __repr__(self) -> str:
        """Where and what, without the key."""
        return f"OpenAIModel({self._model!r} at {self._shown})"

    @property
    def card(self) -> ModelCard:
        """What is asked, and where. The server's own weights may change without a trace here."""
        identity = "\x1f".join(("openai/1", self._shown, self._model))
        return ModelCard(
            name=self._model,
            fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
            context_tokens=self._context_tokens,
            device=self._shown,
            weights_format="",
        )

    def adapter(self, domain: str) -> str:
        """None: what a server answers with is its own affair."""
        del domain
        return ""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """An estimate that is rather too high, since the tokenizer is elsewhere; see estimate_tokens."""
        return [estimate_tokens(text) for text in texts]

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate, as `count_tokens`, with the markers of a chat."""
        return estimate_prompt(messages)

    def generate(self, prompt: Prompt, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Piece]:
        """Stream the continuation; see rag.protocols.LanguageModel. Counts are estimates where the server sends none.

        Raises InvalidQuestion, ModelBusy, ModelTimeout, ModelRejected, ModelUnreachable, Cancelled.
        """
        needed = estimate_prompt(prompt.messages)
        if needed >= self._context_tokens:
            raise InvalidQuestion(
                f"the prompt has about {needed} tokens, the context holds {self._context_tokens}, the answer included"
            )
        allowed = min(prompt.timeout_seconds, self._timeout)
        wait = _Wait(time.monotonic() + allowed, allowed, cancelled or _never, self._shown)
        attempt, first = self._begin(prompt, wait)
        try:
            yield from self._pieces(prompt, needed, attempt, first, wait)
        finally:
            attempt.abandoned.set()

    def score(
        self, prompt: Prompt, continuations: Sequence[str], *, cancelled: Callable[[], bool] | None = None
    ) -> list[Likelihood]:
        """Raises Unscorable: chat completions give no likelihood of a text that the model did not choose."""
        del prompt, continuations, cancelled
        raise Unscorable(f"{self._shown} tells no likelihoods of given texts: let it generate its choice")

    def extract(
        self,
        prompt: Prompt,
        texts: Sequence[str],
        *,
        alternatives: Sequence[str] = (),
        worth: Sequence[Sequence[tuple[int, int, float]]] = (),
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Span]:
        """Raises Unscorable, as `score` does."""
        del prompt, texts, alternatives, worth, cancelled
        raise Unscorable(f"{self._shown} cannot be held to the words of a text: let it generate its answer")

    def statistics(self) -> EngineStatistics | None:
        """None: what a server does is not ours to see."""
        return None

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._client.close()

    # --- one answer ---

    def _pieces(self, prompt: Prompt, needed: int, attempt: _Attempt, first: Event, wait: _Wait) -> Iterator[Piece]:
        stop = StopText(prompt.stop)
        finish, usage, written, ended = "", Event(), "", False
        event: Event | None = first
        while event is not None and not stop.found:
            if event.failure is not None:
                raise self._unreachable(f"failed while it answered ({self._hide(event.failure.message)})")
            if text := stop.feed(event.text):
                written += text
                yield Piece(text=text)
            finish, ended = event.finish or finish, ended or event.done
            usage = event if event.prompt_tokens is not None else usage
            if event.done:
                break
            event = self._event(attempt, wait)
        if finish == "filtered":
            raise AnswerWithheld(f"{self._shown} withheld the answer by its content filter: ask otherwise")
        if not (finish or ended or stop.found):
            raise self._unreachable("broke off its answer")
        rest = "" if stop.found else stop.rest()
        yield Piece(
            text=rest,
            finish="length" if finish == "length" and not stop.found else "stop",
            prompt_tokens=needed if usage.prompt_tokens is None else usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=estimate_tokens(written + rest)
            if usage.completion_tokens is None
            else usage.completion_tokens,
        )

    def _event(self, attempt: _Attempt, wait: _Wait) -> Event | None:
        """The next event, or None at the end of the stream."""
        item = wait.take(attempt)
        if isinstance(item, Exception):
            raise self._network(item, wait)
        assert not isinstance(item, _Answered)  # noqa: S101  # it comes first and only once
        return item

    # --- beginning, and beginning again ---

    def _begin(self, prompt: Prompt, wait: _Wait) -> tuple[_Attempt, Event]:
        """The attempt that the server answers with 200, and its first event."""
        tries = 0
        while True:
            wait.check()
            sent = body(prompt, self._model, without=self._without)
            attempt = _Attempt()
            threading.Thread(
                target=self._read, args=(attempt, sent, wait.remaining()), name="openai-model", daemon=True
            ).start()
            try:
                item = wait.take(attempt)
                if isinstance(item, _Answered) and item.status == 200:
                    item = wait.take(attempt)
                    if isinstance(item, Event):
                        return attempt, item
            except BaseException:
                attempt.abandoned.set()
                raise
            error, pause = self._judge(item, sent, wait)
            if error is None:
                continue  # asked in words that this server refuses: at once again, in others
            if pause is None or tries >= self._retries:
                raise error
            pause = pause or random.uniform(0, min(LONGEST_BACKOFF_SECONDS, self._backoff * 2**tries))  # noqa: S311  # jitter, no secret
            if pause >= wait.remaining():
                raise error
            tries += 1
            wait.sleep(pause)

    def _judge(
        self, item: _Answered | Event | Exception | None, sent: Mapping[str, Any], wait: _Wait
    ) -> tuple[RagError | None, float | None]:
        """(the error, the pause before a retry: None for no retry, 0 for one of our choice).

        No error: the server refused an optional parameter, and it will be left out from now on.
        """
        if isinstance(item, Exception):
            return self._network(item, wait), None if isinstance(item, ValueError) else 0.0
        if not isinstance(item, _Answered):
            return self._unreachable("answered nothing"), 0.0
        failure = parse_failure(item.text)
        if item.status in (400, 413, 422) and failure.too_long:
            return InvalidQuestion(f"the prompt is too long for {self._model}: {self._hide(failure.message)}"), None
        if item.status in (400, 422) and (refused := failure.refuses(sent)):
            self._without |= {refused}
            return None, None
        after = retry_after(item.headers)
        error = self._refusal(item.status, failure, after)
        if item.status not in RETRIED or isinstance(error, ModelRejected):
            return error, None
        return error, after or 0.0

    def _refusal(self, status: int, failure: Failure, after: float | None) -> RagError:
        said = f"{self._shown} answered {status} ({self._hide(failure.message)})"
        if status in (401, 403):
            return ModelRejected(f"{said}: check UNDERSTUDY_MODEL__API_KEY")
        if status == 404:
            return ModelRejected(
                f"{said}: it knows no model {self._model!r} (UNDERSTUDY_MODEL__NAME), or "
                "UNDERSTUDY_MODEL__BASE_URL lacks its '/v1'"
            )
        if status == 413:
            return InvalidQuestion(f"{said}: the prompt is too long")
        if status == 429 and "quota" not in failure.code:
            pause = after or DEFAULT_PAUSE_SECONDS
            return ModelBusy(f"{said}: try again in {pause:.0f} s", retry_after=pause)
        if status in (408, *range(500, 600)):
            return self._unreachable(f"answered {status} ({self._hide(failure.message)})")
        return ModelRejected(f"{said}: the request cannot be answered as it is")

    def _network(self, error: Exception, wait: _Wait) -> RagError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return wait.late()
        if isinstance(error, ValueError):
            return self._unreachable(f"sent what is no answer ({self._hide(str(error))[:120]})")
        reason = self._hide(str(error)) or type(error).__name__
        return self._unreachable(f"cannot be reached ({reason})")

    def _unreachable(self, what: str) -> ModelUnreachable:
        return ModelUnreachable(
            f"the model server {self._shown} {what}: see that it is up, or set UNDERSTUDY_MODEL__BASE_URL"
        )

    def _hide(self, text: str) -> str:
        # a shorter one is a stand-in such as 'none' or 'EMPTY', and a word that messages need
        return text.replace(self._key, "[key]") if len(self._key) >= 8 else text

    # --- the reading thread ---

    def _read(self, attempt: _Attempt, sent: Mapping[str, Any], seconds: float) -> None:
        put = attempt.inbox.put
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            with self._client.stream("POST", "chat/completions", json=sent, timeout=timeout) as response:
                if response.status_code != 200:
                    put(_Answered(response.status_code, response.headers, _beginning(response)))
                    return
                put(_Answered(200, response.headers, ""))
                if "text/event-stream" not in response.headers.get("content-type", ""):
                    response.read()
                    put(parse_chunk(response.json()))
                    put(Event(done=True))
                    return
                for line in response.iter_lines():
                    if attempt.abandoned.is_set():
                        return
                    if (event := parse_line(line)) is not None:
                        put(event)
            put(None)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, RuntimeError) as error:
            put(error)  # RuntimeError: the client was closed meanwhile


class _Wait:
    """How long one request may take and who may call it off."""

    def __init__(self, deadline: float, allowed: float, cancelled: Callable[[], bool], shown: str) -> None:
        self._deadline, self._allowed, self._cancelled, self._shown = deadline, allowed, cancelled, shown

    def remaining(self) -> float:
        return max(0.001, self._deadline - time.monotonic())

    def check(self) -> None:
        if self._cancelled():
            raise Cancelled("the request was cancelled")
        if time.monotonic() >= self._deadline:
            raise self.late()

    def late(self) -> ModelTimeout:
        return ModelTimeout(
            f"{self._shown} gave no whole answer within {self._allowed:g} s: try again, or raise "
            "UNDERSTUDY_MODEL__TIMEOUT_SECONDS"
        )

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(POLL_SECONDS, left))

    def take(self, attempt: _Attempt) -> _Answered | Event | Exception | None:
        """What the attempt's thread read next."""
        while True:
            self.check()
            with contextlib.suppress(queue.Empty):
                return attempt.inbox.get(timeout=min(POLL_SECONDS, self.remaining()))


def _never() -> bool:
    return False


def _beginning(response: httpx.Response) -> str:
    """An error body, or as much of it as a message can use."""
    data = b""
    for part in response.iter_bytes():
        data += part
        if len(data) > MAX_ERROR_BYTES:
            break
    return data[:MAX_ERROR_BYTES].decode("utf-8", "replace")
