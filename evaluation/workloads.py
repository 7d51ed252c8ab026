"""Use cases as fixed workloads on this machine: what a person waits for, per use case. Knows no judge.

`chatbot`: a question over the domain, retrieval and check included. `document analysis`: a page of a document in the
prompt and a summary in a sentence, no retrieval. `edge device`: the chatbot on one core, in a process of its own, with
the memory of all its processes beside a limit of 1 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from evaluation.machine import hardware
from evaluation.suites import Suite
from rag.errors import EngineDied
from rag.types import DoneEvent, Message, Prompt, Question, TokenEvent, Value

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

EDGE_MB = 1000.0
ANALYSIS_CHARS = 5_000
"""About 1,200 tokens of English: a page and a half."""
ANALYSIS_TOKENS = 64

Name = Literal["real-time chatbot", "document analysis", "edge device"]


class Workload(Value):
    """Latencies of one use case, one request at a time; medians, as the counts are small."""

    name: Name
    requests: int
    first_ms: float = Field(description="to the first token, median")
    whole_ms: float = Field(description="to the checked answer, median")
    cores: int
    memory_mb: float = Field(description="resident, all processes, at the end")
    fits: bool | None = Field(default=None, description="of the edge device: within one core and 1 GB")
    hardware: str


def chatbot(pipeline: Pipeline, domain: str, questions: Sequence[str], *, name: Name, cores: int) -> Workload:
    """Ask every question once, after one to warm up."""

    def ask(text: str) -> tuple[float, float]:
        begin, first = time.perf_counter(), 0.0
        for event in pipeline.stream(Question(text=text, domain=domain)):
            if isinstance(event, TokenEvent | DoneEvent) and not first:
                first = time.perf_counter() - begin
        return first * 1000, (time.perf_counter() - begin) * 1000

    return _measured(name, questions, ask, cores)


def document_analysis(pipeline: Pipeline, texts: Sequence[str], *, cores: int) -> Workload:
    """Summarise every text once, after one to warm up."""

    def ask(text: str) -> tuple[float, float]:
        prompt = Prompt(
            messages=(
                Message(role="system", content="Summarise the text in one sentence."),
                Message(role="user", content=text[:ANALYSIS_CHARS]),
            ),
            max_tokens=ANALYSIS_TOKENS,
            temperature=0.0,
            seed=0,
        )
        begin, first = time.perf_counter(), 0.0
        for _ in pipeline.model.generate(prompt):
            first = first or time.perf_counter() - begin
        return first * 1000, (time.perf_counter() - begin) * 1000

    return _measured("document analysis", texts, ask, cores)


def _measured(name: Name, items: Sequence[str], ask: Callable[[str], tuple[float, float]], cores: int) -> Workload:
    ask(items[0])
    times = [ask(item) for item in items]
    memory = memory_mb()
    return Workload(
        name=name,
        requests=len(times),
        first_ms=round(median(first for first, _ in times), 1),
        whole_ms=round(median(whole for _, whole in times), 1),
        cores=cores,
        memory_mb=round(memory, 1),
        fits=memory <= EDGE_MB and cores == 1 if name == "edge device" else None,
        hardware=hardware(),
    )


def memory_mb() -> float:
    """Resident memory of this process and all its children, in MB."""
    import psutil

    here = psutil.Process()
    return float(sum(process.memory_info().rss for process in [here, *here.children(recursive=True)])) / 1e6


def use_cases(suite: Suite, source: Path, domain: str, *, requests: int, edge_only: bool = False) -> list[Workload]:
    """Measure every use case; the edge device in a process that may use one core. Raises RagError.

    edge_only: this process is that one
    """
    from rag.build import build_pipeline
    from rag.settings import load

    questions = [q.question for q in suite.used()][:requests]
    cores = len(os.sched_getaffinity(0))
    pipeline = build_pipeline(load())
    try:
        if edge_only:
            return [chatbot(pipeline, domain, questions, name="edge device", cores=cores)]
        found = [chatbot(pipeline, domain, questions, name="real-time chatbot", cores=cores)]
        documents = [p.document_id for q in questions for p in pipeline.passages(Question(text=q, domain=domain))[:1]]
        texts = [d.text for name in dict.fromkeys(documents) if (d := pipeline.document(domain, name)) is not None]
        found.append(document_analysis(pipeline, texts, cores=cores))
    finally:
        pipeline.close()
    command = [sys.executable, "-m", "evaluation", "workloads", str(source), "--domain", domain, "--json"]
    child = subprocess.run(
        [*command, "--requests", str(requests), "--edge-only"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),  # no thread of ours is alive
    )
    if child.returncode != 0:
        raise EngineDied(f"the process on one core ended with {child.returncode}: {child.stderr.strip()[-300:]}")
    return [*found, *(Workload.model_validate(row) for row in json.loads(child.stdout))]
