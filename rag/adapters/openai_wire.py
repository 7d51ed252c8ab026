"""The OpenAI chat-completions protocol as compatible servers really speak it: bodies, events, failures. No network.

What was met: Gemini wraps an error in a list and refuses unknown names; OpenAI's newer models want
`max_completion_tokens` and refuse `temperature` and `stop`; Claude ignores `seed`; vLLM and routers report a failure
inside a stream that began with 200; llama-cpp-python's server sends no usage in a stream.
Sources: platform.openai.com/docs/api-reference/chat, ai.google.dev/gemini-api/docs/openai,
platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from rag.types import Message, Prompt

OPTIONAL = ("max_tokens", "temperature", "seed", "stop", "stream_options")
"""What a server may refuse without the answer being lost: left out, or said otherwise, once it does."""

RETRIED = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Statuses that may pass; 529 is Anthropic's 'overloaded'."""

_TOO_LONG = re.compile(
    r"context[ _](?:length|limit|window|size)|maximum context|prompt is too long|too many (?:input )?tokens|"
    r"input token count .* exceeds",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"unsupported|not supported|does not support|unknown|unrecognized|unexpected|not permitted|cannot find field|"
    r"not allowed|only the default|deprecated",
    re.IGNORECASE,
)
_PIECE = re.compile(r"[A-Za-z]+|[0-9]|\n+| {2,}|[^\x00-\x7f]+|[^\sA-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Failure:
    """What a server says went wrong."""

    message: str
    code: str = ""
    parameter: str = ""

    @property
    def too_long(self) -> bool:
        """Whether prompt and answer exceed the model's context."""
        return "context" in self.code or bool(_TOO_LONG.search(self.message))

    def refuses(self, sent: Mapping[str, Any]) -> str:
        """The optional parameter among those sent that the server does not take, or empty."""
        named = [self.parameter.split(".")[0]] if self.parameter else []
        if _REFUSED.search(self.message) or self.code in ("unsupported_parameter", "unsupported_value"):
            named += [name for name in sent if re.search(rf"\b{name}\b", self.message)]
            if "include_usage" in self.message:
                named.append("stream_options")
        return next((name for name in named if name in sent and name.replace("_completion", "") in OPTIONAL), "")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a streamed answer; what it does not carry is empty."""

    text: str = ""
    finish: Literal["", "stop", "length", "filtered"] = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    failure: Failure | None = None
    done: bool = False


def body(prompt: Prompt, model: str, *, without: frozenset[str]) -> dict[str, Any]:
    """The request for a streamed answer, `without` the optional parameters that this server refused."""
    whole: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "seed": prompt.seed,
    }
    if prompt.stop:
        whole["stop"] = list(prompt.stop)
    if "max_tokens" in without and "max_completion_tokens" not in without:
        whole["max_completion_tokens"] = prompt.max_tokens
    return {name: value for name, value in whole.items() if name not in without}


def parse_line(line: str) -> Event | None:
    """The event of one line of a stream; None for a comment, another field or an empty line. ValueError: no JSON."""
    if not line.startswith("data:"):
        return None
    data = line[5:].strip()
    if not data:
        return None
    return Event(done=True) if data == "[DONE]" else parse_chunk(json.loads(data))


def parse_chunk(chunk: Any) -> Event:
    """The event of a chunk, or of a whole answer from a server that does not stream. ValueError: no such thing."""
    if not isinstance(chunk, dict):
        raise ValueError("it is no object")  # noqa: TRY004  # the caller's one case: an answer that is no answer
    if chunk.get("error") or chunk.get("error_message"):
        return Event(failure=parse_failure(chunk))
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        raise ValueError("it has no 'choices'")  # noqa: TRY004  # as above
    first = choices[0] if choices and isinstance(choices[0], dict) else {}
    part = first.get("delta") or first.get("message") or {}
    text = part.get("content") if isinstance(part, dict) else None
    usage = chunk.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Event(
        text=text if isinstance(text, str) else "",
        finish=_finish(first.get("finish_reason")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
    )


def parse_failure(answer: Any) -> Failure:
    """What an error body says, in any of the shapes met; any other is told by its beginning."""
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if isinstance(answer, str):
        try:
            return parse_failure(json.loads(answer))
        except ValueError:
            return Failure(_sentence(answer))
    if not isinstance(answer, dict):
        return Failure(_sentence(str(answer)))
    error = answer.get("error", answer.get("detail", answer))
    if not isinstance(error, dict):
        return Failure(_sentence(str(error)))
    message = error.get("message") or error.get("error_message") or json.dumps(error)
    code = error.get("code") if isinstance(error.get("code"), str) else error.get("type") or error.get("error_type")
    return Failure(_sentence(str(message)), str(code or ""), str(error.get("param") or ""))


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, for a model whose tokenizer is elsewhere; rather too many than too few.

    A token for each 4 letters of a word, each digit, sign and line break, each 2 bytes of other scripts. Against
    SmolLM2's 49,152 English tokens: 1.26 to 1.33 times as many for prose and financial reports, 1.4 for source code
    and identifiers, 1.06 for Russian, 0.85 for German and Chinese, for which larger vocabularies need fewer.
    """
    total = 0
    for piece in _PIECE.findall(text):
        if piece[0].isascii():
            total += math.ceil(len(piece) / 4) if piece[0].isalpha() else 1
        else:
            total += math.ceil(len(piece.encode("utf-8", "replace")) / 2)
    return total


def estimate_prompt(messages: Sequence[Message]) -> int:
    """About how many tokens a chat prompt has: its contents, 4 for the markers of each message, 3 for the answer's."""
    return sum(estimate_tokens(message.content) + 4 for message in messages) + 3


def _finish(reason: Any) -> Literal["", "stop", "length", "filtered"]:
    if not reason:
        return ""
    if reason in ("length", "max_tokens"):
        return "length"
    return "filtered" if reason in ("content_filter", "safety", "SAFETY") else "stop"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _sentence(text: str) -> str:
    """The message on one line, without its full stop, not longer than a person reads."""
    line = " ".join(text.split())
    return (line if len(line) <= 300 else line[:299] + "…").rstrip(".") or "no reason given"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, 10.2.3); None where it asks for none."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
