"""A bare llama_decode loop: some prompts evaluated together, then one greedy token for each a step. Nothing else.

What the engine is measured against: no process between, no scheduling, no text, no stop strings. Knows no engine.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence

import llama_cpp

BATCH = 512
"""Tokens of one llama_decode call: llama.cpp's own default of a physical batch."""


SILENT = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)
"""Drops llama.cpp's messages; a constant, since llama.cpp holds only the bare pointer."""


class Bare:
    """A loaded GGUF and a context that holds `sequences` sequences of `tokens` tokens each."""

    def __init__(self, path: str, *, sequences: int, tokens: int, threads: int) -> None:
        """Load it."""
        llama_cpp.llama_backend_init()
        llama_cpp.llama_log_set(SILENT, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = sequences * tokens
        options.n_batch = options.n_ubatch = BATCH
        options.n_seq_max = sequences
        options.kv_unified = True
        options.n_threads = options.n_threads_batch = threads
        options.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        self._sampler = llama_cpp.llama_sampler_init_greedy()

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text."""
        data = text.encode()
        found = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), found, len(found), False, special)
        return list(found[:count])

    def run(self, prompts: Sequence[Sequence[int]], *, max_tokens: int) -> tuple[int, float]:
        """Continue all prompts side by side until each ended; tokens generated, and seconds for everything."""
        begin = time.perf_counter()
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        living = self._prefill(prompts)
        generated = 0
        for step in range(max_tokens):
            ended = [
                sequence
                for sequence, (token, _) in living.items()
                if llama_cpp.llama_vocab_is_eog(self._vocabulary, token)
            ]
            for sequence in ended:
                del living[sequence]
            generated += len(living)
            if not living or step == max_tokens - 1:
                break
            for place, (sequence, (token, position)) in enumerate(living.items()):
                self._put(place, token, position, sequence, wanted=True)
            self._batch.n_tokens = len(living)
            self._decode()
            living = {
                sequence: (int(llama_cpp.llama_sampler_sample(self._sampler, self._context, place)), position + 1)
                for place, (sequence, (_, position)) in enumerate(living.items())
            }
        return generated, time.perf_counter() - begin

    def close(self) -> None:
        """Free everything."""
        llama_cpp.llama_sampler_free(self._sampler)
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> dict[int, tuple[int, int]]:
        """Evaluate all prompts in full batches; sequence -> (the first token after it, its position)."""
        row = [
            (token, position, sequence, position == len(prompt) - 1)
            for sequence, prompt in enumerate(prompts)
            for position, token in enumerate(prompt)
        ]
        first: dict[int, tuple[int, int]] = {}
        for start in range(0, len(row), BATCH):
            part = row[start : start + BATCH]
            for place, (token, position, sequence, last) in enumerate(part):
                self._put(place, token, position, sequence, wanted=last)
            self._batch.n_tokens = len(part)
            self._decode()
            for place, (_, position, sequence, last) in enumerate(part):
                if last:
                    token = int(llama_cpp.llama_sampler_sample(self._sampler, self._context, place))
                    first[sequence] = (token, position + 1)
        return first

    def _put(self, place: int, token: int, position: int, sequence: int, *, wanted: bool) -> None:
        batch = self._batch
        batch.token[place], batch.pos[place] = token, position
        batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
        batch.logits[place] = wanted

    def _decode(self) -> None:
        code = llama_cpp.llama_decode(self._context, self._batch)
        if code != 0:
            raise RuntimeError(f"llama_decode returned {code}")
