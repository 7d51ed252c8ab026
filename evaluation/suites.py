"""Suites: questions, gold answers and recorded answers, read from a folder or a table. Knows no judge and no model.

Three shapes are read: a suite folder (`corpus.jsonl`, `questions*.jsonl`, `baselines/*.jsonl`), a corpus folder
(`corpus.toml`, `questions.jsonl`, documents as files), and a table of questions (`.csv` or `.jsonl`) over a domain
that is already indexed. `check` finds what would make a comparison wrong, by file and line.
"""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from evaluation.answers import tokens
from rag.errors import InvalidCorpus
from rag.types import Value

Arm = Literal["slm", "slm+rag", "slm+gold", "llm", "llm+rag", "llm+gold", "llm+long-context", "majority", "overlap"]
_ARMS: Mapping[str, Arm] = {
    "closed_book": "llm",
    "medrag32": "llm+rag",
    "sharedStore": "llm+rag",
    "singleStore": "llm+rag",
    "wikipedia_rag": "llm+rag",
    "web_search": "llm+rag",
}
_PREFIXES: tuple[tuple[str, Arm], ...] = (
    ("closed_book", "llm"), ("oracle", "llm+gold"), ("inContext", "llm+long-context"),
)  # fmt: skip
LEAK_WORDS = 4
"""A gold answer of fewer words that stands in its question is no leak: names and yes are part of many questions."""


class Use(StrEnum):
    """What a question is for."""

    ANSWERABLE = "answerable"
    OUT_OF_CORPUS = "out_of_corpus"
    EXCLUDED = "excluded_improper"


class Kind(StrEnum):
    """How a question is answered, and so how it is judged."""

    FREE = "free text"
    CHOICE = "multiple choice"
    YES_NO = "yes/no"


class SuiteQuestion(Value):
    """One question with its gold answers. `line` is where it stands in `file`, from 1."""

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answers: tuple[str, ...] = ()
    options: dict[str, str] = Field(default_factory=dict, description="letter -> text; hidden from retrieval")
    answer_choice: str = Field(default="", description="the gold letter of a multiple-choice question")
    gold_doc_ids: tuple[str, ...] = ()
    gold_evidence: tuple[str, ...] = ()
    gold_texts: tuple[str, ...] = Field(
        default=(),
        repr=False,
        description="of the gold documents, where no evidence is given and the corpus is a table",
    )
    use: Use
    task: str = Field(default="", description="sub-suite, reported on its own")
    file: str
    line: int

    @property
    def kind(self) -> Kind:
        """Free text without options; yes/no(/maybe) when the options say so; else multiple choice."""
        if not self.options:
            return Kind.FREE
        return Kind.YES_NO if {o.lower() for o in self.options.values()} <= {"yes", "no", "maybe"} else Kind.CHOICE

    @property
    def gold_letter(self) -> str:
        """The letter of the gold option, empty without one."""
        if self.answer_choice or not self.options:
            return self.answer_choice
        gold = self.answers[0].lower() if self.answers else ""
        return next((letter for letter, text in self.options.items() if text.lower() == gold), "")

    @property
    def cluster(self) -> str:
        """What questions share by chance: the first gold document; the question itself without one."""
        return self.gold_doc_ids[0] if self.gold_doc_ids else f"question:{self.id}"


class Recorded(Value):
    """A recorded answer of another system."""

    id: str = Field(min_length=1)
    model: str = Field(min_length=1)
    setting: str
    answer: str
    choice: str = ""
    correct: bool | None = Field(description="as labelled; None when nobody judged it")
    label_source: str = ""
    file: str
    line: int

    @property
    def arm(self) -> Arm:
        """Which arm of the comparison its setting is."""
        return arm_of(self.setting)


class Suite(Value):
    """Everything read of one suite."""

    name: str
    root: str
    questions: tuple[SuiteQuestion, ...]
    recorded: tuple[Recorded, ...] = ()
    documents: frozenset[str] | None = Field(default=None, description="ids of the corpus; None for a bare table")

    def used(self, *uses: Use) -> tuple[SuiteQuestion, ...]:
        """The questions of some uses, in order; improper ones only when asked for."""
        wanted = uses or (Use.ANSWERABLE, Use.OUT_OF_CORPUS)
        return tuple(question for question in self.questions if question.use in wanted)


class Problem(Value):
    """Something wrong with a suite. An error makes a comparison wrong; a warning is worth a look."""

    file: str
    line: int
    severity: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        """One line: file, line, severity and message."""
        return f"{self.file}:{self.line}: {self.severity}: {self.message}"


def arm_of(setting: str) -> Arm:
    """The arm a recorded setting is. Raises InvalidCorpus for one that is not known."""
    if setting in _ARMS:
        return _ARMS[setting]
    if setting in Arm.__args__:  # type: ignore[attr-defined]  # a Literal has its values there (PEP 586)
        return setting  # type: ignore[return-value]  # checked on the line above
    for prefix, arm in _PREFIXES:
        if setting.startswith(prefix):
            return arm
    known = ", ".join([*_ARMS, *(f"{prefix}..." for prefix, _ in _PREFIXES)])
    raise InvalidCorpus(
        f"recorded setting {setting!r} is no arm of the comparison: use one of {known}, or an arm's name"
    )


def read_suite(path: Path) -> tuple[Suite, list[Problem]]:
    """Read a suite folder, a corpus folder or a table of questions; rows that cannot be read become problems.

    Raises InvalidCorpus when there is nothing to read at `path`.
    """
    problems: list[Problem] = []
    if path.is_file():
        return Suite(name=path.stem, root=str(path.parent), questions=_questions(path, path.parent, problems)), problems
    files = sorted(path.glob("questions*.jsonl"))
    if not files:
        raise InvalidCorpus(
            f"{path} holds no questions.jsonl: name a suite folder, a corpus folder, or a .csv or .jsonl"
        )
    questions = tuple(question for file in files for question in _questions(file, path, problems))
    recorded = tuple(row for file in sorted(path.glob("baselines/*.jsonl")) for row in _recorded(file, path, problems))
    bare = {document for q in questions if not q.gold_evidence for document in q.gold_doc_ids}
    documents, texts = _documents(path, bare, problems)
    questions = tuple(
        q
        if q.gold_evidence
        else q.model_copy(update={"gold_texts": tuple(texts[d] for d in q.gold_doc_ids if d in texts)})
        for q in questions
    )
    return Suite(
        name=_name(path), root=str(path), questions=questions, recorded=recorded, documents=documents
    ), problems


def _name(path: Path) -> str:
    toml = path / "corpus.toml"
    if not toml.is_file():
        return path.resolve().name
    try:
        return str(tomllib.loads(toml.read_text("utf-8")).get("corpus", {}).get("name") or path.resolve().name)
    except ValueError as error:
        raise InvalidCorpus(f"{toml} is damaged: {error}") from None


def _rows(file: Path, shown: str, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, row) of a JSONL or CSV file; a line that is no object becomes a problem."""
    if file.suffix == ".csv":
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            if reader.fieldnames is None or "question" not in reader.fieldnames:
                raise InvalidCorpus(f"{file} has no column 'question': its first line names the columns")
            for row in reader:
                yield reader.line_num, {key: value for key, value in row.items() if key and value}
        return
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidCorpus(f"{file} cannot be read as UTF-8 text: {error}") from None
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            problems.append(Problem(file=shown, line=line, severity="error", message=f"no JSON: {error}"))
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            problems.append(Problem(file=shown, line=line, severity="error", message="no JSON object"))


def _questions(file: Path, root: Path, problems: list[Problem]) -> tuple[SuiteQuestion, ...]:
    shown = file.relative_to(root).as_posix()
    found = []
    for line, row in _rows(file, shown, problems):
        lists = {
            name: tuple(value.split("|")) if isinstance(value, str) else tuple(value or ())
            for name in ("answers", "gold_doc_ids", "gold_evidence")
            if (value := row.get(name, row.get("answer") if name == "answers" else None)) is not None
        }
        use = row.get("use") or (Use.ANSWERABLE if row.get("answerable", True) in (True, "true", "True", "1") else "")
        options = row.get("options") or {key: row[key] for key in "ABCDEFGH" if key in row}
        try:
            found.append(
                SuiteQuestion(
                    id=str(row.get("id") or f"{file.stem}:{line}"),
                    question=row.get("question", ""),
                    options=options,
                    answer_choice=row.get("answer_choice") or "",
                    use=use or Use.OUT_OF_CORPUS,
                    task=row.get("task") or "",
                    file=shown,
                    line=line,
                    **lists,
                )
            )
        except ValidationError as error:
            problems.append(_bad_row(shown, line, error))
    return tuple(found)


def _recorded(file: Path, root: Path, problems: list[Problem]) -> Iterator[Recorded]:
    shown = file.relative_to(root).as_posix()
    for line, row in _rows(file, shown, problems):
        try:
            recorded = Recorded(
                id=row.get("id", ""),
                model=row.get("model", ""),
                setting=row.get("setting", ""),
                answer=row.get("answer") or "",
                choice=row.get("choice") or "",
                correct=row.get("correct"),
                label_source=row.get("label_source") or "",
                file=shown,
                line=line,
            )
            arm_of(recorded.setting)
        except ValidationError as error:
            problems.append(_bad_row(shown, line, error))
        except InvalidCorpus as error:
            problems.append(Problem(file=shown, line=line, severity="error", message=str(error)))
        else:
            yield recorded


def _bad_row(file: str, line: int, error: ValidationError) -> Problem:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return Problem(file=file, line=line, severity="error", message=f"field {where!r}: {first['msg']}")


def _documents(
    path: Path, wanted: Collection[str], problems: list[Problem]
) -> tuple[frozenset[str] | None, dict[str, str]]:
    """The ids of the corpus, None for a bare table, and the texts of the wanted documents where it is one file."""
    corpus = path / "corpus.jsonl"
    if corpus.is_file():
        ids: set[str] = set()
        texts: dict[str, str] = {}
        for line, row in _rows(corpus, "corpus.jsonl", problems):
            document = str(row.get("doc_id", ""))
            if not document or document in ids:
                what = f"document {document!r} comes twice" if document else "a document without doc_id"
                problems.append(Problem(file="corpus.jsonl", line=line, severity="error", message=what))
            ids.add(document)
            if document in wanted:
                texts[document] = str(row.get("text", ""))
        return frozenset(ids), texts
    folder = path / "documents" if (path / "documents").is_dir() else path
    if (path / "corpus.toml").is_file():
        return frozenset(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()), {}
    return None, {}


def check(path: Path) -> list[Problem]:
    """Everything wrong with a suite, in the order of its files and lines. Raises InvalidCorpus as `read_suite`."""
    suite, problems = read_suite(path)
    problems += [*_check_questions(suite), *_check_recorded(suite)]
    if not suite.questions:
        problems.append(Problem(file=suite.name, line=1, severity="error", message="no question could be read"))
    return sorted(problems, key=lambda problem: (problem.file, problem.line))


def _check_questions(suite: Suite) -> Iterator[Problem]:
    first: dict[str, SuiteQuestion] = {}
    for question in suite.questions:

        def problem(severity: Literal["error", "warning"], message: str, at: SuiteQuestion = question) -> Problem:
            return Problem(file=at.file, line=at.line, severity=severity, message=message)

        if (earlier := first.setdefault(question.id, question)) is not question:
            yield problem("error", f"question id {question.id!r} comes twice, first in {earlier.file}:{earlier.line}")
        answerable = question.use is Use.ANSWERABLE
        if answerable and not any(answer.strip() for answer in question.answers) and not question.gold_letter:
            yield problem("error", f"answerable question {question.id!r} has no gold answer")
        if question.options and answerable and question.gold_letter not in question.options:
            yield problem("error", f"question {question.id!r}: its gold answer is none of its options")
        for document in question.gold_doc_ids:
            if suite.documents is not None and document not in suite.documents:
                yield problem("error", f"gold document {document!r} of {question.id!r} is not in the corpus")
        if question.kind is Kind.FREE and (leaked := leaked_answer(question)) is not None:
            yield problem("warning", f"question {question.id!r} holds its own gold answer {leaked[:60]!r}")


def leaked_answer(question: SuiteQuestion) -> str | None:
    """A gold answer of at least four words that stands word for word in its question, or None."""
    asked = f" {' '.join(tokens(question.question))} "
    for answer in question.answers:
        words = tokens(answer)
        if len(words) >= LEAK_WORDS and f" {' '.join(words)} " in asked:
            return answer
    return None


def _check_recorded(suite: Suite) -> Iterator[Problem]:
    known = {question.id for question in suite.questions}
    seen: dict[tuple[str, str], Recorded] = {}
    for row in suite.recorded:
        if row.id not in known:
            message = f"recorded answer for question {row.id!r}, which the suite does not have"
            yield Problem(file=row.file, line=row.line, severity="error", message=message)
        if (earlier := seen.setdefault((row.file, row.id), row)) is not row:
            message = f"a second recorded answer for {row.id!r}, the first is on line {earlier.line}"
            yield Problem(file=row.file, line=row.line, severity="error", message=message)
