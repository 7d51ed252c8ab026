"""llama.cpp through its low-level interface: rows of tokens in, rows of logits out. Lives in the child only.

A loaded file with one context, whose memory (keys and values) holds many sequences side by side: a row names its token,
its position and its sequence, and one call evaluates rows of any sequences together. An adapter is either applied
beside the weights or has weights of its own (rag.engine.merging), which are one more file with one more context. Knows
no request, no chat template and no wire; what is evaluated when is rag.engine.scheduler's.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import llama_cpp
import numpy as np
import numpy.typing as npt

CHUNK = 256
"""Rows of one call at the most. More gain nothing on a CPU, which by then computes and no longer waits for memory."""

ABORTED = 2
"""What llama_decode returns when its abort flag was seen."""

Row = tuple[int, int, int, bool]
"""Token, position, sequence, and whether the logits after it are wanted."""

Logits = npt.NDArray[np.float32]
"""(n, vocabulary) float32."""


class LoadError(Exception):
    """llama.cpp could not load the file; the message is its own last complaint."""


def log_softmax(logits: Logits) -> Logits:
    """(n, v) logits to (n, v) natural log-probabilities."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(Logits, shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


_callbacks: list[object] = []
"""llama.cpp holds only bare pointers, and of the latest; none is ever freed under it."""


def set_log(receive: Callable[[int, bytes, ctypes.c_void_p], None]) -> None:
    """Hand llama.cpp's messages of this process to a function from now on."""
    callback = llama_cpp.llama_log_callback(receive)
    _callbacks.append(callback)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))


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

        set_log(receive)

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


class _Loaded:
    """One file of weights with its context."""

    def __init__(self, path: Path, model_options: Any, context_options: Callable[[Any], Any], log: _Log) -> None:
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), model_options)
        if not self.model:
            raise LoadError(log.complaint())
        self.context = llama_cpp.llama_init_from_model(self.model, context_options(self.model))
        if not self.context:
            raise LoadError(log.complaint())
        self.memory = llama_cpp.llama_get_memory(self.context)

    def close(self) -> None:
        """Free the context and the model, which frees its adapters."""
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


class Llama:
    """A loaded GGUF, and perhaps others. One thread evaluates; `tokenize`, `piece` and `abort` are for any."""

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int,
        threads: int,
        gpu_layers: int,
        adapters: Mapping[str, Path] | None = None,
        merged: Mapping[str, Path] | None = None,
        plain: bool = True,
        sequences: int = 1,
        memory_tokens: int = 0,
    ) -> None:
        """Load the file, and the LoRA adapters that `use` may name. Raises LoadError.

        context_tokens: the longest sequence; sequences: how many there may be side by side; memory_tokens: positions
        that the memory holds for all of them together, shared ones counted once (0: one longest sequence)
        merged: adapters that have weights of their own, each with a memory of its own; plain: whether the file itself
        is used at all, by those without an adapter or beside one
        """
        self._log = _Log()
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = (1 << 30) if gpu_layers < 0 else gpu_layers
        if not llama_cpp.llama_supports_gpu_offload():
            parameters.n_gpu_layers = 0
        self.sequences = sequences
        # The flag that ends a call early is read between any two operations, hundreds of times a call: too often to
        # enter Python. strlen of one changeable byte says the same: 0 to go on, 1 to stop.
        self._abort = ctypes.create_string_buffer(2)

        def options(model: Any) -> Any:
            trained = int(llama_cpp.llama_model_n_ctx_train(model))
            self.context_tokens = min(context_tokens, trained or context_tokens)
            self.memory_tokens = max(memory_tokens, self.context_tokens)
            options = llama_cpp.llama_context_default_params()
            options.n_ctx = self.memory_tokens
            options.n_batch = options.n_ubatch = CHUNK
            options.n_seq_max = sequences
            options.kv_unified = True  # sequences share one memory: a prompt is there once for all that follow it
            options.n_threads = options.n_threads_batch = threads
            options.no_perf = True
            options.abort_callback = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
            options.abort_callback_data = ctypes.cast(self._abort, ctypes.c_void_p)
            return options

        merged = merged or {}
        files = [path, *merged.values()] if plain or adapters or not merged else list(merged.values())
        self._loaded = {file: _Loaded(file, parameters, options, self._log) for file in dict.fromkeys(files)}
        self._now = first = next(iter(self._loaded.values()))
        self._weights = {name: self._loaded[file] for name, file in merged.items()}
        self._vocab = llama_cpp.llama_model_get_vocab(first.model)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        self._batch = llama_cpp.llama_batch_init(CHUNK, 0, 1)
        for i in range(CHUNK):
            self._batch.n_seq_id[i] = 1
        if path in self._loaded:
            self._weights[""] = self._loaded[path]
        self._adapters = {name: self._load_adapter(file) for name, file in (adapters or {}).items()}
        self.adapter = next(name for name, loaded in self._weights.items() if loaded is first)
        self._weights |= dict.fromkeys(self._adapters, self._weights.get("", first))
        self.device = self._log.device()

    # --- words ---

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

    @functools.cached_property
    def _pieces(self) -> list[bytes]:
        """The bytes of every token."""
        return [self.piece(token) for token in range(self.vocabulary_size)]

    @functools.cached_property
    def vocabulary(self) -> dict[bytes, int]:
        """Bytes to the token that is written for them; control tokens have none."""
        known: dict[bytes, int] = {}
        for token, piece in enumerate(self._pieces):
            if piece and not llama_cpp.llama_vocab_is_control(self._vocab, token):
                known.setdefault(piece, token)
        return known

    @functools.cached_property
    def longest_piece(self) -> int:
        """Bytes of the longest token, 32 at most."""
        return min(32, max(map(len, self.vocabulary)))

    @functools.cached_property
    def ends(self) -> list[int]:
        """Every token that ends a generation."""
        return [t for t in range(self.vocabulary_size) if llama_cpp.llama_vocab_is_eog(self._vocab, t)]

    def ends_generation(self, token: int) -> bool:
        """Whether a token ends a generation."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    # --- evaluation ---

    def use(self, adapter: str) -> None:
        """Evaluate with one of the loaded adapters from now on, or with none (''). Raises KeyError."""
        if adapter == self.adapter:
            return
        weights = self._weights[adapter]
        chosen = [self._adapters[adapter]] if adapter in self._adapters else []
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(*chosen)
        scales = (ctypes.c_float * 1)(1.0)
        if llama_cpp.llama_set_adapters_lora(weights.context, pointers, len(chosen), scales) != 0:
            raise RuntimeError(f"llama.cpp refused the adapter {adapter}: {self._log.complaint()}")
        self._now, self.adapter = weights, adapter

    def evaluate(self, rows: Sequence[Row]) -> Logits | None:
        """The logits of the wanted rows, in their order; None where `abort` ended it, and nothing was kept of it.

        rows: at most CHUNK, the positions of each sequence ascending from the next free one.
        """
        batch = self._batch
        batch.n_tokens = len(rows)
        tokens, positions, sequences, flags = batch.token, batch.pos, batch.seq_id, batch.logits
        wanted = []
        for i, (token, position, sequence, want) in enumerate(rows):
            tokens[i] = token
            positions[i] = position
            sequences[i][0] = sequence
            flags[i] = want
            if want:
                wanted.append(i)
        code = llama_cpp.llama_decode(self._now.context, batch)
        if code == ABORTED:
            return None
        if code != 0:
            raise RuntimeError(f"llama_decode returned {code} for {len(rows)} rows: {self._log.complaint()}")
        out = np.empty((len(wanted), self.vocabulary_size), np.float32)
        for place, i in enumerate(wanted):
            row = llama_cpp.llama_get_logits_ith(self._now.context, i)
            out[place] = np.ctypeslib.as_array(row, (self.vocabulary_size,))
        return out

    def abort(self, wanted: bool) -> None:
        """End the running call at once, and every later one, until this is taken back."""
        self._abort[0] = b"\x01" if wanted else b"\x00"

    def copy(self, source: int, target: int) -> None:
        """Let a sequence hold what another holds: the same keys and values, nothing is computed or moved."""
        self.remove(target)
        for loaded in self._loaded.values():  # a sequence is in one of them; in the others there is nothing to copy
            llama_cpp.llama_memory_seq_cp(loaded.memory, source, target, -1, -1)

    def remove(self, sequence: int, start: int = 0) -> None:
        """Forget a sequence from a position on."""
        for loaded in self._loaded.values():
            llama_cpp.llama_memory_seq_rm(loaded.memory, sequence, start, -1)

    def logits(self, tokens: Sequence[int]) -> Logits:
        """(n, vocabulary) float32 next-token logits after each of n tokens, from an empty memory."""
        llama_cpp.llama_memory_clear(self._now.memory, True)
        out = np.empty((len(tokens), self.vocabulary_size), np.float32)
        for start in range(0, len(tokens), CHUNK):
            part = tokens[start : start + CHUNK]
            found = self.evaluate([(token, start + i, 0, True) for i, token in enumerate(part)])
            assert found is not None  # noqa: S101  # nobody aborts here
            out[start : start + len(part)] = found
        return out

    def close(self) -> None:
        """Free everything that was loaded."""
        llama_cpp.llama_batch_free(self._batch)
        for loaded in self._loaded.values():
            loaded.close()

    def _load_adapter(self, path: Path) -> llama_cpp.llama_adapter_lora_p:
        adapter = llama_cpp.llama_adapter_lora_init(self._weights[""].model, str(path).encode())
        if not adapter:
            raise LoadError(f"adapter {path}: {self._log.complaint()}")
        return adapter
