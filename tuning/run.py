"""Tunes an adapter: questions dealt, examples written, trained, exported, and checked before and after.

<out>/adapter.gguf     what `UNDERSTUDY_MODEL__ADAPTER` names
<out>/adapter.json     its card: data, licence, hashes, recipe, figures
<out>/check-*.txt      ids of the questions kept for checking: `evaluate run --only` asks them
<out>/loss.svg         the loss of every step
<out>/checkpoint.pt    where a run that was cut off goes on; removed at the end
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from evaluation.machine import commit, hardware
from rag.build import build_pipeline, model_file
from rag.errors import InvalidCorpus
from rag.prompt import seen_hash
from rag.settings import Settings
from tuning import gguf_adapter
from tuning.card import Card, Source, plot
from tuning.checking import Figures, check
from tuning.examples import Example, Labelled, build
from tuning.rendering import render
from tuning.suites import Deal
from tuning.training import Recipe, device_of, hardware_of, train

Progress = Callable[[str, int, int], None]

LONGEST = 640
"""Tokens of the longest example: the pipeline's own prompts have about 300."""


@dataclass(frozen=True, slots=True)
class Part:
    """Questions over one domain, and where they come from."""

    domain: str
    deal: Deal
    source: Source


def tune(
    parts: Sequence[Part],
    out: Path,
    settings: Settings,
    *,
    recipe: Recipe,
    licence: str,
    progress: Progress,
    device: str = "auto",
) -> Card:
    """Make an adapter for the model that the settings name.

    Raises InvalidCorpus where there is nothing to learn, InvalidSettings where a device is wanted that is not there.
    """
    device = device_of(device)
    out.mkdir(parents=True, exist_ok=True)
    file = model_file(settings)
    plain = settings.model_copy(update={"model": settings.model.model_copy(update={"adapter": "none", "adapters": {}})})
    examples, before = _examples(parts, plain, recipe.seed, progress)
    if not examples:
        raise InvalidCorpus("there is nothing to learn from: no answer stands in what retrieval finds for its question")
    rendered = render(examples, file.path, file.template, longest=LONGEST)
    trained = train(
        file.path,
        rendered,
        recipe,
        checkpoint=out / "checkpoint.pt",
        progress=lambda step, steps, loss: progress(f"loss {loss:.2f}", step, steps),
        device=device,
    )
    adapter = out / "adapter.gguf"
    gguf_adapter.write(
        adapter,
        trained.pairs,
        architecture=trained.architecture,
        alpha=recipe.alpha,
        heads=trained.heads,
        kv_heads=trained.kv_heads,
        name=f"{file.name} tuned to read",
        licence=licence,
    )
    plot(out / "loss.svg", trained.losses)
    card = Card(
        base=file.name,
        base_sha256=file.sha256,
        sha256=hashlib.sha256(adapter.read_bytes()).hexdigest(),
        licence=licence,
        sources=tuple(part.source for part in parts),
        trained=tuple(sorted({seen_hash(q.question) for part in parts for q in part.deal.train})),
        checked=tuple(sorted({seen_hash(q.question) for part in parts for q in part.deal.check})),
        recipe=asdict(recipe),
        examples={lesson: sum(e.lesson == lesson for e in examples) for lesson in sorted({e.lesson for e in examples})},
        final_loss=sum(trained.losses[-20:]) / len(trained.losses[-20:]),
        before=before,
        code=commit(),
        hardware=" · ".join(filter(None, (hardware_of(device), hardware()))),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    for part in parts:
        if not part.deal.check:
            continue
        ids = "".join(f"{question.id}\n" for question in part.deal.check)
        (out / f"check-{part.domain}.txt").write_text(ids, "utf-8")
    card.write(adapter)
    card = card.model_copy(update={"after": figures(_checked(parts), settings, str(adapter), progress)})
    card.write(adapter)
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return card


def figures(
    asked: Sequence[tuple[str, Sequence[Labelled]]], settings: Settings, adapter: str, progress: Progress
) -> Figures | None:
    """The pipeline with an adapter over (domain, questions kept for checking); None where none were kept."""
    if not any(questions for _, questions in asked):
        return None
    model = settings.model.model_copy(update={"adapter": adapter, "adapters": {}})
    pipeline = build_pipeline(settings.model_copy(update={"model": model}))
    try:
        return check(pipeline, asked, progress=lambda done, total: progress("checking", done, total))
    finally:
        pipeline.close()


def _checked(parts: Sequence[Part]) -> list[tuple[str, Sequence[Labelled]]]:
    return [(part.domain, part.deal.check) for part in parts]


def _examples(
    parts: Sequence[Part], settings: Settings, seed: int, progress: Progress
) -> tuple[list[Example], Figures | None]:
    """What there is to learn, and how well the plain model does on the questions kept for checking."""
    pipeline = build_pipeline(settings)
    try:
        found: list[Example] = []
        for part in parts:
            told = _named(progress, f"reading {part.domain}")
            found += build(pipeline, part.domain, part.deal.train, seed=seed, hidden=part.deal.hidden, progress=told)
    finally:
        pipeline.close()
    return found, figures(_checked(parts), settings, "none", progress)


def _named(progress: Progress, name: str) -> Callable[[int, int], None]:
    """The same bar under another name."""
    return lambda done, total: progress(name, done, total)
