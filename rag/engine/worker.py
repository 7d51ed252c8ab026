"""The generator's own process: reads requests from standard input, writes replies to a private descriptor.

llama.cpp aborts take their process with them; this one holds nothing that cannot be started again. One
generation at a time; counting tokens and cancelling are answered while one runs. Ends when its input ends.
Run by rag.engine.supervisor as `python -m rag.engine.worker`; imports llama.cpp and numpy, nothing heavier.
"""

from __future__ import annotations

import codecs
import functools
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from rag.engine.llama import BEAM, Llama, LoadError
from rag.engine.wire import Frame, read_frame, write_frame
from rag.stop_text import StopText


class Replies:
    """The child's output: frames of two threads, one at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, frame: Frame) -> None:
        """Write one frame; without a reader left there is nothing to live for."""
        with self._lock:
            try:
                write_frame(self._stream, frame)
            except OSError:
                os._exit(0)


def prompt_tokens(model: Llama, segments: list[list[object]]) -> list[int]:
    """Token ids of [text, special] segments."""
    return [token for text, special in segments for token in model.tokenize(str(text), special=bool(special))]


def generate(model: Llama, frame: Frame, replies: Replies, cancelled: Callable[[], bool]) -> None:
    """Run one generation and send its pieces."""
    number = frame["id"]
    prefix = model.bos() + prompt_tokens(model, frame["prefix"])
    rest = prompt_tokens(model, frame["rest"])
    total = len(prefix) + len(rest)
    room = model.context_tokens - total
    if room < 1 or not rest:
        reason = f"the prompt has {total} tokens, the context holds {model.context_tokens}, the answer included"
        replies.send({"id": number, "type": "failed", "code": "too_long", "message": reason})
        return
    limit = min(frame["max_tokens"], room)
    cached = model.cached(prefix)
    replies.send({"id": number, "type": "started"})
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    stop = StopText(frame["stop"])
    count = 0
    tokens = model.generate(
        prefix, rest, max_tokens=limit, temperature=frame["temperature"], seed=frame["seed"], stopped=cancelled
    )
    for token in tokens:
        count += 1
        text = stop.feed(decoder.decode(model.piece(token)))
        if text:
            replies.send({"id": number, "type": "piece", "text": text})
        if stop.found:
            break
    tokens.close()  # type: ignore[attr-defined]  # a generator: frees its sampler now
    if cancelled():
        replies.send({"id": number, "type": "cancelled"})
        return
    tail = "" if stop.found else stop.feed(decoder.decode(b"", final=True)) + stop.rest()
    replies.send(
        {
            "id": number,
            "type": "finished",
            "text": tail,
            "finish": "length" if count >= limit and not stop.found else "stop",
            "prompt_tokens": total,
            "cached_tokens": cached,
            "completion_tokens": count,
        }
    )


def score(model: Llama, frame: Frame, replies: Replies, cancelled: Callable[[], bool]) -> None:
    """Score every continuation of one prompt and send the log-probabilities of their tokens."""
    number = frame["id"]
    prefix = model.bos() + prompt_tokens(model, frame["prefix"])
    rest = prompt_tokens(model, frame["rest"])
    continuations = [model.tokenize(text, special=False) for text in frame["continuations"]]
    total = len(prefix) + len(rest)
    longest = max(map(len, continuations))
    if total + longest > model.context_tokens or not rest:
        reason = f"the prompt has {total} tokens and the longest option {longest}, the context {model.context_tokens}"
        replies.send({"id": number, "type": "failed", "code": "too_long", "message": reason})
        return
    cached = model.cached(prefix)
    replies.send({"id": number, "type": "started"})
    found = model.likelihoods(prefix, rest, continuations, stopped=cancelled)
    if found is None:
        replies.send({"id": number, "type": "cancelled"})
        return
    replies.send({"id": number, "type": "scored", "logprobs": found, "prompt_tokens": total, "cached_tokens": cached})


def extract(model: Llama, frame: Frame, replies: Replies, cancelled: Callable[[], bool]) -> None:
    """Find the likeliest answers within some texts and send where they stand."""
    number = frame["id"]
    prefix = model.bos() + prompt_tokens(model, frame["prefix"])
    rest = prompt_tokens(model, frame["rest"])
    total = len(prefix) + len(rest)
    limit = min(frame["max_tokens"], (model.context_tokens - total) // BEAM)
    if limit < 1 or not rest:
        reason = f"the prompt has {total} tokens, the context holds {model.context_tokens}, {BEAM} answers included"
        replies.send({"id": number, "type": "failed", "code": "too_long", "message": reason})
        return
    cached = model.cached(prefix)
    replies.send({"id": number, "type": "started"})
    found = model.extract(prefix, rest, frame["texts"], frame["alternatives"], max_tokens=limit, stopped=cancelled)
    if found is None:
        replies.send({"id": number, "type": "cancelled"})
        return
    spans = [{"places": answer.places, "logprobs": answer.logprobs} for answer in found]
    replies.send({"id": number, "type": "extracted", "spans": spans, "prompt_tokens": total, "cached_tokens": cached})


RUN = {"generate": generate, "score": score, "extract": extract}


def main() -> None:
    """Load as the first frame says, then serve until the input ends."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = Replies(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever a library prints must not look like a frame
    load = read_frame(requests)
    if load is None:
        return
    try:
        model = Llama(
            Path(load["path"]),
            context_tokens=load["context_tokens"],
            threads=load["threads"],
            gpu_layers=load["gpu_layers"],
            adapters={name: Path(path) for name, path in load.get("adapters", {}).items()},
        )
    except LoadError as error:
        replies.send({"id": 0, "type": "failed", "code": "load", "message": str(error)})
        return
    work: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    cancelled: set[int] = set()

    def listen() -> None:
        while (frame := read_frame(requests)) is not None:
            match frame["type"]:
                case "generate" | "score" | "extract":
                    work.put(frame)
                case "cancel":
                    cancelled.add(frame["id"])
                case "count":
                    counts = [len(prompt_tokens(model, segments)) for segments in frame["texts"]]
                    replies.send({"id": frame["id"], "type": "counted", "counts": counts, "bos": len(model.bos())})
        os._exit(0)

    replies.send({"id": 0, "type": "ready", "context_tokens": model.context_tokens, "device": model.device})
    threading.Thread(target=listen, name="requests", daemon=True).start()
    while True:
        frame = work.get()
        model.use(frame.get("adapter", ""))
        RUN[frame["type"]](model, frame, replies, functools.partial(cancelled.__contains__, frame["id"]))
        cancelled.discard(frame["id"])


if __name__ == "__main__":
    main()
