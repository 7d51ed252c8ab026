"""A large model asked in the run itself, recorded as it answers, and replayed later without network or key.

The recording (`llm.jsonl`) is one line a question and arm, on disk before the answer is used: a run that was killed
pays for no answer twice (but for one that was under way). An answer to another prompt is refused, never mixed in.
Knows no judge.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pydantic import Field

from evaluation.arms import ANSWER_TOKENS, LETTER_TOKENS, Answering, found_passages, prompt_messages
from evaluation.cost import ModelPrice
from evaluation.records import Record, whole_lines
from evaluation.suites import Kind, SuiteQuestion
from rag.errors import AnswerWithheld, InvalidCorpus, InvalidQuestion, InvalidSettings
from rag.types import Passage, Piece, Prompt, Question, Value

if TYPE_CHECKING:
    from rag.protocols import LanguageModel

ARMS = ("llm", "llm+rag")
CONTEXT_PASSAGES, CONTEXT_CHARS = 8, 8000
"""What `llm+rag` is shown: all that was retrieved, for a large model reads more than a small one."""


class Spoken(Value):
    """One recorded answer of a live model, with everything that a replay and a bill need."""

    id: str = Field(min_length=1)
    arm: str
    model: str = Field(min_length=1)
    date: str = Field(description="UTC, of the answer")
    prompt_sha256: str = Field(description="over model, limits and messages")
    text: str
    failure: str = ""
    prompt_tokens: int
    completion_tokens: int
    first_milliseconds: float = Field(description="to the first token")
    milliseconds: float
    usd: float = Field(ge=0)
    price: str = Field(description="of a million tokens in and out, with source and date")
    endpoint: str


class Recording:
    """The recording of one model, open for adding."""

    def __init__(self, path: Path, model: str) -> None:
        """Raises InvalidCorpus for a damaged file or one of another model."""
        self.path = path
        self._spoken = {(line.arm, line.id): line for line in whole_lines(path, Spoken, repair=True)}
        others = {line.model for line in self._spoken.values()} - {model}
        if others:
            raise InvalidCorpus(
                f"{path} is the recording of {sorted(others)[0]!r}, asked is {model!r}: nothing is mixed, name another "
                "file by --recording"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Recording:
        """The recording, open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self._file.close()

    @property
    def spent(self) -> float:
        """Dollars of all recorded answers."""
        return sum(line.usd for line in self._spoken.values())

    def find(self, arm: str, question: str, prompt_sha256: str) -> Spoken | None:
        """The recorded answer. Raises InvalidCorpus where it was given to another prompt."""
        spoken = self._spoken.get((arm, question))
        if spoken is not None and spoken.prompt_sha256 != prompt_sha256:
            raise InvalidCorpus(
                f"{self.path}: the answer of {arm} to {question!r} was given to another prompt "
                f"({spoken.prompt_sha256[:12]}, now {prompt_sha256[:12]}): it is not mixed in; restore the prompt, or "
                "record anew with --recording FILE"
            )
        return spoken

    def add(self, spoken: Spoken) -> None:
        """Write one answer, on disk before this returns: it has been paid for."""
        self._file.write(json.dumps(spoken.model_dump(), ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._spoken[spoken.arm, spoken.id] = spoken


def recorded_model(path: Path) -> str:
    """The model that a recording is of; empty without a recording. Raises InvalidCorpus for a damaged one."""
    return next((line.model for line in whole_lines(path, Spoken, repair=False)), "")


class LiveModel:
    """Answers for the arms `llm` and `llm+rag`: from the recording, else from the model, under a cap on dollars."""

    def __init__(
        self,
        name: str,
        recording: Recording,
        *,
        find: Callable[[Question], Sequence[Passage]],
        domain: str,
        model: LanguageModel | None = None,
        price: ModelPrice | None = None,
        max_usd: float = 0.0,
    ) -> None:
        """find: what retrieval finds for a question, best first; model: None to replay only, with a price otherwise.

        max_usd: what the whole recording may cost, answers of earlier runs included
        """
        self._name, self._recording, self._model, self._price = name, recording, model, price
        self._find, self._domain, self._max_usd = find, domain, max_usd

    def runners(self) -> Mapping[str, Answering]:
        """The arms, by name."""
        return {"llm": self._closed, "llm+rag": self._briefed}

    def _closed(self, question: SuiteQuestion) -> Record:
        return self._answer("llm", question, ())

    def _briefed(self, question: SuiteQuestion) -> Record:
        asked = Question(text=question.question, domain=self._domain, max_passages=CONTEXT_PASSAGES)
        return self._answer("llm+rag", question, tuple(self._find(asked)))

    def _answer(self, arm: str, question: SuiteQuestion, passages: tuple[Passage, ...]) -> Record:
        messages = prompt_messages(question, passages, chars=CONTEXT_CHARS)
        tokens = ANSWER_TOKENS if question.kind is Kind.FREE else LETTER_TOKENS
        prompt = Prompt(messages=messages, max_tokens=tokens, temperature=0.0, seed=0)
        sha = prompt_sha256(self._name, prompt)
        spoken = self._recording.find(arm, question.id, sha)
        if spoken is None:
            spoken = self._ask(arm, question.id, prompt, sha)
            self._recording.add(spoken)
        return Record(
            id=question.id,
            arm=arm,
            text=spoken.text.strip(),
            failure=spoken.failure,
            passages=found_passages(passages),
            prompt_sha256=sha,
            prompt_tokens=spoken.prompt_tokens,
            completion_tokens=spoken.completion_tokens,
            usd=spoken.usd,
            milliseconds=spoken.milliseconds,
            stages={"first token": spoken.first_milliseconds},
        )

    def _ask(self, arm: str, question: str, prompt: Prompt, sha: str) -> Spoken:
        if self._model is None or self._price is None:
            raise InvalidCorpus(
                f"{self._recording.path} holds no answer of {arm} to {question!r}, and no endpoint is given: name one "
                "by --llm-url to go on recording"
            )
        most = self._price.cost(self._model.prompt_tokens(prompt.messages), prompt.max_tokens)
        if self._recording.spent + most > self._max_usd:
            raise InvalidSettings(
                f"the next answer may cost {most:.6f} dollars and {self._recording.spent:.6f} are spent: the cap of "
                f"{self._max_usd:g} would be passed. All so far is recorded; the same command with a higher --max-usd "
                "goes on"
            )
        text, failure, last, first = "", "", Piece(text=""), 0.0
        begin = time.perf_counter()
        try:
            for piece in self._model.generate(prompt):
                first = first or (time.perf_counter() - begin) * 1000
                text, last = text + piece.text, piece
        except (AnswerWithheld, InvalidQuestion) as error:  # of this question alone; all else ends the run, resumable
            failure = f"{error.code}: {error}"
        taken, written = last.prompt_tokens or 0, last.completion_tokens or 0
        return Spoken(
            id=question,
            arm=arm,
            model=self._name,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            prompt_sha256=sha,
            text=text,
            failure=failure,
            prompt_tokens=taken,
            completion_tokens=written,
            first_milliseconds=round(first, 3),
            milliseconds=round((time.perf_counter() - begin) * 1000, 3),
            usd=self._price.cost(taken, written),
            price=self._price.told(),
            endpoint=self._model.card.device,
        )


def prompt_sha256(model: str, prompt: Prompt) -> str:
    """Hex sha256 over all that an answer depends on: model, limits, temperature and every message."""
    said = [[message.role, message.content] for message in prompt.messages]
    whole = [model, prompt.max_tokens, prompt.temperature, prompt.seed, list(prompt.stop), said]
    return hashlib.sha256(json.dumps(whole, ensure_ascii=False).encode()).hexdigest()
