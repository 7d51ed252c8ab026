"""What each method contributes: the pipeline with one thing changed, on the same questions, as a paired difference.

300 questions a suite are drawn by seed from those with an answer that no shipped adapter learned from. The threshold
of the confidence is off, so that every question gets the best answer there is. A variant changes settings, or a
constant or function of one module; the index, the embedder and the model's weights stay. What embedder and model say
is kept in a file, so that a second run asks only what changed.

    python -m bench.ablations --suites DIR [--data DIR] [--suite NAME ...] [--variant NAME ...] [--adapter GGUF ...]
        [--reranker DIR ...] [--limit N] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich.progress import track

from bench.remembered import Memory, RememberedEmbedder, RememberedModel
from bench.variants import VARIANTS, Variant, cross_encoder, other_adapter
from evaluation.arms import runners
from evaluation.judge import shipped_judge
from evaluation.judging import Scored, own_answer
from evaluation.machine import hardware
from evaluation.metrics.grounding import Outcome
from evaluation.running import unseen
from evaluation.sampling import sample
from evaluation.statistics import Difference, paired_difference
from evaluation.suites import Kind, SuiteQuestion, Use, read_suite
from rag.answering import Limits
from rag.build import open_catalog, open_embedder, open_index, open_model, open_reranker
from rag.catalog import Generation
from rag.pipeline import Pipeline
from rag.protocols import Embedder, Index
from rag.settings import Settings, load
from rag.types import RetrievalMode

SUITES = ("nq_evouna", "ctibench_mcq", "mirage_pubmed", "financebench")
ARM = "slm+rag"


class Workbench:
    """The parts that all variants share, opened once."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self.settings, self._memory = settings, memory
        self._plain = open_embedder(settings)
        self.embedder: Embedder = RememberedEmbedder(self._plain, memory)
        self._models: dict[str, RememberedModel] = {}
        self._indexes: dict[Path, Index] = {}
        self._pipelines: list[Pipeline] = []
        """One that goes would close the indexes that it opened, and others share."""

    def pipeline(self, variant: Variant) -> Pipeline:
        """The pipeline of a variant; it is not to be closed."""
        settings = changed(self.settings, variant.settings)
        pipeline = Pipeline(
            catalog=open_catalog(settings),
            embedder=self.embedder,
            model=self._model(settings),
            open_index=self._index,
            limits=limits(settings),
            reranker=open_reranker(settings),
        )
        self._pipelines.append(pipeline)
        return pipeline

    def close(self) -> None:
        """Close all of them."""
        for model in self._models.values():
            model.close()
        for index in self._indexes.values():
            index.close()
        self._plain.close()

    def _model(self, settings: Settings) -> RememberedModel:
        name = settings.model.adapter
        if name not in self._models:
            self._models[name] = RememberedModel(open_model(settings), self._memory)
        return self._models[name]

    def _index(self, generation: Generation) -> Index:
        path = generation.shard_path
        if path not in self._indexes:
            self._indexes[path] = open_index(self.settings, generation, create=False)
        return self._indexes[path]


def limits(settings: Settings) -> Limits:
    """The bounds of an answer, without a threshold on its confidence."""
    known: dict[str, Any] = {
        **settings.retrieval.model_dump(),
        **settings.answer.model_dump(),
        "mode": RetrievalMode(settings.retrieval.mode),
        "timeout_seconds": settings.model.timeout_seconds,
        "min_confidence": 0.0,
    }
    return Limits(**{field.name: known[field.name] for field in fields(Limits)})


def changed(settings: Settings, changes: Mapping[str, Mapping[str, object]]) -> Settings:
    """Settings with some fields of some sections replaced."""
    sections = {name: getattr(settings, name).model_copy(update=dict(update)) for name, update in changes.items()}
    return settings.model_copy(update=sections)


@contextmanager
def replaced(parts: Mapping[str, object]) -> Iterator[None]:
    """Constants or functions of modules, by their dotted names, replaced for a while."""
    before: list[tuple[Any, str, object]] = []
    try:
        for name, value in parts.items():
            module, attribute = name.rsplit(".", 1)
            owner = importlib.import_module(module)
            before.append((owner, attribute, getattr(owner, attribute)))
            setattr(owner, attribute, value)
        yield
    finally:
        for owner, attribute, value in reversed(before):
            setattr(owner, attribute, value)


@dataclass(frozen=True)
class Group:
    """Questions that are answered in one way, of one suite."""

    name: str
    domain: str
    questions: Sequence[SuiteQuestion]


def groups(folder: Path, *, limit: int, seed: int) -> list[Group]:
    """The drawn questions of a suite, those with options apart from the others."""
    suite, _ = read_suite(folder)
    fit = frozenset(q.id for q in unseen(suite.used(Use.ANSWERABLE), checked_too=False))
    drawn = sample(suite, limit=limit, seed=seed, only=fit)
    kinds = {kind: [q for q in drawn if q.kind is kind] for kind in Kind}
    several = sum(bool(found) for found in kinds.values()) > 1
    return [
        Group(f"{suite.name} ({kind.value})" if several else suite.name, suite.name.replace("_", "-"), found)
        for kind, found in kinds.items()
        if found
    ]


def ask(workbench: Workbench, group: Group, variant: Variant) -> list[Scored]:
    """The answers of a variant, judged, in the order of the questions. Raises RagError for one that failed."""
    judge = shipped_judge()
    with replaced(variant.parts):
        answer = runners(workbench.pipeline(variant), group.domain)[ARM]
        found = []
        for question in track(group.questions, description=f"{group.name} · {variant.name}", transient=True):
            record = answer(question)
            if record.failure:
                raise SystemExit(f"{variant.name}, {question.id}: {record.failure}")
            found.append(own_answer(question, record, judge))
    return found


def difference(group: Group, ours: Sequence[bool], theirs: Sequence[bool]) -> Difference:
    """A variant less the product as it is, paired by question."""
    return paired_difference(
        [float(x) for x in ours], [float(x) for x in theirs], [question.cluster for question in group.questions]
    )


def measure(workbench: Workbench, group: Group, variants: Sequence[Variant]) -> dict[str, Any]:
    """Every variant that can change an answer of this group."""
    kinds = {question.kind for question in group.questions}
    base = [_right(scored) for scored in ask(workbench, group, VARIANTS[0])]
    rows = []
    for variant in variants:
        if not kinds & variant.kinds:
            continue
        found = [_right(scored) for scored in ask(workbench, group, variant)]
        right = difference(group, [r for r, _ in found], [r for r, _ in base])
        rows.append(
            {
                "variant": variant.name,
                "right": sum(r for r, _ in found) / len(found),
                "grounded": sum(g for _, g in found) / len(found),
                "difference": right.estimate,
                "low": right.low,
                "high": right.high,
                "changed": sum(a[0] != b[0] for a, b in zip(found, base, strict=True)),
            }
        )
        print(f"{group.name:32} {_shown(rows[-1])}", file=sys.stderr, flush=True)
    return {"group": group.name, "n": len(group.questions), "rows": rows}


def _right(scored: Scored) -> tuple[bool, bool]:
    """(right, right and grounded)"""
    return scored.judgement.correct, scored.outcome is Outcome.RIGHT_GROUNDED


def _shown(row: Mapping[str, Any]) -> str:
    d, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    return (
        f"{100 * row['right']:5.1f} (grounded {100 * row['grounded']:5.1f})  {d:+5.1f} [{low:+.1f}, {high:+.1f}]  "
        f"{row['changed']:3d} changed  {row['variant']}"
    )


def main() -> int:
    """Print the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--data", type=Path, default=Path(".cache/bench"), help="where the ingested domains are")
    parser.add_argument("--memory", type=Path, default=Path(".cache/ablations.sqlite"), help="what was asked before")
    parser.add_argument("--suite", action="append", choices=SUITES)
    parser.add_argument("--variant", action="append", choices=[variant.name for variant in VARIANTS[1:]])
    parser.add_argument("--adapter", action="append", default=[], help="another adapter's file, as a variant")
    parser.add_argument("--reranker", action="append", default=[], help="a cross-encoder's folder, as a variant")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    settings = load()
    settings = changed(settings, {"data": {"directory": arguments.data}})
    chosen = arguments.variant or (
        [] if arguments.adapter or arguments.reranker else [variant.name for variant in VARIANTS]
    )
    asked = [v for v in VARIANTS if v is VARIANTS[0] or v.name in chosen]
    asked += [other_adapter(path) for path in arguments.adapter]
    asked += [cross_encoder(folder) for folder in arguments.reranker]
    memory = Memory(arguments.memory)
    workbench = Workbench(settings, memory)
    try:
        results = [
            measure(workbench, group, asked)
            for name in arguments.suite or SUITES
            for group in groups(Path(arguments.suites) / name, limit=arguments.limit, seed=arguments.seed)
        ]
    finally:
        workbench.close()
        memory.close()
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "seed": arguments.seed, "groups": results}, indent=1))
        return 0
    print(f"Right in % as judged, and the difference to the product as it is, in points [95%] · {hardware()}")
    for result in results:
        print(f"\n{result['group']}, n = {result['n']}")
        for row in result["rows"]:
            print(f"  {_shown(row)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
