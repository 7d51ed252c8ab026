"""A real OpenAI-compatible server on loopback: streams a model's words by the protocol, and fails in any way asked for.

Each request takes the next reply of `script`; when that is used up, the model answers. Knows nothing of the adapter.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rag.errors import InvalidQuestion
from rag.types import Message, Prompt
from tests.fakes.language_model import FakeLanguageModel

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a request gets instead of the model's answer."""

    status: int = 200
    body: Any = None
    """Sent as JSON; a str as it is."""
    headers: dict[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    """Lines of an event stream, in place of a body."""
    wait_seconds: float = 0.0
    hang_up: bool = False
    """Close the connection after what was sent, whatever its length should be; at once when nothing was."""


def failure(status: int, message: str, *, code: str = "", param: str = "", **headers: str) -> Reply:
    """An error as OpenAI words it."""
    error = {"message": message, "type": "invalid_request_error", "code": code or None, "param": param or None}
    return Reply(status, {"error": error}, {name.replace("_", "-"): value for name, value in headers.items()})


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> str:
    """A line of the stream."""
    delta = {} if text is None else {"content": text}
    event = {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }
    return f"data: {json.dumps(event)}"


class OpenAIServer:
    """The server; requests are answered beside each other, and remembered."""

    def __init__(self, model: FakeLanguageModel, *, refuses: Callable[[Body], Reply | None] = lambda _: None) -> None:
        """refuses: a reply for bodies that this server does not take."""
        self.model, self.refuses = model, refuses
        self.script: list[Reply] = []
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.broken_streams = 0
        """Streams whose reader went away."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextlib.contextmanager
def serving(
    model: FakeLanguageModel | None = None, *, refuses: Callable[[Body], Reply | None] = lambda _: None
) -> Iterator[OpenAIServer]:
    """A server for the length of a with statement."""
    server = OpenAIServer(model or FakeLanguageModel(), refuses=refuses)
    try:
        yield server
    finally:
        server.close()


def _prompt(body: Body) -> Prompt:
    return Prompt(
        messages=tuple(Message.model_validate(message) for message in body["messages"]),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or 64,
        temperature=body.get("temperature", 0.0),
        seed=body.get("seed", 0),
        stop=tuple(body.get("stop", ())),
    )


def _answer(server: OpenAIServer, body: Body) -> Iterator[str]:
    usage: dict[str, Any] = {}
    for piece in server.model.generate(_prompt(body)):
        if piece.text:
            yield chunk(piece.text)
        if piece.finish:
            usage = {"prompt_tokens": piece.prompt_tokens, "completion_tokens": piece.completion_tokens}
            yield chunk(finish=piece.finish)
    if body.get("stream_options", {}).get("include_usage"):
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}"
    yield "data: [DONE]"


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:  # http.server's own name
            body: Body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.bodies.append(body)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = server.script.pop(0) if server.script else server.refuses(body)
            if self.path != "/v1/chat/completions":
                reply = failure(404, f"no such path {self.path}")
            if reply is not None:
                self.reply(reply)
                return
            lines = _answer(server, body)
            try:
                first = next(lines)
            except InvalidQuestion as error:
                self.reply(failure(400, f"This model's maximum context length is exceeded: {error}"))
                return
            self.stream([first], lines, {}, hang_up=False)

        def reply(self, reply: Reply) -> None:
            time.sleep(reply.wait_seconds)
            if reply.lines:
                self.stream(list(reply.lines), iter(()), reply.headers, hang_up=reply.hang_up)
                return
            if reply.hang_up:
                self.close_connection = True
                return
            data = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data.encode())))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a caller that did not wait
                self.wfile.write(data.encode())

        def stream(self, first: list[str], rest: Iterator[str], headers: dict[str, str], *, hang_up: bool) -> None:
            self.send_response(200)
            for name, value in {"Content-Type": "text/event-stream; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for line in itertools.chain(first, rest):
                    data = f"{line}\n\n".encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
                if not hang_up:
                    self.wfile.write(b"0\r\n\r\n")
            except ConnectionError:
                server.broken_streams += 1
                hang_up = True
            self.close_connection = hang_up

    return Handler
