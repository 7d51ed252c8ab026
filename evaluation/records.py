"""The records of a run: what was declared before it (`run.json`) and what each arm answered (`records.jsonl`).

A record is one line, written and flushed whole; a run that was killed goes on after its last whole line. Everything
after the records is pure: scoring and reports read them and ask no model. Knows no arm and no judge.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from pydantic import Field, ValidationError

from rag.errors import InvalidCorpus
from rag.types import Value

Line = TypeVar("Line", bound=Value)

FORMAT = 1
"""Version of both files; another one is refused."""


class Found(Value):
    """A passage that was retrieved."""

    document_id: str
    start: int
    end: int
    score: float


class Cited(Value):
    """A citation of an answer, with the claim that rests on it."""

    document_id: str
    start: int
    end: int
    quote: str
    claim: str


class Record(Value):
    """What one arm said to one question."""

    id: str = Field(min_length=1, description="the question's id")
    arm: str
    text: str = Field(description="the answer's words; for options the generated words, for a refusal what was said")
    abstained: bool = False
    confidence: float | None = Field(
        default=None, description="orders answers of one arm; a probability where one was calibrated"
    )
    basis: str = Field(default="", description="whose words the answer is; see rag.types.Answer")
    signals: dict[str, float] = Field(default_factory=dict, description="what a confidence can be fitted on")
    passages: tuple[Found, ...] = ()
    citations: tuple[Cited, ...] = ()
    prompt_sha256: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = Field(default=0.0, description="what a live model's answer cost, by the price that was declared")
    failure: str = Field(default="", description="why there is no answer; counted as wrong, never dropped")
    milliseconds: float = Field(default=0.0, description="of the whole answer; differs between equal runs")
    stages: dict[str, float] = Field(default_factory=dict, description="milliseconds; differs between equal runs")

    @property
    def key(self) -> tuple[str, str]:
        """Arm and question."""
        return self.arm, self.id


class Declared(Value):
    """What is fixed before the first answer. A run goes on only under the same declaration."""

    format: int = FORMAT
    suite: str
    source: str = Field(default="", description="where the suite was read; it may move")
    suite_sha256: str = Field(description="over the questions asked, their gold answers and options")
    domain: str
    arms: tuple[str, ...]
    questions: tuple[str, ...] = Field(description="ids, in the order asked")
    of: int = Field(description="questions of the suite that could be asked; more than asked in a sample")
    seed: int
    margin: float
    primary: dict[str, str] = Field(description="part of the suite -> recorded model its verdict is against")
    model: str
    model_fingerprint: str
    live_model: str = Field(
        default="", description="the large model that was asked in the run; its arms are llm, llm+rag"
    )
    embedder_fingerprint: str
    generation: str
    code: str = Field(description="commit, with '+' where files differ from it")
    hardware: str
    date: str = Field(description="of the first answer; a run that goes on keeps it")


_MAY_DIFFER = {"date", "code", "hardware", "source"}


class Records:
    """The records file of one run, open for adding. Raises InvalidCorpus for a run declared otherwise."""

    def __init__(self, folder: Path, declared: Declared) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.declared = folder, _same(folder, declared)
        self.done = {record.key for record in whole_lines(folder / "records.jsonl", Record, repair=True)}
        self._file = (folder / "records.jsonl").open("a", encoding="utf-8")

    def __enter__(self) -> Records:
        """The records, open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def add(self, record: Record) -> None:
        """Write one record; it outlives this process at once, and the machine's power within the system's flush."""
        self._file.write(record.model_dump_json() + "\n")
        self._file.flush()
        self.done.add(record.key)


def _same(folder: Path, declared: Declared) -> Declared:
    """The declaration in force: the folder's own where the run goes on, else the new one, written."""
    path = folder / "run.json"
    if not path.exists():
        temporary = path.with_suffix(".partial")
        temporary.write_text(declared.model_dump_json(indent=1), "utf-8")
        temporary.replace(path)
        return declared
    before = read_declared(folder)
    for name in type(declared).model_fields:
        if name not in _MAY_DIFFER and getattr(before, name) != getattr(declared, name):
            raise InvalidCorpus(
                f"{path} declares another run: {name} was {str(getattr(before, name))[:120]!r}, now "
                f"{str(getattr(declared, name))[:120]!r}; nothing is mixed: name another folder by --out"
            )
    return before


def read_declared(folder: Path) -> Declared:
    """The declaration of a run. Raises InvalidCorpus where there is none, or one of another format."""
    path = folder / "run.json"
    try:
        return Declared.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InvalidCorpus(
            f"{folder} holds no run: `understudy evaluate run SUITE --out {folder}` makes one"
        ) from None
    except ValidationError as error:
        raise InvalidCorpus(f"{path} is no declaration of format {FORMAT}: {error.errors()[0]['msg']}") from None


def read_records(folder: Path) -> list[Record]:
    """Every record of a run, in order."""
    return whole_lines(folder / "records.jsonl", Record, repair=False)


def whole_lines(path: Path, kind: type[Line], *, repair: bool) -> list[Line]:
    """The values of a JSONL file. A last line without its end was cut by a kill: it is passed over, or taken off.

    Raises InvalidCorpus, naming the line, for one that is no such value; a file that is not there has none.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if repair and end < len(data):
        with path.open("r+b") as file:
            file.truncate(end)
    values = []
    for number, line in enumerate(data[:end].splitlines(), start=1):
        try:
            values.append(kind.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            raise InvalidCorpus(f"{path}:{number}: no {kind.__name__.lower()} of format {FORMAT}: {error}") from None
    return values
