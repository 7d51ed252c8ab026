"""One system over one part of a suite: an arm, a recorded model or a constant, as a row of the table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, quantiles

from pydantic import Field

from evaluation.choices import yes_no
from evaluation.judge import Judge, Judgement
from evaluation.judging import Scored, word
from evaluation.metrics import grounding
from evaluation.metrics.classification import macro_f1, majority
from evaluation.metrics.grounding import Outcome
from evaluation.rates import Rate, score_rate
from evaluation.records import Record
from evaluation.suites import Kind, SuiteQuestion, Use
from rag.types import Value

ENOUGH_FOR_PERCENTILES = 200


class Row(Value):
    """An arm, or a recorded model, over one part."""

    arm: str
    model: str
    rate: Rate
    everyone: Rate | None = Field(default=None, description="over all proper questions, where the part has others")
    human: float | None = Field(default=None, description="rate by the recorded labels, answerable questions")
    grounded: float | None = Field(default=None, description="right and grounded; None for arms that do not cite")
    split: dict[str, float] = Field(default_factory=dict)
    citation_precision: float | None = Field(default=None, description="share of citations that support their claims")
    citation_recall: float | None = Field(default=None, description="share of claims that a citation supports")
    macro_f1: float | None = None
    abstained: float | None = Field(default=None, description="of the answerable questions: each is wrong")
    refused_or_right: float | None = Field(default=None, description="of the others: refused, or right with a citation")
    failures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    tokens: float | None = Field(default=None, description="prompt and completion, mean of an answer")
    tokens_per_second: float | None = Field(default=None, description="completion tokens, prefill's time included")
    usd: float | None = Field(default=None, description="what a live model's answers cost in this run")


def row(
    arm: str,
    model: str,
    answerable: Sequence[SuiteQuestion],
    *,
    everyone: Sequence[SuiteQuestion] | None,
    scored: Mapping[str, Scored],
    judge: Judge,
    seed: int,
) -> Row:
    """What every system gets: its rate, corrected, over answerable and over all proper questions."""

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


def own_row(
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
    """An arm that answered in the run: also its grounding, abstentions, failures, time and tokens."""
    plain = row(arm, model, answerable, everyone=questions, scored=scored, judge=judge, seed=seed)
    times = sorted(record.milliseconds for record in said.values())
    percentiles = quantiles(times, n=20) if len(times) > 1 else [times[0]] * 19
    unanswerable = [q for q in questions if q.use is not Use.ANSWERABLE]
    cites = any(record.citations for record in said.values())
    known = [scored[q.id].outcome or Outcome.WRONG_UNGROUNDED for q in answerable]
    precision, recall = _citations(answerable, said)
    written = sum(record.completion_tokens for record in said.values())
    seconds = sum(record.stages.get("generate", record.milliseconds) for record in said.values()) / 1000
    usd = sum(record.usd for record in said.values())
    return plain.model_copy(
        update={
            "grounded": grounding.grounded_accuracy(known) if cites else None,
            "split": {o.value: share for o, share in grounding.split(known).items()} if cites else {},
            "citation_precision": precision,
            "citation_recall": recall,
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
            "tokens": mean(record.prompt_tokens + record.completion_tokens for record in said.values()) or None,
            "tokens_per_second": written / seconds if written and seconds else None,
            "usd": usd or None,
        }
    )


def _citations(questions: Sequence[SuiteQuestion], said: Mapping[str, Record]) -> tuple[float | None, float | None]:
    """Mean precision and recall over the answers that cite."""
    precisions, recalls = [], []
    for q in questions:
        supports = [grounding.support(q.question, c.claim, c.quote) for c in said[q.id].citations]
        if not supports:
            continue
        claims: dict[str, list[float]] = {}
        for citation, support in zip(said[q.id].citations, supports, strict=True):
            claims.setdefault(citation.claim, []).append(support)
        precisions.append(grounding.citation_precision(supports) or 0.0)
        recalls.append(grounding.citation_recall(list(claims.values())) or 0.0)
    return (mean(precisions), mean(recalls)) if precisions else (None, None)


def majority_row(questions: Sequence[SuiteQuestion], seed: int) -> Row:
    """Always the commonest gold letter, after the options were shuffled."""
    golds = [q.gold_letter for q in questions]
    constant, _ = majority(golds)
    judged = [Judgement(correct=gold == constant, probability=1.0, refused=False, style="exact") for gold in golds]
    f1 = macro_f1(golds, [constant] * len(golds)) if questions[0].kind is Kind.YES_NO else None
    rate = score_rate(judged, {}, clusters=[q.cluster for q in questions], seed=seed)
    said = questions[0].options[constant] if f1 is not None else constant
    return Row(arm="majority", model=f"always {said}", rate=rate, macro_f1=f1)
