"""The likeliest answers within some texts: a beam search over all of them at once. A task, as in rag.engine.tasks.

What an answer is worth is its log-probability and what the caller says of the place where it stands. Log-probabilities
only fall, so whatever is worth less than the best answer by `HOPELESS` can be left as soon as it is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rag.engine.llama import Llama, log_softmax
from rag.engine.spans import Found, Hypothesis, Spans
from rag.engine.tasks import Task, prompt_rows

BEAM = 6
"""Hypotheses of an extraction that are evaluated side by side: one call reads the weights once for all of them."""

HOPELESS = 10.0
"""Nats below the best hypothesis from which one is followed no further: the best may still fall."""

BEATEN = 4.0
"""Nats below the best answer from which a hypothesis is followed no further: it can only fall, so it is no answer any
more, but how near the next best one comes tells how sure the best is."""


def extract(
    model: Llama,
    sequences: Sequence[int],
    position: int,
    rest: Sequence[int],
    spans: Spans,
    *,
    max_tokens: int,
) -> Task:
    """The likeliest answers that `spans` allows after the prompt, best first: an `extracted` frame.

    At most `max_tokens` tokens an answer. The prompt is in the first sequence; each hypothesis has one of the others,
    which hold the prompt's keys and values without a copy.
    """
    prompt, *others = sequences
    logits = yield prompt_rows(rest, position, prompt)
    beam = _best(spans.first(log_softmax(logits)[0]))
    position += len(rest)
    found: dict[tuple[tuple[int, int, int], ...], Found] = {}
    own = list(others[: len(beam)])
    for sequence in own:
        model.copy(prompt, sequence)
    for _ in range(max_tokens if beam else 0):
        logits = yield [(one.token, position, sequence, True) for one, sequence in zip(beam, own, strict=True)]
        position += 1
        grown: list[Hypothesis] = []
        for i, (hypothesis, logprobs) in enumerate(zip(beam, log_softmax(logits), strict=True)):
            done = spans.finished(hypothesis, float(np.logaddexp.reduce(logprobs[model.ends])))
            if done and (done.places not in found or found[done.places].value < done.value):
                found[done.places] = done
            grown += spans.next(hypothesis, i, logprobs)
        best = max((one.value for one in grown), default=0.0) - HOPELESS
        answer = max((answer.value for answer in found.values()), default=-np.inf) - BEATEN
        beam = [one for one in _best(grown) if one.value > max(best, answer)]
        if not beam:
            break
        own = _fork(model, beam, own, others)
    told = sorted(found.values(), key=lambda answer: -answer.value)
    return {"type": "extracted", "spans": [{"places": one.places, "logprobs": one.logprobs} for one in told]}


def _fork(model: Llama, beam: Sequence[Hypothesis], before: Sequence[int], sequences: Sequence[int]) -> list[int]:
    """Give every hypothesis a sequence that holds its parent's words; the sequences, in the beam's order.

    The first child of a parent keeps its sequence; the others copy it into one that nobody needs any more.
    """
    kept: dict[int, int] = {}
    for i, hypothesis in enumerate(beam):
        kept.setdefault(hypothesis.parent, i)
    owned = {before[parent] for parent in kept}
    free: Iterator[int] = iter([sequence for sequence in sequences if sequence not in owned])
    own = []
    for i, hypothesis in enumerate(beam):
        sequence = before[hypothesis.parent]
        if kept[hypothesis.parent] != i:
            target = next(free)
            model.copy(sequence, target)
            sequence = target
        own.append(sequence)
    return own


def _best(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Those that are worth most, at most a beam of them."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.value)[:BEAM]
