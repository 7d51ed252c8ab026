"""A run read back from its folder: what was declared and said, and the questions that were asked. Asks no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.judge import Judge
from evaluation.records import Declared, Record, read_declared, read_records
from evaluation.sampling import fingerprint, shuffled
from evaluation.scoring import Part, Right, score
from evaluation.suites import Suite, SuiteQuestion, read_suite
from rag.errors import InvalidCorpus


@dataclass(frozen=True)
class Finished:
    """A run and its suite."""

    folder: Path
    declared: Declared
    records: list[Record]
    suite: Suite
    questions: list[SuiteQuestion]
    """As asked: options shuffled."""
    originals: Mapping[str, SuiteQuestion]

    @property
    def complete(self) -> bool:
        """Every arm answered every question."""
        return len(self.records) == len(self.declared.arms) * len(self.declared.questions)

    def scored(self, judge: Judge) -> tuple[tuple[Part, ...], Right]:
        """The parts, and what is right where; see `evaluation.scoring.score`."""
        return score(
            self.declared,
            self.questions,
            originals=self.originals,
            records=self.records,
            recorded=self.suite.recorded,
            judge=judge,
        )


def read_run(folder: Path, suite: Path | None = None) -> Finished:
    """Read a run and the suite it asked.

    suite: where it is now; default: where it was at the run
    Raises InvalidCorpus where there is no run, no suite, or other questions than those that were asked.
    """
    declared = read_declared(folder)
    path = suite or Path(declared.source)
    if suite is None and not (declared.source and path.exists()):
        raise InvalidCorpus(
            f"the suite of the run is not at {declared.source or 'a place it names'}: name it by --suite"
        )
    read, _ = read_suite(path)
    originals = {question.id: question for question in read.used()}
    missing = [name for name in declared.questions if name not in originals]
    if missing:
        raise InvalidCorpus(f"question {missing[0]!r} of the run is not in {path}: name the suite that was asked")
    questions = [shuffled(originals[name], declared.seed) for name in declared.questions]
    if fingerprint(questions) != declared.suite_sha256:
        raise InvalidCorpus(f"the questions of {path} are not those of the run in {folder}: run it again")
    return Finished(folder, declared, read_records(folder), read, questions, originals)
