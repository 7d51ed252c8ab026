"""Does tuning the embedder pay? A linear map of the question's vector, learned from pairs, on questions it never saw.

It learns (bench.linear_adapter) from the questions that the shipped adapter learned from: once to rank passages, once
the sentences of the passages that are found. Temperature and steps are chosen by cross-validation among them; what
they make is asked once, on NQ questions kept for checking and on CTIBench outside the report's sample.

    python -m bench.contrastive --suites DIR [--data DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from bench.ablations import changed
from bench.linear_adapter import Asked, Chosen, Floats, choose, hits, turned
from bench.remembered import Memory, RememberedEmbedder
from evaluation.judge import shipped_judge
from evaluation.machine import hardware
from evaluation.sampling import sample
from evaluation.statistics import paired_difference
from evaluation.suites import Kind, SuiteQuestion, Use, read_suite
from ingest.copying import chunk_id
from rag.build import adapter_cards, open_catalog, open_embedder, open_index
from rag.fusion import combine, dense_weight
from rag.prompt import heading_line, seen_hash
from rag.protocols import Embedder
from rag.reading import COVERAGE_WEIGHT, NEAREST, rank
from rag.settings import Settings, load
from rag.tables import headed
from rag.types import Chunk, Filter, Passage, RetrievalMode

NQ, CTI = "nq_evouna", "ctibench_mcq"
TRAINED = (NQ, "mirage_pubmed")
TRANSFER = 200
"""CTIBench questions that are asked, of those outside the report's sample."""
DEPTH = 50
"""Passages of a question that are ranked anew while settings are chosen, and that wrong ones are taken from."""
PASSAGES, SENTENCES = (1, 5, 8), (1, 6)
"""Ranks within which a right one is looked for: 8 passages are found, 6 sentences of them read."""


class Domain:
    """A suite's domain, searched as the product does."""

    def __init__(self, settings: Settings, suite: str, embedder: Embedder) -> None:
        self._name = suite.replace("_", "-")
        self._index = open_index(settings, open_catalog(settings).live(self._name), create=False)
        self._embedder, self._judge = embedder, shipped_judge()
        self.close = self._index.close

    def search(
        self, question: SuiteQuestion, matrix: Floats | None = None, *, limit: int = max(PASSAGES), gold: bool = False
    ) -> list[Passage]:
        """The passages of a question, its vector turned; gold: of its gold documents alone."""
        vector = self._embedder.embed([question.question])[0]
        return self._index.search(
            vector=vector if matrix is None else turned(vector, matrix).astype(np.float32),
            text=question.question,
            limit=limit,
            mode=RetrievalMode.HYBRID,
            filter=Filter(documents=question.gold_doc_ids if gold else None),
        )

    def found(self, question: SuiteQuestion, matrix: Floats | None = None) -> list[bool]:
        """Whether a gold document is found within each of the ranks."""
        right = [passage.document_id in question.gold_doc_ids for passage in self.search(question, matrix)]
        return [any(right[:k]) for k in PASSAGES]

    def passages(self, question: SuiteQuestion) -> Asked:
        """The best passages and those of the gold documents; one that holds the answer elsewhere is not wrong."""
        known: dict[str, Passage] = {}
        for passage in (*self.search(question, limit=DEPTH), *self.search(question, gold=True)):
            part = Chunk(start=passage.start, end=passage.end, text=passage.text, heading=passage.heading)
            known.setdefault(chunk_id(self._name, passage.document_id, part), passage)
        vectors = self._index.vectors(list(known))
        right = np.array([p.document_id in question.gold_doc_ids for p in known.values()])
        told = [answer.casefold() for answer in question.answers if question.kind is Kind.FREE]
        holds = np.array([any(answer in p.text.casefold() for answer in told) for p in known.values()])
        words = np.array([p.bm25_score or 0.0 for p in known.values()])
        return Asked(
            question.cluster,
            self._embedder.embed([question.question])[0],
            np.stack([vectors[name] for name in known]),
            right,
            ~right & ~holds,
            partial(combine, bm25=words, weight=dense_weight(question.question)),
        )

    def sentences(self, question: SuiteQuestion) -> Asked:
        """The sentences of the passages that are found, right where the judge takes one for an answer."""
        ranked = rank(question.question, self.search(question), self._embedder, most=NEAREST)
        texts = [f"{heading_line(s.passage)}\n{headed(s.passage.text, s.start, s.end)}" for s in ranked]
        vectors = self._embedder.embed([question.question, *texts])
        if not np.allclose(vectors[1:] @ vectors[0], [s.cosine for s in ranked], atol=1e-4):
            raise SystemExit("rag.reading embeds other texts than this benchmark: mend Domain.sentences")
        said = [s.passage.text[s.start : s.end] for s in ranked]
        right = np.array([self._judge.judge(question.question, question.answers, text).correct for text in said])
        words = COVERAGE_WEIGHT * np.array([s.coverage for s in ranked])
        return Asked(question.cluster, vectors[0], vectors[1:], right, ~right, partial(np.add, words))


def named(folder: Path, hashes: frozenset[str]) -> list[SuiteQuestion]:
    """The answerable questions of a suite that a card names."""
    suite, _ = read_suite(folder)
    return [q for q in suite.used(Use.ANSWERABLE) if q.gold_doc_ids and seen_hash(q.question) in hashes]


def outside(folder: Path) -> list[SuiteQuestion]:
    """Questions with a gold document that the report does not ask, drawn by seed."""
    suite, _ = read_suite(folder)
    reported = {question.id for question in sample(suite, limit=300, seed=0)}
    kept = {q.id for q in suite.used(Use.ANSWERABLE) if q.gold_doc_ids} - reported
    return list(sample(suite, limit=TRANSFER, seed=0, only=frozenset(kept)))


def table(clusters: Sequence[str], pairs: npt.ArrayLike, ranks: Sequence[int]) -> list[dict[str, float]]:
    """For each rank the share of questions with a right one within it, as it is and turned, and the difference.

    pairs: (n, 2, ranks) hits of each question, turned and as it is
    """
    found = []
    for k, (a, b) in zip(ranks, np.asarray(pairs, np.float64).transpose(2, 1, 0), strict=True):
        d = paired_difference(a, b, clusters)
        row = {"k": k, "n": d.n, "plain": float(b.mean()), "turned": float(a.mean()), "changed": int((a != b).sum())}
        found.append({**row, "difference": d.estimate, "low": d.low, "high": d.high})
    return found


def measure(settings: Settings, suites: Path, memory: Memory) -> list[dict[str, Any]]:
    """What was chosen for passages and for sentences, and the tables."""
    cards = adapter_cards(settings)
    trained = frozenset(known for card in cards for known in card.trained)
    checked = named(suites / NQ, frozenset(known for card in cards for known in card.checked))
    learned = [(name, question) for name in TRAINED for question in named(suites / name, trained)]
    plain = open_embedder(settings)
    embedder = RememberedEmbedder(plain, memory)
    domains: dict[str, Domain] = {}
    try:
        domains |= {name: Domain(settings, name, embedder) for name in (*TRAINED, CTI)}
        nq, as_it_is = domains[NQ], np.eye(plain.dimensions, dtype=np.float32)
        passages = [domains[name].passages(q) for name, q in track(learned, "passages: reading", transient=True)]
        first = choose(passages, PASSAGES, name="passages")
        of_passages = {"cross-validation": _held_out(passages, first, as_it_is, PASSAGES)}
        for name, asked in ((NQ, checked), (CTI, outside(suites / CTI))):
            found = [(domains[name].found(q, first.matrix), domains[name].found(q)) for q in asked]
            of_passages[name] = table([q.cluster for q in asked], found, PASSAGES)
        own = [question for name, question in learned if name == NQ]
        sentences = [nq.sentences(q) for q in track(own, "sentences: reading", transient=True)]
        second = choose(sentences, SENTENCES, name="sentences")
        of_sentences = {"cross-validation": _held_out(sentences, second, as_it_is, SENTENCES)}
        new = [nq.sentences(q) for q in track(checked, "sentences: checking", transient=True)]
        pairs = [(hits(a, second.matrix, SENTENCES), hits(a, as_it_is, SENTENCES)) for a in new]
        of_sentences[NQ] = table([a.cluster for a in new], pairs, SENTENCES)
    finally:
        for domain in domains.values():
            domain.close()
        plain.close()
    return [
        {"what": what, "temperature": c.temperature, "steps": c.steps, "tries": c.tries, "tables": tables}
        for what, c, tables in (("passages", first, of_passages), ("sentences", second, of_sentences))
    ]


def shown(row: Mapping[str, float]) -> str:
    """A row of a table, in %."""
    before, after, d, low, high = (100 * row[part] for part in ("plain", "turned", "difference", "low", "high"))
    return (
        f"n = {row['n']}, k = {row['k']}: {before:5.1f} → {after:5.1f}  {d:+.1f} [{low:+.1f}, {high:+.1f}]  "
        f"{row['changed']} changed"
    )


def _held_out(
    questions: Sequence[Asked], chosen: Chosen, plain: Floats, ranks: Sequence[int]
) -> list[dict[str, float]]:
    before = [hits(asked, plain, ranks) for asked in questions]
    return table([asked.cluster for asked in questions], np.stack([chosen.held_out, before], axis=1), ranks)


def main() -> int:
    """Print the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--data", type=Path, default=Path(".cache/bench"), help="where bench.retrieval ingested them")
    parser.add_argument("--memory", type=Path, default=Path(".cache/contrastive.sqlite"), help="vectors, kept")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    memory = Memory(arguments.memory)
    try:
        results = measure(changed(load(), {"data": {"directory": arguments.data}}), Path(arguments.suites), memory)
    finally:
        memory.close()
    if arguments.json:
        print(json.dumps({"hardware": hardware(), "results": results}, indent=1))
        return 0
    print(f"A right one within the first k, in %: as it is → turned, the difference in points [95%] · {hardware()}")
    for result in results:
        tries = ", ".join(f"{name}: {100 * share:.1f}" for name, share in result["tries"].items())
        print(f"\n{result['what']}: temperature {result['temperature']}, {result['steps']} steps")
        print(f"  right in front in cross-validation, by temperature · steps: {tries}")
        for name, found in result["tables"].items():
            for row in found:
                print(f"  {name:16} {shown(row)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
