"""Texts to vectors by OpenVINO: a transformer's graph, exported once, run in batches of like length.

Batches follow each other without a wait, so that no core is idle while Python reads or writes. Knows no settings and no
hub.
"""

from __future__ import annotations

import inspect
import os
import shutil
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag.protocols import Tokenized

if TYPE_CHECKING:
    from openvino import InferRequest

WIDTH = 8
"""Tokens in steps of which a batch is widened. The runtime keeps working memory for each shape that it ever saw: with
every width its own, 150 questions' sentences took 150 MB and went on growing; in steps of 8 they take 60 and stay."""

STREAMS = 2
"""Batches in work at once, each on its share of the cores: two cores on a batch each embed a fifth more passages a
second than both on one batch, whose small products keep one waiting for the other."""

QUEUED = 4
"""Batches a stream is given: while Python pools and fills one, or a thread that reads or writes has the interpreter for
its 5 ms, the others are computed."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""Inputs of an exported graph, in order; models without segments take the first two."""

SHARE = 128
"""Padded tokens below which a batch is not cut for the sake of the streams: a question alone is one."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What turns token vectors into one text vector, read from the model's own files."""

    pooling: str
    normalise: bool
    max_tokens: int
    prompt: str


@dataclass(frozen=True, slots=True)
class _Batch:
    """Texts that are being computed."""

    request: InferRequest
    rows: list[int]
    mask: npt.NDArray[np.int64]


class OpenVinoRunner:
    """A compiled graph and its tokenizer; one caller at a time."""

    backend = "openvino"

    def __init__(self, folder: Path, graph: Path, recipe: Recipe, threads: int, batch_tokens: int) -> None:
        import openvino
        from tokenizers import Tokenizer

        self._recipe = recipe
        self._batch_tokens = batch_tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(recipe.max_tokens)
        core = openvino.Core()
        self._streams = min(STREAMS, threads)
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": self._streams, "PERFORMANCE_HINT": "LATENCY"}
        self._model = core.compile_model(core.read_model(graph), "CPU", options)
        self._idle: list[InferRequest] = []
        self._inputs = len(self._model.inputs)
        self.dimensions = int(self._model.outputs[0].get_partial_shape()[2].get_length())

    @property
    def describe(self) -> str:
        """What besides the weights decides the vectors."""
        return f"{self._recipe.pooling}/{self._recipe.normalise}/{self._recipe.max_tokens}/{self._recipe.prompt}"

    def tokens(self, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
        """(t,) what is read of each text, by its tokens' numbers."""
        encodings = self._tokenizer.encode_batch_fast([self._recipe.prompt + text for text in texts])
        return [np.array(encoding.ids, np.int32) for encoding in encodings]

    def encode_parts(self, texts: Sequence[Tokenized]) -> Generator[tuple[list[int], Rows], None, None]:
        """Rows and (n, d) float32 of some texts after the other, as they are done; meanwhile others are computed."""
        running: deque[_Batch] = deque()
        try:
            for rows, tokens, mask in self._batches(texts):
                if len(running) == self._streams * QUEUED:
                    yield self._finish(running)
                request = self._idle.pop() if self._idle else self._model.create_infer_request()
                feed = (tokens, mask, np.zeros_like(tokens))  # in the order of INPUTS
                request.start_async(dict(enumerate(feed[: self._inputs])))
                running.append(_Batch(request, rows, mask))
            while running:
                yield self._finish(running)
        finally:
            for batch in running:
                batch.request.wait()
                self._idle.append(batch.request)

    def _batches(
        self, texts: Sequence[Tokenized]
    ) -> Iterator[tuple[list[int], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Rows, tokens and mask, of texts of like length, so that little is padding."""
        ids = [text.tokens for text in texts if text.tokens is not None]  # all have: they were made here
        whole = sum(map(_widened, map(len, ids)))
        most = min(self._batch_tokens, max(SHARE, -(-whole // self._streams)))
        for rows in buckets([len(row) for row in ids], most):
            width = min(_widened(max(len(ids[i]) for i in rows)), self._recipe.max_tokens)
            tokens = np.zeros((len(rows), width), np.int64)
            mask = np.zeros((len(rows), width), np.int64)
            for place, i in enumerate(rows):
                tokens[place, : len(ids[i])] = ids[i]
                mask[place, : len(ids[i])] = 1
            yield rows, tokens, mask

    def _finish(self, running: deque[_Batch]) -> tuple[list[int], Rows]:
        """Wait for the batch that was begun first: its rows and their vectors."""
        batch = running[0]
        batch.request.wait()
        hidden = np.asarray(batch.request.get_output_tensor(0).data)
        if self._recipe.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weights = batch.mask.astype(np.float32)
            pooled = np.einsum("btd,bt->bd", hidden, weights) / weights.sum(axis=1, keepdims=True)
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        unit: Rows = pooled / np.maximum(norms, 1e-12)
        self._idle.append(running.popleft().request)
        return batch.rows, unit

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Tokens of each text that are read."""
        return [len(tokens) for tokens in self.tokens(texts)]


def _widened(length: int) -> int:
    """A batch's width for its longest row."""
    return -(-max(1, length) // WIDTH) * WIDTH


def buckets(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers in batches: shortest first, each batch at most `batch_tokens` with its padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * _widened(lengths[row]) > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def exported(folder: Path, sha256: str, cache: Path) -> Path:
    """The model's OpenVINO graph in the cache, exported on first use."""
    target = cache / "openvino" / sha256[:16]
    graph = target / "openvino_model.xml"
    if graph.is_file():
        return graph
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import openvino
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.set_verbosity_error()  # its load report tells of a buffer that newer versions no longer need
    logging.disable_progress_bar()

    class TokenVectors(torch.nn.Module):
        """(batch, tokens) int64 inputs to (batch, tokens, d) float32 vectors."""

        def __init__(self, transformer: Any) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, *tensors: Any) -> Any:
            return self.transformer(**dict(zip(INPUTS, tensors, strict=False))).last_hidden_state

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the converters: nothing to act on here
        transformer = SentenceTransformer(str(folder), device="cpu")[0].auto_model
        longest = int(transformer.config.max_position_embeddings)
        taken = inspect.signature(transformer.forward).parameters
        example = tuple(torch.ones((2, 16), dtype=torch.int64) for name in INPUTS if name in taken)
        batch, tokens = torch.export.Dim("batch", min=1, max=65536), torch.export.Dim("tokens", min=2, max=longest)
        with torch.no_grad():
            program = torch.export.export(
                TokenVectors(transformer).eval(),
                example,
                dynamic_shapes=(tuple({0: batch, 1: tokens} for _ in example),),
            )
        converted = openvino.convert_model(program)
    unfinished = target.with_name(f"{target.name}.new-{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    openvino.save_model(converted, unfinished / graph.name, compress_to_fp16=False)
    if not graph.is_file():
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    shutil.rmtree(unfinished, ignore_errors=True)
    return graph
