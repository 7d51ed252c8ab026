"""Records and recorded answers to the figures of a report. Pure: calls no model, reads no file, writes none.

A suite's parts (its tasks) are scored apart, never pooled. The verdict of a part is `slm+rag` against the primary
comparator that the run declared, on answerable questions; a row over all proper questions stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import mean

from pydantic import Field

from evaluation.answers import content
from evaluation.comparing import Comparison, cascade, compare
from evaluation.judge import Judge
from evaluation.judging import Scored, own_answer, recorded_answer
from evaluation.metrics.abstention import RiskCoverage, aurc, calibration_error, risk_coverage
from evaluation.metrics.grounding import ScorerQuality, scorer_quality
from evaluation.metrics.retrieval import document_ndcg, hit, recall, reciprocal_rank
from evaluation.records import Declared, Record
from evaluation.rows import Row, majority_row, own_row, row
from evaluation.statistics import holm
from evaluation.suites import Kind, Recorded, SuiteQuestion, Use
from rag.types import Value

Right = dict[str, dict[str, bool]]
"""`slm+rag` or `primary` -> question -> whether it is right there."""
DEPTHS = (1, 3, 5, 8)
OURS = "slm+rag"
PAIRS = 300
"""Questions that the support scorer is measured on at most: every one is put beside every other."""
LIVE = ("llm", "llm+rag")
"""Arms of a large model that was asked in the run itself."""


class Part(Value):
    """One part of a suite, scored."""

    name: str
    n: int
    kind: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    retrieval: dict[str, dict[str, float]] = Field(description="depth -> hit, recall, MRR and nDCG of gold documents")
    risk: RiskCoverage | None = None
    aurc: float | None = None
    ece: float | None = Field(default=None, description="of the confidence taken as a probability")
    scorer: ScorerQuality | None = Field(
        default=None, description="of the support scorer: gold evidence against the likest evidence of other questions"
    )
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
) -> tuple[tuple[Part, ...], Right]:
    """Score every part of a run; also, of `slm+rag` and of the primary comparator, which questions it has right.

    questions: as asked, options shuffled; originals: id -> the suite's own, which recorded answers were given to
    """
    by_arm: dict[str, dict[str, Record]] = {}
    for record in records:
        by_arm.setdefault(record.arm, {})[record.id] = record
    systems = _by_model(recorded)
    named = sorted(questions, key=lambda q: q.task)
    scorings = [
        _Scoring(task or declared.suite, list(group), declared, judge)
        for task, group in groupby(named, key=lambda q: q.task)
    ]
    parts = [scoring.part(by_arm, systems, originals) for scoring in scorings]
    adjusted = iter(holm([c.mcnemar for part in parts for c in part.comparisons]))
    adjusted_parts = tuple(
        part.model_copy(
            update={"comparisons": tuple(c.model_copy(update={"holm": next(adjusted)}) for c in part.comparisons)}
        )
        for part in parts
    )
    right: Right = {OURS: {}, "primary": {}}
    for scoring in scorings:
        right[OURS] |= {name: s.judgement.correct for name, s in scoring.scored.get(OURS, {}).items()}
        right["primary"] |= {name: s.judgement.correct for name, s in scoring.primary.items()}
    return adjusted_parts, right


def _by_model(recorded: Iterable[Recorded]) -> dict[tuple[str, str], dict[str, Recorded]]:
    """(arm with its setting, model) -> question -> answer."""
    systems: dict[tuple[str, str], dict[str, Recorded]] = {}
    for answer in recorded:
        systems.setdefault((f"{answer.arm} ({answer.setting})", answer.model), {})[answer.id] = answer
    return dict(sorted(systems.items()))


class _Scoring:
    """One part while it is scored: its questions, and what was found of each system so far."""

    def __init__(self, name: str, questions: list[SuiteQuestion], declared: Declared, judge: Judge) -> None:
        self.name, self.questions, self.declared, self.judge = name, questions, declared, judge
        self.answerable = [q for q in questions if q.use is Use.ANSWERABLE] or questions
        self.rows: list[Row] = []
        self.scored: dict[str, dict[str, Scored]] = {}
        self.comparisons: list[Comparison] = []
        self.primary: dict[str, Scored] = {}

    def part(
        self,
        by_arm: Mapping[str, Mapping[str, Record]],
        systems: Mapping[tuple[str, str], Mapping[str, Recorded]],
        originals: Mapping[str, SuiteQuestion],
    ) -> Part:
        for arm in self.declared.arms:
            self._own(arm, by_arm.get(arm, {}))
        if all(q.options for q in self.answerable):
            self.rows.append(majority_row(self.answerable, self.declared.seed))
        for arm in LIVE:
            if arm in self.scored:
                self._compare(arm, self.declared.live_model, self.scored[arm])
        for (arm, model), answers in systems.items():
            if all(q.id in answers for q in self.answerable):  # else it was not asked of this part
                self._recorded(arm, model, answers, originals)
        own = {found.arm: found.rate.judged for found in self.rows}
        ours = self.scored.get(OURS, {})
        kept = [ours[q.id] for q in self.answerable] if ours else []
        confident = bool(kept) and all(s.confidence is not None or s.text == "" for s in kept)
        confidences = [min(1.0, max(0.0, s.confidence or 0.0)) for s in kept]
        correct = [s.judgement.correct for s in kept]
        return Part(
            name=self.name,
            n=len(self.answerable),
            kind=self.answerable[0].kind.value,
            rows=tuple(self.rows),
            comparisons=tuple(self.comparisons),
            retrieval=_retrieval(self.answerable, by_arm.get(OURS, {})),
            risk=risk_coverage(confidences, correct) if confident else None,
            aurc=aurc(confidences, correct) if confident else None,
            ece=calibration_error(confidences, correct) if confident else None,
            scorer=_scorer(self.answerable),
            cascade=cascade(confidences, correct, [self.primary[q.id].judgement.correct for q in self.answerable])
            if confident and self.primary
            else (),
            gain_of_retrieval=own[OURS] - own["slm"] if OURS in own and "slm" in own else None,
        )

    def _own(self, arm: str, records: Mapping[str, Record]) -> None:
        said = {q.id: records[q.id] for q in self.questions if q.id in records}
        if len(said) < len(self.questions):
            return
        self.scored[arm] = {q.id: own_answer(q, said[q.id], self.judge) for q in self.questions}
        model = self.declared.live_model if arm in LIVE else "no model" if arm == "overlap" else self.declared.model
        self.rows.append(
            own_row(
                arm,
                model,
                self.questions,
                answerable=self.answerable,
                said=said,
                scored=self.scored[arm],
                judge=self.judge,
                seed=self.declared.seed,
            )
        )

    def _recorded(
        self, arm: str, model: str, answers: Mapping[str, Recorded], originals: Mapping[str, SuiteQuestion]
    ) -> None:
        theirs = {
            q.id: recorded_answer(originals[q.id], answers[q.id], self.judge) for q in self.questions if q.id in answers
        }
        plain = row(
            arm,
            model,
            self.answerable,
            everyone=self.questions if len(theirs) == len(self.questions) else None,
            scored=theirs,
            judge=self.judge,
            seed=self.declared.seed,
        )
        labels = [label for q in self.answerable if (label := answers[q.id].correct) is not None]
        self.rows.append(plain.model_copy(update={"human": mean(labels) if labels else None}))
        self._compare(arm, model, theirs)

    def _compare(self, arm: str, model: str, theirs: dict[str, Scored]) -> None:
        """Our arm against the system whose row is there already."""
        if OURS not in self.scored:
            return
        primary = arm.split(" ")[0] == "llm" and self.declared.primary.get(self.name) == model
        rates = {(found.arm, found.model): found.rate for found in self.rows}
        self.comparisons.append(
            compare(
                self.answerable,
                self.scored[OURS],
                theirs,
                rates=(rates[OURS, self.declared.model], rates[arm, model]),
                arm=arm,
                model=model,
                primary=primary,
                margin=self.declared.margin,
                seed=self.declared.seed,
            )
        )
        if primary:
            self.primary = theirs


def _retrieval(questions: Sequence[SuiteQuestion], records: Mapping[str, Record]) -> dict[str, dict[str, float]]:
    asked = [(q, records[q.id]) for q in questions if q.gold_doc_ids and q.id in records and records[q.id].passages]
    if not asked:
        return {}
    ranked = [([p.document_id for p in record.passages], q.gold_doc_ids) for q, record in asked]
    metrics = {"hit": hit, "recall": recall, "mrr": reciprocal_rank, "ndcg": document_ndcg}
    return {
        str(k): {name: mean(metric(found, gold, k=k) for found, gold in ranked) for name, metric in metrics.items()}
        for k in DEPTHS
    }


def _scorer(questions: Sequence[SuiteQuestion]) -> ScorerQuality | None:
    """The support scorer on gold evidence, and on the likest evidence of a question with another gold document."""
    asked = [q for q in questions if q.kind is Kind.FREE and q.gold_evidence and q.answers][:PAIRS]
    if len({q.cluster for q in asked}) < 2:
        return None
    words = [set(content(q.gold_evidence[0])) for q in asked]
    evidence, distractors = [], []
    for q in asked:
        about = set(content(f"{q.question} {q.answers[0]}"))
        others = [i for i, other in enumerate(asked) if other.cluster != q.cluster]
        likest = max(others, key=lambda i: len(about & words[i]))
        evidence.append((q.question, q.answers[0], q.gold_evidence[0]))
        distractors.append((q.question, q.answers[0], asked[likest].gold_evidence[0]))
    return scorer_quality(evidence, distractors)
