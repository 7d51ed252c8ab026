"""Everything that is counted and timed, for Prometheus, in a registry of the application's own. Knows no route.

Label values are bounded: route templates, methods and statuses of HTTP, codes of problems, kinds of reasons. None is a
domain, a key or a caller's word, since one key's domains are a secret to another.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rag.types import Answer, EngineStatistics, Health, ModelCard

SECONDS = (
    *(0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8),
    *(1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0),
)
"""Upper bounds of times: from 10 ms, a search, to 30 s, as long as anyone waits; neighbours differ by half at most."""

TOKENS_PER_SECOND = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Upper bounds: a model writes at the lower ones and reads at the upper ones."""

WORK = {"generate": "writing", "extract": "reading", "choose": "reading"}
"""Stages in which the model works, and what it does there: writes an answer, or reads passages to find it in them."""

REASONS = {
    "nothing was found": "nothing_found",
    "nothing in this domain": "nothing_relevant",
    "the passages hold no words": "no_words",
    "the model found no answer": "refused",
    "the model wrote nothing": "empty",
    "no passage supports": "unsupported",
    "no passage says": "unknown_name",
    "what the passages say is too unsure": "unsure",
    "its words do not stand": "unverified",
}
"""How the sentence begins that says why an answer abstains, and the kind that is counted; any other is `other`."""

ENGINE_COUNTS = {
    "understudy_engine_prompt_tokens": ("prompt_tokens", "Tokens of prompts, the cached ones included."),
    "understudy_engine_cached_tokens": ("cached_tokens", "Tokens of prompts that were not evaluated again."),
    "understudy_engine_generated_tokens": ("generated_tokens", "Tokens that the engine generated."),
    "understudy_engine_steps": ("steps", "Batches that the engine evaluated."),
    "understudy_engine_batch_tokens": ("batch_tokens", "Tokens in all batches; by the steps: the mean batch."),
    "understudy_engine_prefix_hits": ("prefix_hits", "Requests whose prefix was kept from an earlier one."),
    "understudy_engine_prefix_misses": ("prefix_misses", "Requests whose prefix was evaluated."),
    "understudy_engine_cancelled": ("cancelled", "Requests that the engine gave up before their end."),
    "understudy_engine_restarts": ("restarts", "Engine processes that were started after the first."),
}
ENGINE_GAUGES = {
    "understudy_engine_running": ("running", "Requests that the engine works on now."),
    "understudy_engine_waiting": ("waiting", "Requests that wait for the engine now."),
    "understudy_engine_sequences": ("sequences", "Sequences in the engine's batch now."),
}


@dataclass(frozen=True, slots=True)
class Readings:
    """What is read at the moment of a scrape."""

    health: Health
    answers: Mapping[str, int]
    """how many are `running` and `waiting` now"""
    engine: EngineStatistics | None = None
    card: ModelCard | None = None
    spared: Mapping[str, int] = field(default_factory=dict)
    """answers that took no work of their own: `joined` another caller's, or `replayed` from those kept"""
    jobs: Mapping[str, int] = field(default_factory=dict)
    """ingestion jobs that are remembered, by state"""


class Measurements(Collector):
    """The counters and histograms of one application, and a scrape's readings."""

    def __init__(self) -> None:
        # A second series for each, that tells when it began, is twice the data for what a scrape's gap tells as well.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own omission
        self.registry = registry = CollectorRegistry(auto_describe=False)
        self._readings = Readings(Health(ready=False, checks={}), {})
        labels = ["route", "method", "status"]
        self._requests = Counter("understudy_requests", "Requests.", labels, registry=registry)
        self._request_seconds = _times("understudy_request_seconds", "Time of requests.", registry, "route", "method")
        self._rejected = Counter(
            "understudy_rejected", "Requests turned away with 429 or 503, by problem.", ["reason"], registry=registry
        )
        self._queue = _times("understudy_queue_seconds", "Time from a question to the start of its answer.", registry)
        self._first = _times(
            "understudy_first_token_seconds", "Time from a question to the first words of its answer.", registry
        )
        self._answers = _times("understudy_answer_seconds", "Time from a question to its answer.", registry, "basis")
        self._tokens = Counter(
            "understudy_answer_tokens", "Tokens of prompts and of answers.", ["direction"], registry=registry
        )
        self._speed = Histogram(
            "understudy_answer_tokens_per_second",
            "Speed of the model: tokens written a second, or tokens read.",
            ["work"],
            buckets=TOKENS_PER_SECOND,
            registry=registry,
        )
        self._abstained = Counter(
            "understudy_abstained", "Answers that abstain, by the kind of reason.", ["reason"], registry=registry
        )
        self._citations = Counter("understudy_citations", "Citations that were given.", registry=registry)
        self._dropped = Counter(
            "understudy_citation_failures", "Citations that did not stand in the stored text.", registry=registry
        )
        self._failed = Counter(
            "understudy_answers_failed", "Answers that ended with a problem.", ["reason"], registry=registry
        )
        self._cancelled = Counter("understudy_answers_cancelled", "Answers that nobody waited for.", registry=registry)
        registry.register(self)

    def request_ended(self, *, route: str, method: str, status: int, seconds: float, problem: str) -> None:
        """One request; `problem` is its code, or empty; status 0 where the caller left before there was one."""
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route, method).observe(seconds)
        if status in (429, 503) and problem:
            self._rejected.labels(problem).inc()

    def answer_started(self, waited_seconds: float) -> None:
        """Its work began."""
        self._queue.observe(waited_seconds)

    def answer_spoke(self, seconds: float) -> None:
        """Its first words came."""
        self._first.observe(seconds)

    def answer_given(self, answer: Answer, seconds: float) -> None:
        """It is whole."""
        self._answers.labels(answer.basis).observe(seconds)
        self._tokens.labels("in").inc(answer.trace.prompt_tokens)
        self._tokens.labels("out").inc(answer.trace.completion_tokens)
        self._citations.inc(len(answer.citations))
        self._dropped.inc(answer.trace.citations_dropped)
        if answer.abstained:
            self._abstained.labels(reason_kind(answer.reason)).inc()
        tokens = {"writing": answer.trace.completion_tokens, "reading": answer.trace.prompt_tokens}
        for timing in answer.trace.timings:
            work = WORK.get(timing.stage)
            if work and timing.milliseconds > 0 and tokens[work]:
                self._speed.labels(work).observe(tokens[work] / (timing.milliseconds / 1000))

    def answer_failed(self, code: str) -> None:
        """It ended with a problem of this code."""
        self._failed.labels(code).inc()

    def answer_cancelled(self) -> None:
        """Its caller left."""
        self._cancelled.inc()

    def scrape(self, readings: Readings) -> bytes:
        """Everything, in Prometheus's text format."""
        self._readings = readings
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """The readings of the scrape; called by the registry."""
        read = self._readings
        yield _gauge("understudy_ready", "Whether questions can be answered now.", read.health.ready)
        for check in ("model", "index"):
            yield _gauge(f"understudy_{check}_ready", f"Whether the {check} is.", read.health.checks.get(check) == "ok")
        yield _labelled("understudy_answers_open", "Answers that are worked on or wait.", "state", read.answers)
        spared = CounterMetricFamily(
            "understudy_answers_spared", "Answers that took no work of their own.", labels=["how"]
        )
        for how, count in read.spared.items():
            spared.add_metric([how], count)
        yield spared
        yield _labelled("understudy_ingestion_jobs", "Ingestion jobs by state.", "state", read.jobs)
        yield self._build(read.card)
        processes = {"service": psutil.Process().memory_info().rss}
        if read.engine is not None:
            yield from _engine(read.engine)
            if read.engine.process_id is not None and (resident := _resident(read.engine.process_id)):
                processes["engine"] = resident
        yield _labelled("understudy_resident_memory_bytes", "Resident memory.", "process", processes)

    def _build(self, card: ModelCard | None) -> Metric:
        said = {
            "version": importlib.metadata.version("understudy"),
            "model": card.name if card else "",
            "weights_format": card.weights_format if card else "",
        }
        metric = GaugeMetricFamily("understudy_build_info", "What runs: always 1.", labels=list(said))
        metric.add_metric(list(said.values()), 1)
        return metric


def reason_kind(reason: str) -> str:
    """The kind of reason for which an answer abstains."""
    return next((kind for beginning, kind in REASONS.items() if reason.startswith(beginning)), "other")


def _times(name: str, said: str, registry: CollectorRegistry, *labels: str) -> Histogram:
    return Histogram(name, said, labels, buckets=SECONDS, registry=registry)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=float(value))


def _labelled(name: str, said: str, label: str, values: Mapping[str, int]) -> Metric:
    metric = GaugeMetricFamily(name, said, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric


def _engine(told: EngineStatistics) -> Iterator[Metric]:
    for name, (attribute, said) in ENGINE_COUNTS.items():
        yield CounterMetricFamily(name, said, value=getattr(told, attribute))
    for name, (attribute, said) in ENGINE_GAUGES.items():
        yield GaugeMetricFamily(name, said, value=getattr(told, attribute))


def _resident(process_id: int) -> int:
    """Bytes of a process, 0 where it ended meanwhile."""
    try:
        return int(psutil.Process(process_id).memory_info().rss)
    except psutil.Error:
        return 0
