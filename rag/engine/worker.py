"""The generator's own process: reads requests from standard input, writes replies to a private descriptor.

llama.cpp aborts take their process with them; this one holds nothing that cannot be started again. Requests become jobs
of the scheduler, which owns the model; counting, cancelling and statistics are answered beside it. Ends when its input
ends. Run by rag.engine.supervisor as `python -m rag.engine.worker`; imports llama.cpp and numpy, nothing heavier.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from rag.engine import tasks
from rag.engine.beams import BEAM, extract
from rag.engine.llama import Llama, LoadError
from rag.engine.scheduler import PREFIX_SEQUENCES, Job, Scheduler
from rag.engine.spans import Spans
from rag.engine.wire import Frame, read_frame, write_frame


class TooLong(Exception):
    """A request that does not fit; the message says what it takes and what there is."""


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


class Jobs:
    """Frames to jobs: tokenized, measured, with where their results go."""

    def __init__(self, model: Llama, replies: Replies, *, capacity: int) -> None:
        """capacity: positions that the memory has for all requests together."""
        self._model, self._replies, self._capacity = model, replies, capacity

    def make(self, frame: Frame) -> Job:
        """The job of a `generate`, `score` or `extract` frame. Raises TooLong."""
        prefix = self._model.bos() + prompt_tokens(self._model, frame["prefix"])
        rest = prompt_tokens(self._model, frame["rest"])
        total = len(prefix) + len(rest)
        if not rest:
            raise TooLong("the prompt is empty")
        cached = 0

        def send(reply: Frame) -> None:
            counts = {} if reply["type"] == "piece" else {"prompt_tokens": total, "cached_tokens": cached}
            self._replies.send({"id": frame["id"], **reply, **counts})

        def admitted(known: int) -> None:
            nonlocal cached
            cached = known
            self._replies.send({"id": frame["id"], "type": "started"})

        match frame["type"]:
            case "generate":
                sequences, cells, start = self._generate(frame, rest, total, send)
            case "score":
                sequences, cells, start = self._score(frame, rest, total)
            case _:
                sequences, cells, start = self._extract(frame, rest, total)
        return Job(
            number=frame["id"],
            adapter=frame.get("adapter", ""),
            prefix=tuple(prefix),
            sequences=sequences,
            cells=cells,
            start=start,
            admitted=admitted,
            finished=send,
            cancelled=lambda: self._replies.send({"id": frame["id"], "type": "cancelled"}),
        )

    def _generate(self, frame: Frame, rest: list[int], total: int, send: tasks.Tell) -> Plan:
        room = self._model.context_tokens - total
        if room < 1:
            raise TooLong(
                f"the prompt has {total} tokens, the context holds {self._model.context_tokens}, the answer included"
            )
        limit = min(frame["max_tokens"], room)

        def start(sequences: Sequence[int], position: int) -> tasks.Task:
            return tasks.generate(
                self._model,
                sequences[0],
                position,
                rest,
                max_tokens=limit,
                temperature=frame["temperature"],
                seed=frame["seed"],
                stop=frame["stop"],
                tell=send,
            )

        return 1, total + limit, start

    def _score(self, frame: Frame, rest: list[int], total: int) -> Plan:
        continuations = [self._model.tokenize(text, special=False) for text in frame["continuations"]]
        longest = max(map(len, continuations))
        beside = min(BEAM, len(continuations), max(1, (self._capacity - total) // longest))
        if total + longest > self._model.context_tokens:
            size = self._model.context_tokens
            raise TooLong(f"the prompt has {total} tokens and the longest option {longest}, the context {size}")

        def start(sequences: Sequence[int], position: int) -> tasks.Task:
            return tasks.score(self._model, sequences, position, rest, continuations)

        return 1 + beside, total + beside * longest, start

    def _extract(self, frame: Frame, rest: list[int], total: int) -> Plan:
        room = min(self._model.context_tokens - total, (self._capacity - total) // BEAM)
        if room < 1:
            size = self._model.context_tokens
            raise TooLong(f"the prompt has {total} tokens, the context holds {size}, {BEAM} answers included")
        limit = min(frame["max_tokens"], room)
        model = self._model
        spans = Spans(
            frame["texts"], frame["alternatives"], model.vocabulary, model.longest_piece, frame.get("worth", ())
        )

        def start(sequences: Sequence[int], position: int) -> tasks.Task:
            return extract(self._model, sequences, position, rest, spans, max_tokens=limit)

        return 1 + BEAM, total + BEAM * limit, start


Plan = tuple[int, int, Callable[[Sequence[int], int], tasks.Task]]
"""Sequences and positions that a job needs, and its task."""


def serve(model: Llama, requests: BinaryIO, replies: Replies, *, parallel: int) -> None:
    """Answer frames until the input ends, which ends the process."""
    scheduler = Scheduler(model, parallel=parallel)
    jobs = Jobs(model, replies, capacity=scheduler.capacity)

    def listen() -> None:
        while (frame := read_frame(requests)) is not None:
            match frame["type"]:
                case "generate" | "score" | "extract":
                    try:
                        scheduler.submit(jobs.make(frame))
                    except TooLong as error:
                        reply = {"id": frame["id"], "type": "failed", "code": "too_long", "message": str(error)}
                        replies.send(reply)
                case "cancel":
                    scheduler.cancel(frame["id"])
                case "count":
                    counts = [len(prompt_tokens(model, segments)) for segments in frame["texts"]]
                    replies.send({"id": frame["id"], "type": "counted", "counts": counts, "bos": len(model.bos())})
                case "statistics":
                    replies.send({"id": frame["id"], "type": "statistics", "counts": scheduler.counts()})
        os._exit(0)

    replies.send({"id": 0, "type": "ready", "context_tokens": model.context_tokens, "device": model.device})
    threading.Thread(target=listen, name="requests", daemon=True).start()
    scheduler.run()


def main() -> None:
    """Load as the first frame says, then serve."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = Replies(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever a library prints must not look like a frame
    load = read_frame(requests)
    if load is None:
        return
    parallel = load.get("parallel", 1)
    try:
        model = Llama(
            Path(load["path"]),
            context_tokens=load["context_tokens"],
            threads=load["threads"],
            gpu_layers=load["gpu_layers"],
            adapters={name: Path(path) for name, path in load.get("adapters", {}).items()},
            merged={name: Path(path) for name, path in load.get("merged", {}).items()},
            plain=load.get("plain", True),
            sequences=parallel * (1 + BEAM) + PREFIX_SEQUENCES,
            memory_tokens=max(load.get("memory_tokens", 0), 2 * load["context_tokens"]),
        )
    except LoadError as error:
        replies.send({"id": 0, "type": "failed", "code": "load", "message": str(error)})
        return
    serve(model, requests, replies, parallel=parallel)


if __name__ == "__main__":
    main()
