"""Records and recorded answers to the figures of a report. Pure: calls no model, reads no file, writes none.

A suite's parts (its tasks) are scored apart, never pooled. The verdict of a part is `slm+rag` against the primary
comparator that the run declared, on answerable questions; a row over all proper questions stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import mean, quantiles

from pydantic import Field

from evaluation.choices import yes_no
from evaluation.judge import Judge, Judgement
from evaluation.judging import Scored, own_answer, recorded_answer, word
from evaluation.metrics import grounding
from evaluation.metrics.abstention import RiskCoverage, aurc, risk_coverage
from evaluation.metrics.classification import macro_f1, majority
from evaluation.metrics.grounding import Outcome
from evaluation.metrics.retrieval import hit, reciprocal_rank
from evaluation.rates import Rate, score_rate
from evaluation.records import Declared, Record
from evaluation.statistics import (
    Difference,
    Verdict,
    holm,
    mcnemar,
    minimum_detectable_effect,
    paired_difference,
    verdict,
)
from evaluation.suites import Kind, Recorded, SuiteQuestion, Use
from rag.types import Value

ENOUGH_FOR_PERCENTILES = 200
DEPTHS = (1, 3, 5, 8)
CASCADE = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
OURS = "slm+rag"


class Row(Value):
    """An arm, or a recorded model, over one part."""

    arm: str
    model: str
    rate: Rate
    everyone: Rate | None = Field(default=None, description="over all proper questions, where the part has others")
    human: float | None = Field(default=None, description="rate by the recorded labels, answerable questions")
    grounded: float | None = Field(default=None, description="right and grounded; None for arms that do not cite")
    split: dict[str, float] = Field(default_factory=dict)
    macro_f1: float | None = None
    abstained: float | None = Field(default=None, description="of the answerable questions: each is wrong")
    refused_or_right: float | None = Field(default=None, description="of the others: refused, or right with a citation")
    failures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    tokens: float | None = Field(default=None, description="prompt and completion, mean of an answer")


class Comparison(Value):
    """`slm+rag` against one recorded system."""

    arm: str
    model: str
    primary: bool
    difference: Difference
    verdict: Verdict
    shifted: Verdict = Field(description="the verdict when both rates are corrected for the judge's error")
    mcnemar: float
    holm: float
    detectable: float = Field(description="least difference found with 80% power at this n")


class Part(Value):
    """One part of a suite, scored."""

    name: str
    n: int
    kind: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    retrieval: dict[str, dict[str, float]] = Field(description="depth -> hit and MRR of the gold document")
    risk: RiskCoverage | None = None
    aurc: float | None = None
    cascade: tuple[tuple[float, float, float, float], ...] = Field(
        default=(), description="share escalated, accuracy by confidence, at random, by the oracle"
    )
    gain_of_retrieval: float | None = Field(default=None, description="slm+rag minus slm; None without the slm arm")


def score(
    declared: Declared,
    questions: Sequence[SuiteQuestion],
    *,
    originals: Mapping[str, SuiteQuestion],
    records: Iterable[Record],
    recorded: Iterable[Recorded],
    judge: Judge,
) -> tuple[tuple[Part, ...], dict[str, bool]]:
    """Score every part of a run; also question -> whether `slm+rag` has it right.

    questions: as asked, options shuffled; originals: id -> the suite's own, which recorded answers were given to
    """
    by_arm: dict[str, dict[str, Record]] = {}
    for record in records:
        by_arm.setdefault(record.arm, {})[record.id] = record
    given = list(recorded)
    named = sorted(questions, key=lambda q: q.task)
    parts = [
        _part(
            task or declared.suite,
            list(group),
            declared=declared,
            originals=originals,
            by_arm=by_arm,
            recorded=given,
            judge=judge,
        )
        for task, group in groupby(named, key=lambda q: q.task)
    ]
    adjusted = iter(holm([c.mcnemar for part in parts for c in part.comparisons]))
    adjusted_parts = tuple(
        part.model_copy(
            update={"comparisons": tuple(c.model_copy(update={"holm": next(adjusted)}) for c in part.comparisons)}
        )
        for part in parts
    )
    ours = by_arm.get(OURS, {})
    return adjusted_parts, {q.id: own_answer(q, ours[q.id], judge).judgement.correct for q in questions if q.id in ours}


def _part(
    name: str,
    questions: list[SuiteQuestion],
    *,
    declared: Declared,
    originals: Mapping[str, SuiteQuestion],
    by_arm: Mapping[str, Mapping[str, Record]],
    recorded: Sequence[Recorded],
    judge: Judge,
) -> Part:
    answerable = [q for q in questions if q.use is Use.ANSWERABLE] or questions
    rows: list[Row] = []
    scored: dict[str, dict[str, Scored]] = {}
    for arm in declared.arms:
        said = {q.id: by_arm[arm][q.id] for q in questions if q.id in by_arm.get(arm, {})}
        if len(said) < len(questions):
            continue
        scored[arm] = {q.id: own_answer(q, said[q.id], judge) for q in questions}
        rows.append(
            _own_row(
                arm,
                declared.model,
                questions,
                answerable=answerable,
                said=said,
                scored=scored[arm],
                judge=judge,
                seed=declared.seed,
            )
        )
    if all(q.options for q in answerable):
        rows.append(_majority(answerable, declared.seed))
    ours = scored.get(OURS)
    comparisons: list[Comparison] = []
    primary_answers: dict[str, Scored] = {}
    for (arm, model), answers in _by_model(recorded).items():
        if any(q.id not in answers for q in answerable):
            continue  # not asked of this part
        theirs = {q.id: recorded_answer(originals[q.id], answers[q.id], judge) for q in questions if q.id in answers}
        whole = len(theirs) == len(questions)
        rows.append(
            _row(
                arm,
                model,
                answerable,
                everyone=questions if whole else None,
                scored=theirs,
                judge=judge,
                seed=declared.seed,
            )
        )
        labels = [label for q in answerable if (label := answers[q.id].correct) is not None]
        rows[-1] = rows[-1].model_copy(update={"human": mean(labels) if labels else None})
        if ours is not None:
            is_primary = arm.startswith("llm (") and declared.primary.get(name) == model
            our_rate = next(row.rate for row in rows if row.arm == OURS)
            comparisons.append(
                _compare(
                    arm,
                    model,
                    answerable,
                    is_primary=is_primary,
                    ours=ours,
                    theirs=theirs,
                    our_rate=our_rate,
                    their_rate=rows[-1].rate,
                    declared=declared,
                )
            )
            if is_primary:
                primary_answers = theirs
    own = {row.arm: row.rate.judged for row in rows}
    kept = [ours[q.id] for q in answerable] if ours else []
    confident = bool(kept) and all(s.confidence is not None or s.text == "" for s in kept)
    confidences = [s.confidence or 0.0 for s in kept]
    correct = [s.judgement.correct for s in kept]
    return Part(
        name=name,
        n=len(answerable),
        kind=answerable[0].kind.value,
        rows=tuple(rows),
        comparisons=tuple(comparisons),
        retrieval=_retrieval(answerable, by_arm.get(OURS, {})),
        risk=risk_coverage(confidences, correct) if confident else None,
        aurc=aurc(confidences, correct) if confident else None,
        cascade=_cascade(confidences, correct, [primary_answers[q.id].judgement.correct for q in answerable])
        if confident and primary_answers
        else (),
        gain_of_retrieval=own[OURS] - own["slm"] if OURS in own and "slm" in own else None,
    )


# --- rows ---


def _row(
    arm: str,
    model: str,
    answerable: Sequence[SuiteQuestion],
    *,
    everyone: Sequence[SuiteQuestion] | None,
    scored: Mapping[str, Scored],
    judge: Judge,
    seed: int,
) -> Row:
    def rate(questions: Sequence[SuiteQuestion]) -> Rate:
        return score_rate(
            [scored[q.id].judgement for q in questions],
            judge.fitted.errors_left_out,
            clusters=[q.cluster for q in questions],
            seed=seed,
        )

    f1 = None
    if all(q.kind is Kind.YES_NO for q in answerable):
        golds = [q.options[q.gold_letter].lower() for q in answerable]
        f1 = macro_f1(golds, [yes_no(word(q, scored[q.id].text)) for q in answerable])
    return Row(
        arm=arm,
        model=model,
        rate=rate(answerable),
        everyone=rate(everyone) if everyone is not None and len(everyone) > len(answerable) else None,
        macro_f1=f1,
    )


def _own_row(
    arm: str,
    model: str,
    questions: Sequence[SuiteQuestion],
    *,
    answerable: Sequence[SuiteQuestion],
    said: Mapping[str, Record],
    scored: Mapping[str, Scored],
    judge: Judge,
    seed: int,
) -> Row:
    times = sorted(record.milliseconds for record in said.values())
    percentiles = quantiles(times, n=20) if len(times) > 1 else [times[0]] * 19
    outcomes = [scored[q.id].outcome for q in answerable]
    unanswerable = [q for q in questions if q.use is not Use.ANSWERABLE]
    cites = any(record.citations for record in said.values())
    known = [o if o is not None else Outcome.WRONG_UNGROUNDED for o in outcomes]
    tokens = [record.prompt_tokens + record.completion_tokens for record in said.values()]
    return _row(
        arm,
        "no model" if arm == "overlap" else model,
        answerable,
        everyone=questions,
        scored=scored,
        judge=judge,
        seed=seed,
    ).model_copy(
        update={
            "grounded": grounding.grounded_accuracy(known) if cites else None,
            "split": {o.value: share for o, share in grounding.split(known).items()} if cites else {},
            "abstained": mean(scored[q.id].abstained for q in answerable),
            "refused_or_right": mean(
                scored[q.id].abstained or (scored[q.id].judgement.correct and bool(said[q.id].citations))
                for q in unanswerable
            )
            if unanswerable
            else None,
            "failures": sum(bool(record.failure) for record in said.values()),
            "p50_ms": percentiles[9],
            "p95_ms": percentiles[18] if len(times) >= ENOUGH_FOR_PERCENTILES else None,
            "tokens": mean(tokens) or None,
        }
    )


def _majority(questions: Sequence[SuiteQuestion], seed: int) -> Row:
    """Always the commonest gold letter, after the options were shuffled."""
    golds = [q.gold_letter for q in questions]
    constant, _ = majority(golds)
    judged = [Judgement(correct=gold == constant, probability=1.0, refused=False, style="exact") for gold in golds]
    f1 = macro_f1(golds, [constant] * len(golds)) if questions[0].kind is Kind.YES_NO else None
    rate = score_rate(judged, {}, clusters=[q.cluster for q in questions], seed=seed)
    said = questions[0].options[constant] if f1 is not None else constant
    return Row(arm="majority", model=f"always {said}", rate=rate, macro_f1=f1)


# --- comparing ---


def _by_model(recorded: Sequence[Recorded]) -> dict[tuple[str, str], dict[str, Recorded]]:
    """(arm with its setting, model) -> question -> answer."""
    rows: dict[tuple[str, str], dict[str, Recorded]] = {}
    for row in recorded:
        rows.setdefault((f"{row.arm} ({row.setting})", row.model), {})[row.id] = row
    return dict(sorted(rows.items()))


def _compare(
    arm: str,
    model: str,
    questions: Sequence[SuiteQuestion],
    *,
    is_primary: bool,
    ours: Mapping[str, Scored],
    theirs: Mapping[str, Scored],
    our_rate: Rate,
    their_rate: Rate,
    declared: Declared,
) -> Comparison:
    a = [ours[q.id].judgement.correct for q in questions]
    b = [theirs[q.id].judgement.correct for q in questions]
    difference = paired_difference(
        [float(x) for x in a], [float(x) for x in b], [q.cluster for q in questions], seed=declared.seed
    )
    shift = (our_rate.corrected - our_rate.judged) - (their_rate.corrected - their_rate.judged)
    moved = difference.model_copy(
        update={
            field: getattr(difference, field) + shift
            for field in ("estimate", "low", "high", "one_sided_low", "one_sided_high")
        }
    )
    p = mcnemar(a, b)
    return Comparison(
        arm=arm,
        model=model,
        primary=is_primary,
        difference=difference,
        verdict=verdict(difference, margin=declared.margin),
        shifted=verdict(moved, margin=declared.margin),
        mcnemar=p,
        holm=p,
        detectable=minimum_detectable_effect(difference.standard_error),
    )


def _retrieval(questions: Sequence[SuiteQuestion], records: Mapping[str, Record]) -> dict[str, dict[str, float]]:
    asked = [(q, records[q.id]) for q in questions if q.gold_doc_ids and q.id in records and records[q.id].passages]
    if not asked:
        return {}
    ranked = [([p.document_id for p in record.passages], q.gold_doc_ids) for q, record in asked]
    return {
        str(k): {
            "hit": mean(hit(found, gold, k=k) for found, gold in ranked),
            "mrr": mean(reciprocal_rank(found, gold, k=k) for found, gold in ranked),
        }
        for k in DEPTHS
    }


def _cascade(
    confidence: Sequence[float], ours: Sequence[bool], theirs: Sequence[bool]
) -> tuple[tuple[float, float, float, float], ...]:
    """Accuracy when the k% least confident answers are the recorded model's; at random; where the oracle sends them.

    The oracle sends first what the other has right and we wrong, last what we have right and it wrong.
    """
    n = len(ours)
    by_confidence = sorted(range(n), key=lambda i: confidence[i])
    by_gain = sorted(range(n), key=lambda i: int(ours[i]) - int(theirs[i]))
    both = (mean(ours), mean(theirs))

    def accuracy(order: Sequence[int], count: int) -> float:
        return (sum(theirs[i] for i in order[:count]) + sum(ours[i] for i in order[count:])) / n

    return tuple(
        (k / 100, accuracy(by_confidence, c), both[0] + (both[1] - both[0]) * c / n, accuracy(by_gain, c))
        for k in CASCADE
        for c in [round(n * k / 100)]
    )
