"""llama.cpp through its low-level interface: tokens in, tokens out, one request at a time. Lives in the child only.

Knows no chat template and no wire. The prompt comes as a fixed prefix and a rest: the prefix's keys and values
stay in memory between requests, the rest is always evaluated anew in the same chunks, so that the same prompt
gives the same words whatever was asked before (llama.cpp#4902: a prompt cache that depends on history does not).
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import llama_cpp
import numpy as np
import numpy.typing as npt

from rag.engine.spans import Found, Hypothesis, Spans

CHUNK = 256
"""Prompt tokens of one llama_decode call: a cancellation is seen between two of them."""


BEAM = 6
"""Hypotheses of an extraction that are evaluated side by side: one batch reads the weights once for all of them."""


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

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int,
        threads: int,
        gpu_layers: int,
        adapters: Mapping[str, Path] | None = None,
    ) -> None:
        """Load the file, and the LoRA adapters that `use` may name. Raises LoadError."""
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
        options.n_seq_max = 1 + BEAM
        options.kv_unified = True  # else each sequence would get its share of the context
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
        self._adapters = {name: self._load_adapter(file) for name, file in (adapters or {}).items()}
        self._adapter = ""
        self.device = self._log.device()

    def use(self, adapter: str) -> None:
        """Evaluate with one of the loaded adapters from now on, or with none (''). Raises KeyError."""
        if adapter == self._adapter:
            return
        chosen = [self._adapters[adapter]] if adapter else []
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(*chosen)
        scales = (ctypes.c_float * 1)(1.0)
        if llama_cpp.llama_set_adapters_lora(self._context, pointers, len(chosen), scales) != 0:
            raise RuntimeError(f"llama.cpp refused the adapter {adapter}: {self._log.complaint()}")
        self._adapter = adapter
        self._prefix = []  # what was evaluated with other weights is worth nothing now

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

    def extract(
        self,
        prefix: Sequence[int],
        rest: Sequence[int],
        texts: Sequence[str],
        alternatives: Sequence[str],
        *,
        max_tokens: int,
        stopped: Callable[[], bool],
    ) -> list[Found] | None:
        """The likeliest answers that are a stretch of one of `texts` or one of `alternatives`, best first.

        Beam search over all texts at once, at most `max_tokens` tokens an answer; None once `stopped()`. Prompt and
        `BEAM` answers must fit `context_tokens`. A place's first number counts the texts, then the alternatives.
        """
        position = self._prefill(prefix, rest, stopped)
        if position is None:
            return None
        spans = Spans(texts, alternatives, self._vocabulary, self._longest_piece)
        found: dict[tuple[tuple[int, int, int], ...], Found] = {}
        beam = _best(spans.first(_log_softmax(self._row(-1)[None])[0]))
        sequences = list(range(1, len(beam) + 1))
        for sequence in sequences:
            llama_cpp.llama_memory_seq_cp(self._memory, 0, sequence, 0, -1)
        try:
            for _ in range(max_tokens if beam else 0):
                if stopped():
                    return None
                self._evaluate_beam([hypothesis.token for hypothesis in beam], sequences, position)
                position += 1
                grown: list[Hypothesis] = []
                for i, hypothesis in enumerate(beam):
                    logprobs = _log_softmax(self._row(i)[None])[0]
                    end = float(np.logaddexp.reduce(logprobs[self._ends]))
                    done = spans.finished(hypothesis, end)
                    if done and (done.places not in found or found[done.places].logprob < done.logprob):
                        found[done.places] = done
                    grown += spans.next(hypothesis, i, logprobs)
                beam = _best(grown)
                enough = sorted((answer.logprob for answer in found.values()), reverse=True)[:BEAM]
                if not beam or (len(enough) == BEAM and beam[0].logprob < enough[-1]):
                    break
                sequences = self._fork(beam, sequences)
        finally:
            for sequence in range(1, BEAM + 1):
                llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return sorted(found.values(), key=lambda answer: -answer.logprob)

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
        """Free the context, the adapters and the model."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)  # the model frees its adapters
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

    def _load_adapter(self, path: Path) -> llama_cpp.llama_adapter_lora_p:
        adapter = llama_cpp.llama_adapter_lora_init(self._model, str(path).encode())
        if not adapter:
            raise LoadError(f"adapter {path}: {self._log.complaint()}")
        return adapter

    @functools.cached_property
    def _pieces(self) -> list[bytes]:
        """The bytes of every token."""
        return [self.piece(token) for token in range(self.vocabulary_size)]

    @functools.cached_property
    def _vocabulary(self) -> dict[bytes, int]:
        """Bytes to the token that is written for them; control tokens have none."""
        known: dict[bytes, int] = {}
        for token, piece in enumerate(self._pieces):
            if piece and not llama_cpp.llama_vocab_is_control(self._vocab, token):
                known.setdefault(piece, token)
        return known

    @functools.cached_property
    def _longest_piece(self) -> int:
        return min(32, max(map(len, self._vocabulary)))

    @functools.cached_property
    def _ends(self) -> list[int]:
        """Every token that ends a generation."""
        return [t for t in range(self.vocabulary_size) if llama_cpp.llama_vocab_is_eog(self._vocab, t)]

    def _fork(self, beam: Sequence[Hypothesis], before: Sequence[int]) -> list[int]:
        """Give every hypothesis a sequence that holds its parent's words; the sequences, in the beam's order.

        The first child of a parent keeps its sequence; the others copy it into one that nobody needs any more.
        """
        kept: dict[int, int] = {}
        for i, hypothesis in enumerate(beam):
            kept.setdefault(hypothesis.parent, i)
        owned = {before[parent] for parent in kept}
        free = [sequence for sequence in range(1, BEAM + 1) if sequence not in owned]
        sequences = []
        for i, hypothesis in enumerate(beam):
            own = before[hypothesis.parent]
            if kept[hypothesis.parent] != i:
                copy = free.pop()
                llama_cpp.llama_memory_seq_rm(self._memory, copy, -1, -1)
                llama_cpp.llama_memory_seq_cp(self._memory, own, copy, -1, -1)
                own = copy
            sequences.append(own)
        return sequences

    def _restore(self, prefix: list[int]) -> None:
        if self._prefix == prefix and llama_cpp.llama_memory_seq_rm(self._memory, 0, len(prefix), -1):
            return
        llama_cpp.llama_memory_clear(self._memory, True)
        self._prefix = []
        for start in range(0, len(prefix), CHUNK):
            self._evaluate(prefix[start : start + CHUNK], start)
        self._prefix = prefix

    def _evaluate_beam(self, tokens: Sequence[int], sequences: Sequence[int], position: int) -> None:
        """One token for each of some sequences, all at the same position, logits for every one."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, (token, sequence) in enumerate(zip(tokens, sequences, strict=True)):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = True
        self._decode(position)

    def _evaluate(self, tokens: Sequence[int], position: int, *, every: bool = False) -> None:
        batch, last = self._batch, len(tokens) - 1
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = every or i == last
        self._decode(position)

    def _decode(self, position: int) -> None:
        code = llama_cpp.llama_decode(self._context, self._batch)
        if code != 0:
            raise RuntimeError(f"llama_decode returned {code} at position {position}: {self._log.complaint()}")


def _best(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The likeliest, at most a beam of them."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.logprob)[:BEAM]


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
