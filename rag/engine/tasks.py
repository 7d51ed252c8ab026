"""What the engine does for a request, as tasks that yield rows and are sent their logits. Knows no batch.

A task is a generator: it yields rows (token, position, sequence, wanted), and goes on with the logits of the wanted
ones once all were evaluated, whenever and beside whatever else the scheduler likes. It owns its sequences, and returns
its result, a frame of rag.engine.wire without the request's id; only what is there sooner is told sooner.
"""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Callable, Generator, Sequence

import llama_cpp
import numpy as np

from rag.engine.llama import Llama, Logits, Row, log_softmax
from rag.engine.wire import Frame
from rag.stop_text import StopText

SCORED_ROWS = 64
"""Rows of continuations whose logits are kept at a time: 12 MB for a vocabulary of 49,152."""

Task = Generator[Sequence[Row], Logits, Frame]
Tell = Callable[[Frame], None]


def prompt_rows(tokens: Sequence[int], position: int, sequence: int, *, wanted: bool = True) -> list[Row]:
    """A prompt's rows; of the last one the logits are wanted."""
    last = len(tokens) - 1
    return [(token, position + i, sequence, wanted and i == last) for i, token in enumerate(tokens)]


def generate(
    model: Llama,
    sequence: int,
    position: int,
    rest: Sequence[int],
    *,
    max_tokens: int,
    temperature: float,
    seed: int,
    stop: Sequence[str],
    tell: Tell,
) -> Task:
    """The continuation of what `sequence` holds up to `position`, then `rest` (not empty): tells `piece` frames.

    Returns a `finished` frame, with the text that no piece had.

    Ends with a token that ends a generation, a stop string, or after `max_tokens`.
    """
    logits = yield prompt_rows(rest, position, sequence)
    position += len(rest)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = StopText(stop)
    count = 0
    with_sampler = _sampler(temperature, seed) if temperature > 0 else None
    try:
        while count < max_tokens:
            token = int(logits[0].argmax()) if with_sampler is None else _sample(with_sampler, logits[0])
            if model.ends_generation(token):
                break
            count += 1
            if piece := text.feed(decoder.decode(model.piece(token))):
                tell({"type": "piece", "text": piece})
            if text.found or count == max_tokens:
                break
            logits = yield [(token, position, sequence, True)]
            position += 1
    finally:
        if with_sampler is not None:
            llama_cpp.llama_sampler_free(with_sampler)
    tail = "" if text.found else text.feed(decoder.decode(b"", final=True)) + text.rest()
    finish = "length" if count >= max_tokens and not text.found else "stop"
    return {"type": "finished", "text": tail, "finish": finish, "completion_tokens": count}


def score(
    model: Llama,
    sequences: Sequence[int],
    position: int,
    rest: Sequence[int],
    continuations: Sequence[Sequence[int]],
) -> Task:
    """Natural log-probability of every token of each continuation (none empty) of one prompt: a `scored` frame.

    The prompt is evaluated once, in the first sequence; the continuations follow it side by side in the others.
    """
    prompt, *others = sequences
    first = log_softmax((yield prompt_rows(rest, position, prompt)))[0]
    position += len(rest)
    scores = [[float(first[tokens[0]])] for tokens in continuations]
    for begin in range(0, len(continuations), len(others)):
        group = range(begin, min(begin + len(others), len(continuations)))
        rows: list[Row] = []
        targets: list[tuple[int, int]] = []
        for i, sequence in zip(group, others, strict=False):
            tokens = continuations[i]
            model.copy(prompt, sequence)
            rows += [(token, position + at, sequence, True) for at, token in enumerate(tokens[:-1])]
            targets += [(i, token) for token in tokens[1:]]
        for start in range(0, len(rows), SCORED_ROWS):
            told = log_softmax((yield rows[start : start + SCORED_ROWS]))
            for row, (i, token) in zip(told, targets[start:], strict=False):
                scores[i].append(float(row[token]))
    return {"type": "scored", "logprobs": scores}


def _sampler(temperature: float, seed: int) -> llama_cpp.llama_sampler_p:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_k(40))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_p(0.95, 1))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_temp(temperature))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_dist(seed))
    return chain


def _sample(sampler: llama_cpp.llama_sampler_p, logits: Logits) -> int:
    """A token by a sampler chain, over one row of logits that may come from any batch."""
    candidates = np.empty(len(logits), _CANDIDATE)
    candidates["id"], candidates["logit"], candidates["p"] = np.arange(len(logits)), logits, 0.0
    data = candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
    array = llama_cpp.llama_token_data_array(data=data, size=len(logits), selected=-1, sorted=False)
    llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
    token = int(array.data[array.selected].id)
    llama_cpp.llama_sampler_accept(sampler, token)
    return token


_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama_token_data."""
