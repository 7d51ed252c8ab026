"""Who is evaluated when: requests join and leave the running batch row by row. Lives in the child; reads no frame.

Each step takes the next rows of those that already speak, one or a few each, and fills the rest of the call with the
prompt that came first: a row beside a prompt costs a fraction of a row alone, since the weights are read once. A prompt
is cut where the call is full, so that nobody who speaks waits for a long one. Method: iteration-level scheduling (Yu et
al., Orca, OSDI 2022) with chunked prefill (Agrawal et al., Sarathi-Serve, OSDI 2024).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag.engine.llama import CHUNK, Llama, Logits, Row
from rag.engine.prefixes import Key, Prefix, Prefixes
from rag.engine.tasks import Task, prompt_rows
from rag.engine.wire import Frame

STEP = 16
"""Rows up to which a request counts as one that speaks, and goes first: a beam or a token, not a prompt."""

MIXED_CHUNK = 128
"""Rows of a call in which somebody speaks, who then waits for a sixth of a second at the most (two cores, 135M)."""

TURN = 16
"""Calls after which requests of another adapter have their turn: a call has one, and a change costs a new graph."""

PREFIX_SEQUENCES = 8
"""Beginnings that are kept at the most; an eighth of the memory is theirs."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request as the scheduler sees it."""

    number: int
    adapter: str
    prefix: tuple[int, ...]
    """the beginning that others may share"""
    sequences: int
    """that it needs, the prompt's first"""
    cells: int
    """positions that it may need in the memory, its prefix counted"""
    start: Callable[[Sequence[int], int], Task]
    """its task, given its sequences and the position after the prefix"""
    admitted: Callable[[int], None]
    """told how many tokens of the prompt need no evaluation"""
    finished: Callable[[Frame], None]
    """told its task's result, once all that it held is given back"""
    cancelled: Callable[[], None]
    """told that it was given up, as late"""


@dataclass(slots=True)
class _Running:
    job: Job
    task: Task
    sequences: list[int]
    rows: Sequence[Row] = ()
    done: int = 0
    """rows of these that were evaluated"""
    logits: list[Logits] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.rows) - self.done


@dataclass(slots=True)
class Counters:
    """What was done so far, and the last call's shape."""

    steps: int = 0
    evaluated_tokens: int = 0
    cached_tokens: int = 0
    cancelled: int = 0
    finished: int = 0
    batch_tokens: int = 0
    batch_requests: int = 0


class Scheduler:
    """One model's requests. `submit`, `cancel` and `counts` are for any thread, `run` and `step` for one."""

    def __init__(self, model: Llama, *, parallel: int) -> None:
        """parallel: requests that are worked on together; the rest wait in order of arrival."""
        self._model = model
        self._parallel = parallel
        kept = range(model.sequences - PREFIX_SEQUENCES, model.sequences)
        self._prefixes = Prefixes(kept, max_tokens=model.memory_tokens // 8)
        self._free = list(range(model.sequences - PREFIX_SEQUENCES))
        self._cells = self.capacity = model.memory_tokens - model.memory_tokens // 8
        """positions that are free for requests, and that there are in all"""
        self._waiting: deque[Job] = deque()
        self._running: list[_Running] = []
        self._turn = 0
        self._changed = threading.Condition()
        self._given_up: set[int] = set()
        self._in_call: frozenset[int] = frozenset()
        self.counters = Counters()

    # --- for any thread ---

    def submit(self, job: Job) -> None:
        """Put a request at the end of the queue."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def cancel(self, number: int) -> None:
        """Give a request up, wherever it is; a call that now serves nobody ends at once."""
        with self._changed:
            if any(job.number == number for job in self._waiting) or any(r.job.number == number for r in self._running):
                self._given_up.add(number)
                if self._in_call and self._in_call <= self._given_up:
                    self._model.abort(True)
                self._changed.notify()

    def counts(self) -> dict[str, int]:
        """Counters, and gauges of now."""
        told = {name: getattr(self.counters, name) for name in Counters.__slots__}
        with self._changed:
            return told | {
                "running": len(self._running),
                "waiting": len(self._waiting),
                "sequences": self._model.sequences - PREFIX_SEQUENCES - len(self._free),
                "prefix_hits": self._prefixes.hits,
                "prefix_misses": self._prefixes.misses,
            }

    # --- for the model's own thread ---

    def run(self) -> None:
        """Work for ever."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._running)
            self.step()

    def step(self) -> None:
        """Drop who was given up, admit who fits, evaluate one batch, and let those go on whose rows are done."""
        with self._changed:
            self._drop()
            admitted = list(self._admit())
        for running in admitted:
            self._advance(running, None)
        if not self._running:
            return
        batch = self._compose()
        rows = [row for running, count in batch for row in running.rows[running.done : running.done + count]]
        with self._changed:
            self._in_call = frozenset(running.job.number for running, _ in batch)
            self._model.abort(self._in_call <= self._given_up)
        logits = self._model.evaluate(rows)
        with self._changed:
            self._in_call = frozenset()
            self._model.abort(False)
        if logits is None:
            return
        self.counters.steps += 1
        self.counters.evaluated_tokens += len(rows)
        self.counters.batch_tokens, self.counters.batch_requests = len(rows), len(batch)
        at = 0
        for running, count in batch:
            wanted = sum(row[3] for row in running.rows[running.done : running.done + count])
            if wanted:
                running.logits.append(logits[at : at + wanted])
                at += wanted
            running.done += count
            if not running.left:
                self._advance(running, running.logits)

    def _compose(self) -> list[tuple[_Running, int]]:
        """Whose rows make the next call, and how many of each."""
        adapter = self._chosen_adapter()
        group = [running for running in self._running if running.job.adapter == adapter]
        room = CHUNK
        batch = []
        speaking = [running for running in group if running.left <= STEP]
        for running in speaking:
            count = min(running.left, room)
            batch.append((running, count))
            room -= count
        if speaking:
            room = min(room, max(0, MIXED_CHUNK - (CHUNK - room)))
        for running in group:
            if running.left > STEP and room > 0:
                count = min(running.left, room)
                batch.append((running, count))
                room -= count
        return [(running, count) for running, count in batch if count]

    def _chosen_adapter(self) -> str:
        """The adapter in force as long as it has requests and its turn lasts, then that of whoever came first."""
        adapters = list(dict.fromkeys(running.job.adapter for running in self._running))
        current = self._model.adapter
        self._turn += 1
        if current not in adapters or (self._turn > TURN and len(adapters) > 1):
            current = next(adapter for adapter in adapters if adapter != current)
            self._model.use(current)
            self._turn = 0
        return current

    def _admit(self) -> Iterator[_Running]:
        """In order of arrival, as long as places, sequences and memory last."""
        while self._waiting and len(self._running) < self._parallel:
            job = self._waiting[0]
            if job.sequences > len(self._free) or job.cells > self._cells:
                return
            key = (job.adapter, job.prefix)
            prefix = self._prefixes.find(key)
            if prefix is not None and not prefix.ready:
                return  # the one before evaluates it just now
            self._waiting.popleft()
            self._cells -= job.cells
            sequences = [self._free.pop() for _ in range(job.sequences)]
            if prefix is not None:
                self._prefixes.hits += 1
                self.counters.cached_tokens += prefix.tokens
                self._model.copy(prefix.sequence, sequences[0])
                job.admitted(prefix.tokens)
                task = job.start(sequences, prefix.tokens)
            else:
                self._prefixes.misses += bool(job.prefix)
                job.admitted(0)
                task = self._with_prefix(job, sequences, self._kept(key))
            running = _Running(job, task, sequences)
            self._running.append(running)
            yield running

    def _kept(self, key: Key) -> Prefix | None:
        """A place for a beginning that is not there yet, or None where it cannot be kept."""
        entry, gone = self._prefixes.add(key) if self._prefixes.fits(key) else (None, [])
        for sequence in gone:
            self._model.remove(sequence)
        return entry

    def _with_prefix(self, job: Job, sequences: Sequence[int], entry: Prefix | None) -> Task:
        """A job whose beginning is not there yet: it evaluates it first, in its place for those that follow."""
        own = entry.sequence if entry else sequences[0]
        try:
            if job.prefix:
                yield prompt_rows(job.prefix, 0, own, wanted=False)
            if entry:
                entry.ready = True
                self._model.copy(own, sequences[0])
        finally:
            if entry and not entry.ready:
                self._forget(entry)
        return (yield from job.start(sequences, len(job.prefix)))

    def _forget(self, entry: Prefix) -> None:
        self._prefixes.drop(entry)
        self._model.remove(entry.sequence)

    def _advance(self, running: _Running, logits: list[Logits] | None) -> None:
        """Let a task go on, with the logits of the rows it wanted; take it out when it is done."""
        try:
            if logits is None:
                running.rows = next(running.task)
            else:
                empty = np.empty((0, self._model.vocabulary_size), np.float32)
                whole = logits[0] if len(logits) == 1 else np.concatenate([empty, *logits])
                running.rows = running.task.send(whole)
            running.done = 0
            running.logits = []
        except StopIteration as end:
            self.counters.finished += 1
            with self._changed:
                self._take_out(running)
            running.job.finished(end.value)

    def _drop(self) -> None:
        """Take out whoever was given up."""
        if not self._given_up:
            return
        for job in [job for job in self._waiting if job.number in self._given_up]:
            self._waiting.remove(job)
            self.counters.cancelled += 1
            job.cancelled()
        for running in [running for running in self._running if running.job.number in self._given_up]:
            running.task.close()
            self.counters.cancelled += 1
            self._take_out(running)
            running.job.cancelled()
        self._given_up.clear()

    def _take_out(self, running: _Running) -> None:
        self._running.remove(running)
        self._given_up.discard(running.job.number)
        for sequence in running.sequences:
            self._model.remove(sequence)
        self._free += running.sequences
        self._cells += running.job.cells
