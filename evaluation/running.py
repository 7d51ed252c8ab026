"""Runs the arms over a suite into records. Knows no judge: what is right is decided afterwards, from the records."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from evaluation.arms import Answering, runners
from evaluation.cost import SHIPPED, load_prices
from evaluation.finished import Finished
from evaluation.live import ARMS, LiveModel, Recording, recorded_model
from evaluation.machine import commit, hardware
from evaluation.records import Declared, Records
from evaluation.sampling import fingerprint, sample
from evaluation.suites import Suite, SuiteQuestion
from rag.calibration import identity
from rag.errors import InvalidCorpus, InvalidSettings
from rag.prompt import seen_hash
from rag.settings import load

if TYPE_CHECKING:
    from rag.pipeline import Pipeline
    from rag.protocols import LanguageModel

log = logging.getLogger("understudy")

HERE = ("slm", "slm+rag", "slm+gold", "overlap")
"""Arms that answer here; `evaluation.live` asks a large model, recorded ones and `majority` come with the suite."""
MARGINS: Mapping[str, float] = {"financebench": 0.10}
MARGIN = 0.05
LLM_CONTEXT = 16_384
"""Tokens that a large model is taken to read at least."""


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
    live_model: str = "",
    source: str = "",
) -> Declared:
    """What is fixed before the first answer. Raises InvalidCorpus on an unknown arm or domain, or no question."""
    known = (*HERE, *ARMS)
    if unknown := [arm for arm in arms if arm not in known]:
        raise InvalidCorpus(f"no arm is named {unknown[0]!r}: choose of {', '.join(known)}")
    if (asked := [arm for arm in arms if arm in ARMS]) and not live_model:
        raise InvalidCorpus(f"arm {asked[0]} asks a large model: name it by --llm, and its endpoint by --llm-url")
    if not questions:
        raise InvalidCorpus(f"{suite.name} has no proper question: `understudy evaluate check` tells why, by line")
    info = {stored.name: stored for stored in pipeline.domains()}.get(domain)
    if info is None or info.problem:
        why = info.problem if info else f"there is no domain {domain!r}"
        raise InvalidCorpus(f"{why}; `understudy ingest apply PATH --domain {domain}` makes it")
    card = pipeline.model.card
    primary = primary_comparators(suite)
    if "llm" in arms:
        primary = {question.task or suite.name: live_model for question in questions} | primary
    return Declared(
        suite=suite.name,
        source=source,
        suite_sha256=fingerprint(questions),
        domain=domain,
        arms=tuple(arms),
        questions=tuple(question.id for question in questions),
        of=len(suite.used()),
        seed=seed,
        margin=MARGINS.get(suite.name, MARGIN) if margin is None else margin,
        primary=primary,
        model=card.name,
        model_fingerprint=card.fingerprint,
        live_model=live_model if asked else "",
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


@dataclass(frozen=True)
class Live:
    """The large model that is to be asked or replayed, if any."""

    model: str
    url: str
    key: str
    recording: Path
    max_usd: float
    prices: Path | None = None


def ask(
    suite: Suite,
    source: Path,
    out: Path,
    *,
    domain: str,
    arms: Sequence[str],
    limit: int,
    seed: int,
    margin: float | None,
    live: Live,
    progress: Callable[[str, int, int], None],
    only: frozenset[str] | None = None,
) -> None:
    """Run arms over a suite into a folder, with the pipeline and the large model that are named. Raises RagError.

    only: ids of the questions to ask. A question that an adapter in force was trained on is never asked, nor one that
    it was chosen by unless `only` names it.
    """
    from rag.build import build_pipeline

    questions = unseen(sample(suite, limit=limit, seed=seed, only=only), checked_too=only is None)
    with ExitStack() as stack:
        pipeline = build_pipeline(load())
        stack.callback(pipeline.close)
        large = live.model or recorded_model(live.recording)
        declared = declare(
            suite,
            questions,
            pipeline,
            domain=domain,
            arms=arms,
            seed=seed,
            margin=margin,
            live_model=large,
            source=str(source.resolve()),
        )
        known = dict(runners(pipeline, domain))
        if set(arms) & set(ARMS):
            model = open_llm(large, live.url, live.key) if live.url else None
            if model:
                stack.callback(model.close)
            known |= LiveModel(
                large,
                stack.enter_context(Recording(live.recording, large)),
                find=pipeline.passages,
                domain=domain,
                model=model,
                price=load_prices(live.prices or SHIPPED).price_of(large) if model else None,
                max_usd=live.max_usd,
            ).runners()
        run(questions, known, stack.enter_context(Records(out, declared)), progress)


def unseen(questions: Sequence[SuiteQuestion], *, checked_too: bool) -> tuple[SuiteQuestion, ...]:
    """The questions that no adapter in force has seen; how many others there were is logged."""
    from rag.build import adapter_cards

    seen: set[str] = set()
    for card in adapter_cards(load()):
        seen.update(card.trained, card.checked if checked_too else ())
    kept = tuple(question for question in questions if seen_hash(question.question) not in seen)
    if len(kept) < len(questions):
        log.warning("%d questions are left out: an adapter in force learned from them", len(questions) - len(kept))
    return kept


def current_weights(run: Finished) -> str:
    """`rag.calibration.identity` of the model in force. Raises InvalidCorpus where it is not the one that was asked."""
    from rag.build import open_model

    model = open_model(load())
    try:
        card, weights = model.card, identity(model, run.declared.domain)
    finally:
        model.close()
    if card.fingerprint != run.declared.model_fingerprint:
        raise InvalidCorpus(
            f"the run in {run.folder} asked another model, adapter or format of weights than the settings name: run "
            "it again, or set them back"
        )
    return weights


def open_llm(model: str, url: str, key: str) -> LanguageModel:
    """The model of the settings for 'local', else one behind an OpenAI-compatible endpoint. Raises InvalidSettings."""
    from rag.build import open_model

    settings = load()
    if model == "local":
        return open_model(settings)
    if not url:
        raise InvalidSettings(f"where {model!r} answers is not known: name its endpoint by --llm-url")
    asked = {
        "provider": "openai",
        "name": model,
        "base_url": url,
        "api_key": SecretStr(key),
        "context_tokens": max(settings.model.context_tokens, LLM_CONTEXT),
    }
    return open_model(settings.model_copy(update={"model": settings.model.model_copy(update=asked)}))
