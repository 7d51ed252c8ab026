"""A local GGUF behind the LanguageModel protocol: chat template in, the supervised generator process out.

Knows no file of a hub and no settings; the path was verified before (rag.adapters.model_files).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rag.engine.supervisor import Supervisor
from rag.engine.wire import Frame
from rag.errors import Cancelled
from rag.profiles import TEMPLATES, segments
from rag.types import EngineStatistics, Likelihood, Message, ModelCard, Piece, Place, Prompt, Span


class Tally:
    """Counts of what passes between this model and its engine, across the engine's restarts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._counts = dict.fromkeys(("prompt_tokens", "cached_tokens", "generated_tokens", "cancelled"), 0)
        self._engine = dict.fromkeys(("steps", "evaluated_tokens", "prefix_hits", "prefix_misses"), 0)
        self._past = dict(self._engine)
        """what engines that have died since had counted"""

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request, from its asking to its end."""
        with self._lock:
            self._asked += 1
        try:
            yield
        except (Cancelled, GeneratorExit):
            with self._lock:
                self._counts["cancelled"] += 1
            raise
        finally:
            with self._lock:
                self._asked -= 1

    def finished(self, frame: Frame) -> None:
        """What the last frame of a request says of its tokens."""
        with self._lock:
            self._counts["prompt_tokens"] += frame["prompt_tokens"]
            self._counts["cached_tokens"] += frame["cached_tokens"]
            self._counts["generated_tokens"] += frame.get("completion_tokens", 0)

    def told(self, now: Mapping[str, int], *, restarts: int, process_id: int | None) -> EngineStatistics:
        """Everything so far. now: what the engine counts and does; empty while there is none."""
        with self._lock:
            if now:
                if now["steps"] < self._engine["steps"]:  # another process than the last time
                    self._past = {name: self._past[name] + count for name, count in self._engine.items()}
                self._engine = {name: now[name] for name in self._engine}
            counted = {name: self._past[name] + count for name, count in self._engine.items()}
            running = now.get("running", 0)
            return EngineStatistics(
                running=running,
                waiting=max(0, self._asked - running),
                sequences=now.get("sequences", 0),
                steps=counted["steps"],
                batch_tokens=counted["evaluated_tokens"],
                prefix_hits=counted["prefix_hits"],
                prefix_misses=counted["prefix_misses"],
                restarts=restarts,
                process_id=process_id,
                **self._counts,
            )


OWN_WORDS = "own words "
"""What the engine knows the weights for own words by, before an adapter's name."""

MOST_PARALLEL = 16
"""Requests side by side at the most unless a setting says more: llama.cpp holds 256 sequences, a request up to 7."""


class LlamaModel:
    """llama.cpp in a process of its own. Loading begins at once; the first use waits for it."""

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        template: str,
        context_tokens: int,
        threads: int,
        gpu_layers: int,
        max_waiting: int,
        parallel: int = 0,
        memory_tokens: int = 0,
        fingerprint: str,
        licence: str = "",
        weights_format: str = "as-shipped",
        own_words_format: str = "",
        weights: str = "",
        adapters: Mapping[str, Path] | None = None,
        merged: Mapping[str, Path] | None = None,
        own_words: Mapping[str, Path] | None = None,
        plain: bool = True,
        adapter_of: Callable[[str], str] = lambda _domain: "",
    ) -> None:
        """threads: 0 for one a core; gpu_layers: -1 for all where the build has a GPU.

        parallel: requests that are worked on together, 0: two a thread; memory_tokens: for all of them, 0: two contexts

        adapters: LoRA files by their hex sha256; merged: weights that hold one, by the same; adapter_of: a domain to
        one of these, or '' for the plain model; plain: whether it answers any; own_words: weights that are generated
        with in place of those that score and extract, by the same
        """
        self._template = template
        self._name, self._licence = name, licence
        self._fingerprint, self._format = fingerprint, weights_format
        self._own_words = {name: OWN_WORDS + name for name in own_words or {}}
        self._own_words_format = own_words_format if self._own_words else ""
        self._weights = weights
        self._adapter_of = adapter_of
        threads = threads or len(os.sched_getaffinity(0))
        load = {
            "path": str(path),
            "context_tokens": context_tokens,
            "threads": threads,
            "parallel": parallel or min(2 * threads, MOST_PARALLEL),
            "memory_tokens": memory_tokens,
            "gpu_layers": gpu_layers,
            "adapters": {name: str(file) for name, file in (adapters or {}).items()},
            "merged": {name: str(file) for name, file in (merged or {}).items()}
            | {self._own_words[name]: str(file) for name, file in (own_words or {}).items()},
            "plain": plain,
        }
        self._engine = Supervisor(load, max_waiting=max_waiting)
        self._tally = Tally()

    @property
    def card(self) -> ModelCard:
        """What is loaded, and where it really runs. Waits for loading; raises ModelUnavailable."""
        ready = self._engine.wait_ready()
        return ModelCard(
            name=self._name,
            fingerprint=self._fingerprint,
            context_tokens=ready["context_tokens"],
            device=ready["device"],
            weights_format=self._format,
            own_words_format=self._own_words_format,
            licence=self._licence,
            scores=True,
            weights=self._weights,
        )

    @property
    def restarts(self) -> int:
        """How often the generator process had to be started again."""
        return self._engine.restarts

    @property
    def process_id(self) -> int | None:
        """The generator process, for those who watch memory; None between two processes."""
        return self._engine.process_id

    def adapter(self, domain: str) -> str:
        """The adapter of a domain; see rag.protocols.LanguageModel."""
        return self._adapter_of(domain)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, markers in it taken as plain text."""
        return self._engine.count([[[text, False]] for text in texts])[0] if texts else []

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the rendered prompt, template and begin-of-text included."""
        counts, bos = self._engine.count([self._render(messages)])
        return counts[0] + bos

    def generate(self, prompt: Prompt, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Piece]:
        """Stream the continuation; see rag.protocols.LanguageModel."""
        request = self._request(prompt)
        request |= {
            "adapter": self._own_words.get(request["adapter"], request["adapter"]),
            "max_tokens": prompt.max_tokens,
            "temperature": prompt.temperature,
            "seed": prompt.seed,
            "stop": [*prompt.stop, TEMPLATES[self._template].stop],
        }
        with self._tally.request():
            for frame in self._engine.generate(request, timeout=prompt.timeout_seconds, cancelled=cancelled):
                if frame["type"] == "piece":
                    yield Piece(text=frame["text"])
                else:
                    self._tally.finished(frame)
                    yield Piece(
                        text=frame["text"],
                        finish=frame["finish"],
                        prompt_tokens=frame["prompt_tokens"],
                        cached_tokens=frame["cached_tokens"],
                        completion_tokens=frame["completion_tokens"],
                    )

    def score(
        self, prompt: Prompt, continuations: Sequence[str], *, cancelled: Callable[[], bool] | None = None
    ) -> list[Likelihood]:
        """Log-probabilities of continuations; see rag.protocols.LanguageModel."""
        request = {**self._request(prompt), "continuations": list(continuations)}
        with self._tally.request():
            frame = self._engine.score(request, timeout=prompt.timeout_seconds, cancelled=cancelled)
            self._tally.finished(frame)
        return [Likelihood(logprob=sum(tokens), tokens=len(tokens)) for tokens in frame["logprobs"]]

    def extract(
        self,
        prompt: Prompt,
        texts: Sequence[str],
        *,
        alternatives: Sequence[str] = (),
        worth: Sequence[Sequence[tuple[int, int, float]]] = (),
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Span]:
        """The likeliest answers within some texts; see rag.protocols.LanguageModel."""
        request = {
            **self._request(prompt),
            "texts": list(texts),
            "alternatives": list(alternatives),
            "worth": [list(stretches) for stretches in worth],
            "max_tokens": prompt.max_tokens,
        }
        with self._tally.request():
            frame = self._engine.extract(request, timeout=prompt.timeout_seconds, cancelled=cancelled)
            self._tally.finished(frame)
        return [
            Span(
                places=tuple(Place(text=text, start=start, end=end) for text, start, end in span["places"]),
                logprob=sum(span["logprobs"]),
                tokens=len(span["logprobs"]),
            )
            for span in frame["spans"]
        ]

    def statistics(self) -> EngineStatistics:
        """What the engine does and has done; see rag.protocols.LanguageModel."""
        return self._tally.told(
            self._engine.statistics(), restarts=self._engine.restarts, process_id=self._engine.process_id
        )

    def close(self) -> None:
        """End the generator process."""
        self._engine.close()

    def _request(self, prompt: Prompt) -> Frame:
        """What every request to the engine says."""
        rendered = self._render(prompt.messages)
        fixed = self._fixed_segments(prompt.messages, rendered)
        return {"prefix": rendered[:fixed], "rest": rendered[fixed:], "adapter": self._adapter_of(prompt.domain)}

    def _render(self, messages: Sequence[Message]) -> list[list[object]]:
        return [[segment.text, segment.special] for segment in segments(self._template, messages)]

    def _fixed_segments(self, messages: Sequence[Message], rendered: list[list[object]]) -> int:
        """How many leading segments do not depend on the last message: what the engine keeps evaluated."""
        last = messages[-1].model_copy(update={"content": "\x00"})
        other = self._render([*messages[:-1], last])
        same = 0
        while same < min(len(rendered), len(other)) and rendered[same] == other[same]:
            same += 1
        return min(same, len(rendered) - 1)
