"""llama.cpp through its low-level interface: tokens in, tokens out, one sequence. Lives in the child only.

Knows no chat template and no wire. The prompt comes as a fixed prefix and a rest: the prefix's keys and values
stay in memory between requests, the rest is always evaluated anew in the same chunks, so that the same prompt
gives the same words whatever was asked before (llama.cpp#4902: a prompt cache that depends on history does not).
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import llama_cpp
import numpy as np
import numpy.typing as npt

CHUNK = 256
"""Prompt tokens of one llama_decode call: a cancellation is seen between two of them."""


class LoadError(Exception):
    """llama.cpp could not load the file; the message is its own last complaint."""


class _Log:
    """Collects llama.cpp's messages: complaints for an error, and where the layers went."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._partial = ""

        def receive(_level: int, text: bytes, _data: ctypes.c_void_p) -> None:
            self._partial += text.decode("utf-8", "replace")
            *whole, self._partial = self._partial.split("\n")
            self.lines.extend(whole)
            del self.lines[:-400]

        self._callback = llama_cpp.llama_log_callback(receive)  # kept: llama.cpp holds only the bare pointer
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def complaint(self) -> str:
        """The last line that tells of a failure."""
        told = [line.strip() for line in self.lines if re.search(r"error|fail|unknown|invalid|missing", line, re.I)]
        first = next((line for line in told if "error loading model" in line), None)
        return first or (told[-1] if told else "no reason given")

    def device(self) -> str:
        """'cpu', or the GPU that layers were really put on, with their number."""
        name = ""
        for line in self.lines:
            if found := re.search(r"using device (\S+) \(([^)]*)\)", line):
                name = found[2]
            if (moved := re.search(r"offloaded (\d+)/(\d+) layers to GPU", line)) and int(moved[1]) > 0:
                return f"{name or 'gpu'} ({moved[1]} of {moved[2]} layers)"
        return "cpu"


class Llama:
    """A loaded GGUF with one context. Not thread-safe, but for `tokenize`."""

    def __init__(self, path: Path, *, context_tokens: int, threads: int, gpu_layers: int) -> None:
        """Load the file. Raises LoadError."""
        self._log = _Log()
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = (1 << 30) if gpu_layers < 0 else gpu_layers
        if not llama_cpp.llama_supports_gpu_offload():
            parameters.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise LoadError(self._log.complaint())
        self.context_tokens = min(context_tokens, int(llama_cpp.llama_model_n_ctx_train(self._model)) or context_tokens)
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = self.context_tokens
        options.n_batch = options.n_ubatch = CHUNK
        options.n_seq_max = 1
        options.n_threads = options.n_threads_batch = threads
        options.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        if not self._context:
            raise LoadError(self._log.complaint())
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        self._batch = llama_cpp.llama_batch_init(CHUNK, 0, 1)
        self._prefix: list[int] = []
        self.device = self._log.device()

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of `text`; marker strings become special tokens only where `special` says so."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        tokens = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, size, False, special)
        if count < 0:
            size = -count
            tokens = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, size, False, special)
        return list(tokens[:count])

    def bos(self) -> list[int]:
        """The begin-of-text token where the file says to add one, else nothing."""
        return [int(llama_cpp.llama_vocab_bos(self._vocab))] if llama_cpp.llama_vocab_get_add_bos(self._vocab) else []

    def piece(self, token: int) -> bytes:
        """The bytes of a token; control tokens have none."""
        buffer = ctypes.create_string_buffer(64)
        count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, 64, 0, False)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, -count, 0, False)
        return buffer.raw[:count]

    def generate(
        self,
        prefix: Sequence[int],
        rest: Sequence[int],
        *,
        max_tokens: int,
        temperature: float,
        seed: int,
        stopped: Callable[[], bool],
    ) -> Iterator[int]:
        """Tokens after the prompt, up to `max_tokens` or an end-of-generation token (not yielded).

        Ends early once `stopped()`. The prompt and the answer must fit `context_tokens`; `rest` is not empty.
        """
        position = self._prefill(prefix, rest, stopped)
        if position is None:
            return
        sampler = _sampler(temperature, seed)
        try:
            for _ in range(max_tokens):
                token = int(llama_cpp.llama_sampler_sample(sampler, self._context, -1))
                if llama_cpp.llama_vocab_is_eog(self._vocab, token) or stopped():
                    return
                yield token
                self._evaluate([token], position)
                position += 1
        finally:
            llama_cpp.llama_sampler_free(sampler)

    def likelihoods(
        self,
        prefix: Sequence[int],
        rest: Sequence[int],
        continuations: Sequence[Sequence[int]],
        *,
        stopped: Callable[[], bool],
    ) -> list[list[float]] | None:
        """Natural log-probability of every token of each continuation after the prompt; None once `stopped()`.

        The prompt is evaluated once: each continuation follows the same keys and values, which are then taken back.
        Prompt and longest continuation must fit `context_tokens`; `rest` is not empty, nor is any continuation.
        """
        position = self._prefill(prefix, rest, stopped)
        if position is None:
            return None
        first = _log_softmax(self._row(-1)[None])[0]
        found: list[list[float]] = []
        for tokens in continuations:
            scores = [float(first[tokens[0]])]
            for start in range(0, len(tokens) - 1, CHUNK):
                if stopped():
                    return None
                part = tokens[start : min(start + CHUNK, len(tokens) - 1)]
                self._evaluate(part, position + start, every=True)
                rows = _log_softmax(np.stack([self._row(i) for i in range(len(part))]))
                scores += [float(rows[i, tokens[start + i + 1]]) for i in range(len(part))]
            llama_cpp.llama_memory_seq_rm(self._memory, 0, position, -1)
            found.append(scores)
        return found

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """(n, vocabulary) float32 next-token logits after each of n tokens, from an empty context."""
        llama_cpp.llama_memory_clear(self._memory, True)
        self._prefix = []
        out = np.empty((len(tokens), self.vocabulary_size), np.float32)
        for start in range(0, len(tokens), CHUNK):
            part = tokens[start : start + CHUNK]
            self._evaluate(part, start, every=True)
            for i in range(len(part)):
                out[start + i] = self._row(i)
        return out

    def close(self) -> None:
        """Free the context and the model."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def cached(self, prefix: Sequence[int]) -> int:
        """How many tokens of this prefix need no evaluation."""
        return len(self._prefix) if self._prefix == list(prefix) else 0

    def _prefill(self, prefix: Sequence[int], rest: Sequence[int], stopped: Callable[[], bool]) -> int | None:
        """Evaluate a prompt; the position after it, or None once `stopped()`."""
        self._restore(list(prefix))
        position = len(prefix)
        for start in range(0, len(rest), CHUNK):
            if stopped():
                return None
            self._evaluate(rest[start : start + CHUNK], position)
            position += len(rest[start : start + CHUNK])
        return position

    def _row(self, i: int) -> npt.NDArray[np.float32]:
        """Logits of the i-th token of the last batch, (vocabulary,) float32: a view, gone with the next one."""
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, i), (self.vocabulary_size,))

    def _restore(self, prefix: list[int]) -> None:
        if self._prefix == prefix and llama_cpp.llama_memory_seq_rm(self._memory, 0, len(prefix), -1):
            return
        llama_cpp.llama_memory_clear(self._memory, True)
        self._prefix = []
        for start in range(0, len(prefix), CHUNK):
            self._evaluate(prefix[start : start + CHUNK], start)
        self._prefix = prefix

    def _evaluate(self, tokens: Sequence[int], position: int, *, every: bool = False) -> None:
        batch, last = self._batch, len(tokens) - 1
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = every or i == last
        code = llama_cpp.llama_decode(self._context, batch)
        if code != 0:
            raise RuntimeError(f"llama_decode returned {code} at position {position}: {self._log.complaint()}")


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, v) logits to (n, v) natural log-probabilities."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(npt.NDArray[np.float32], shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _sampler(temperature: float, seed: int) -> llama_cpp.llama_sampler_p:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    if temperature <= 0:
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
        return chain
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_k(40))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_p(0.95, 1))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_temp(temperature))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_dist(seed))
    return chain
