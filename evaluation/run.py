"""Runs the arms over a suite into records. Knows no judge: what is right is decided afterwards, from the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evaluation.arms import Answering
from evaluation.machine import commit, hardware
from evaluation.records import Declared, Records
from evaluation.sampling import fingerprint
from evaluation.suites import Suite, SuiteQuestion
from rag.errors import InvalidCorpus

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

HERE = ("slm", "slm+rag", "slm+gold", "overlap")
"""Arms that answer here; recorded ones and `majority` come with the suite."""
MARGINS: Mapping[str, float] = {"financebench": 0.10}
MARGIN = 0.05


def primary_comparators(suite: Suite) -> dict[str, str]:
    """Part of the suite -> the recorded closed-book model with the most answers labelled right; ties by name."""
    part = {question.id: question.task or suite.name for question in suite.used()}
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for row in suite.recorded:
        if row.arm == "llm" and row.correct is not None and row.id in part:
            right[part[row.id]][row.model].append(row.correct)
    return {
        name: max(sorted(models), key=lambda model: sum(models[model]) / len(models[model]))
        for name, models in sorted(right.items())
    }


def declare(
    suite: Suite,
    questions: Sequence[SuiteQuestion],
    pipeline: Pipeline,
    *,
    domain: str,
    arms: Sequence[str],
    seed: int,
    margin: float | None = None,
) -> Declared:
    """What is fixed before the first answer. Raises InvalidCorpus on an unknown arm or domain, or no question."""
    unknown = [arm for arm in arms if arm not in HERE]
    if unknown:
        raise InvalidCorpus(f"no arm is named {unknown[0]!r}: choose of {', '.join(HERE)}")
    if not questions:
        raise InvalidCorpus(f"{suite.name} has no proper question: `understudy evaluate check` tells why, by line")
    info = {known.name: known for known in pipeline.domains()}.get(domain)
    if info is None or info.problem:
        why = info.problem if info else f"there is no domain {domain!r}"
        raise InvalidCorpus(f"{why}; `understudy ingest apply PATH --domain {domain}` makes it")
    card = pipeline.model.card
    return Declared(
        suite=suite.name,
        suite_sha256=fingerprint(questions),
        domain=domain,
        arms=tuple(arms),
        questions=tuple(question.id for question in questions),
        of=len(suite.used()),
        seed=seed,
        margin=MARGINS.get(suite.name, MARGIN) if margin is None else margin,
        primary=primary_comparators(suite),
        model=card.name,
        model_fingerprint=card.fingerprint,
        embedder_fingerprint=pipeline.embedder.fingerprint,
        generation=info.generation,
        code=commit(),
        hardware=hardware(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def run(
    questions: Sequence[SuiteQuestion],
    runners: Mapping[str, Answering],
    records: Records,
    progress: Callable[[str, int, int], None] | None = None,
) -> int:
    """Ask every arm every question that has no record yet, arm by arm; the number of new records.

    progress: called with the arm, the records there are and the records there will be
    """
    arms = records.declared.arms
    total, new = len(arms) * len(questions), 0
    for arm in arms:
        for question in questions:
            if (arm, question.id) in records.done:
                continue
            records.add(runners[arm](question))
            new += 1
            if progress:
                progress(arm, len(records.done), total)
    return new
