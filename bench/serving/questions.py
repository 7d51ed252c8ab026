"""The corpus and the questions of every serving benchmark: a part of `nq_evouna`, its own domain, seeded draws.

The corpus is the first paragraphs of the suite, those that answer a drawn question put in; the domain lives in the
bench's data directory and is ingested once. Knows no server.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.suites import SuiteQuestion, read_suite

DATA = Path(".cache/bench/serving/data")
"""A data directory of their own, because keys bind everything in one; models are shared with the other benches."""

MODELS = Path(".cache/bench/models")

DOMAIN = "nq-serving"
PARAGRAPHS = 2000
UNDERSTUDY = (sys.executable, "-m", "api")


@dataclass(frozen=True, slots=True)
class Workload:
    """A corpus file, the domain that holds it, and questions that it answers, in a seeded order."""

    corpus: Path
    domain: str
    questions: tuple[SuiteQuestion, ...]

    def texts(self) -> list[str]:
        """The questions' words."""
        return [question.question for question in self.questions]


def arguments(description: str | None, *more: tuple[str, dict[str, Any]], suites: bool = True) -> Namespace:
    """The command line of a benchmark: `--suites`, which one that needs none takes too, and its own options."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    for name, options in more:
        parser.add_argument(name, **options)
    parsed = parser.parse_args()
    if suites and parsed.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    return parsed


def prepare(suites: Path) -> Workload:
    """The workload, ingested where it is not; further processes find the data directory in the environment."""
    os.environ["UNDERSTUDY_DATA__DIRECTORY"] = str(DATA.absolute())
    suite, _ = read_suite(suites / "nq_evouna")
    questions = [question for question in suite.used() if question.answers and question.gold_doc_ids]
    random.Random(0).shuffle(questions)
    rows = (suites / "nq_evouna" / "corpus.jsonl").read_text("utf-8").splitlines()
    first = {json.loads(row)["doc_id"] for row in rows[:PARAGRAPHS]}
    # Those that the first paragraphs answer come first; the gold ones of the next few are put in, so that fifty
    # questions over two thousand paragraphs are the same whatever order the suite has.
    gold = {identity for question in questions[:50] for identity in question.gold_doc_ids}
    kept = [row for row in rows if (found := json.loads(row)["doc_id"]) in first or found in gold]
    corpus = DATA.parent / "corpus.jsonl"
    text = "\n".join(kept) + "\n"
    DATA.mkdir(parents=True, exist_ok=True)
    MODELS.mkdir(parents=True, exist_ok=True)
    if not (DATA / "models").exists():
        (DATA / "models").symlink_to(MODELS.absolute())
    if not corpus.exists() or corpus.read_text("utf-8") != text:
        corpus.write_text(text, "utf-8")
    listed = subprocess.run([*UNDERSTUDY, "ingest", "show", "--json"], capture_output=True, text=True, check=False)
    if f'"{DOMAIN}"' not in listed.stdout:
        subprocess.run([sys.executable, "-m", "rag.build", "prepare"], check=True)
        subprocess.run([*UNDERSTUDY, "ingest", "apply", str(corpus), "--domain", DOMAIN], check=True)
    inside = first | gold
    answered = [question for question in questions if set(question.gold_doc_ids) <= inside]
    return Workload(corpus=corpus, domain=DOMAIN, questions=tuple(answered))
