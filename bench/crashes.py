"""`kill -9` at random moments and full disks, over apply, rebuild and delete: is anything lost, doubled, half visible?

Each trial starts a command in a process of its own and kills it, or lets its disk run full: a small tmpfs, which needs
root. The same command is then run to its end. All the while another process asks: whatever it sees must be the whole
domain before the command, or the whole domain after it. In the end index, documents and files are compared with what
the command was to make of them.

    python -m bench.crashes [--kills 200] [--full 50] [--on-server 50] [--seed 0] [--minutes N] [--out FILE]

On a server the commands are killed and the server is not: the stand-in of the tests (tests/fakes/qdrant_server.py), or
the one at QDRANT_URL.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from bench.crash_parts import DOMAIN, Asker, Seen, digest, everything, opened, settings_of
from evaluation.machine import hardware
from ingest.chunkers import chunks_of
from ingest.verifying import verify
from rag.catalog import Catalog
from rag.errors import CorpusError
from rag.types import Document
from tests.fakes.qdrant_server import QdrantProcess

OPERATIONS = ("apply", "rebuild", "delete")
KILLED, ON_SERVER, FULL = "kill -9", "kill -9, on a server", "full disk"
STAGES = ("before it began", "while copying", "while writing", "after the swap", "finished")
DISK_MEGABYTES = 512
"""Three generations of some 40 MB each, since a tmpfs fills the holes of what is read, and the engine's reserve."""

DOCUMENTS = 40

State = dict[str, str]
"""The text of each document."""


@dataclass(slots=True)
class Row:
    """What came of the trials of one operation."""

    kind: str
    operation: str
    trials: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    """How a command on a full disk ended."""
    questions: int = 0
    refused: int = 0
    """Trials in which a question got an error."""
    lost: int = 0
    doubled: int = 0
    half: int = 0
    unfinished: int = 0
    """Trials whose next run did not finish, or left something behind."""
    notes: list[str] = field(default_factory=list)

    def clean(self) -> bool:
        """Whether the operation keeps its word."""
        return not (self.lost or self.doubled or self.half or self.unfinished)


class Trials:
    """A domain in a folder, changed again and again."""

    def __init__(
        self, folder: Path, kind: str, chance: random.Random, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """variables: settings of the commands beyond their data directory."""
        self._variables = variables
        self.data, self.source, self._chance = folder / "data", folder / "source", chance
        self.rows = {name: Row(kind, name) for name in OPERATIONS}
        self._seconds: dict[str, list[float]] = {name: [] for name in OPERATIONS}
        self._state: State = {}
        self._number = 0
        self.source.mkdir()
        for operation in ("apply", "rebuild"):  # how long they take, and a generation that is superseded
            new, ids = self._planned("apply" if operation == "apply" else operation)
            begin = time.monotonic()
            if self._finish(operation, ids) != 0:
                raise SystemExit(f"{operation} fails without any crash")
            self._seconds[operation].append(time.monotonic() - begin)
            self._state = new
        self._seconds["delete"].append(self._seconds["rebuild"][0] / 2)
        self.asker = Asker(self.data, variables)

    def close(self) -> None:
        """End what runs."""
        self.asker.close()

    def kill(self, operation: str) -> None:
        """One trial: killed at a random moment, and run again."""
        row = self.rows[operation]
        old = self._state
        new, ids = self._planned(operation)
        self.asker.tell("go")
        before = Catalog(self.data).live_name(DOMAIN)
        child = self._start(operation, ids)
        time.sleep(self._chance.uniform(0, 1.15) * statistics.median(self._seconds[operation][-9:]))
        child.kill()
        child.communicate()
        row.stages["finished" if child.returncode == 0 else self._stage(before)] += 1
        self._ask_once(row, operation)
        self._end(row, operation, ids, old, new)

    def fill(self, operation: str) -> None:
        """One trial: the disk is nearly full, or runs full at a random moment; then there is room again."""
        row = self.rows[operation]
        old = self._state
        new, ids = self._planned(operation)
        self.asker.tell("go")
        self.asker.tell("mark")
        before = Catalog(self.data).live_name(DOMAIN)
        ballast = self.data.parent / "ballast"
        room = int(self._chance.uniform(0, 1.3) * _size(self.data / "domains" / DOMAIN / before))
        if self._chance.random() < 0.5:
            _fill(ballast, room)
            child = self._start(operation, ids)
        else:
            child = self._start(operation, ids)
            time.sleep(self._chance.uniform(0, 1) * statistics.median(self._seconds[operation][-9:]))
            _fill(ballast, room // 100)
        _, said = child.communicate()
        told = "finished"
        if child.returncode != 0:
            told = said.split(":")[0] if child.returncode == 2 else f"died ({child.returncode})"
            if child.returncode not in (2, -signal.SIGBUS):
                row.notes.append(f"{operation} on a full disk: {said.strip().splitlines()[-1:]}")
        else:
            row.stages["finished"] += 1
        row.told[told] += 1
        self._ask_once(row, operation)
        ballast.unlink()
        self._end(row, operation, ids, old, new)

    # --- parts ---

    def _planned(self, operation: str) -> tuple[State, list[str]]:
        """The state that a command is to make, and the ids that it deletes; an apply's source is written."""
        self._number += 1
        new, ids = dict(self._state), []
        if operation == "apply":
            while len(new) < DOCUMENTS:
                new[f"valve-{self._chance.randrange(10**6)}"] = ""
            for name in self._chance.sample(sorted(new), DOCUMENTS // 4):
                del new[name]
            for name in self._chance.sample(sorted(new), 2 * DOCUMENTS // 4):
                new[name] = ""
            for name in new:
                new[name] = new[name] or self._text(name)
            lines = [json.dumps({"doc_id": name, "title": name, "text": text}) for name, text in sorted(new.items())]
            (self.source / "corpus.jsonl").write_text("\n".join(lines), "utf-8")
        elif operation == "delete":
            ids = self._chance.sample(sorted(new), min(5, len(new)))
            for name in ids:
                del new[name]
        return new, ids

    def _text(self, name: str) -> str:
        parts = range(self._chance.randint(1, 5))
        line = f"{name} is at version {self._number}. "
        return "\n\n".join(f"## Part {part}\n\nPart {part} of {line}" + line * 20 for part in parts)

    def _start(self, operation: str, ids: list[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench.crash_parts", "change"]
        child = subprocess.Popen(
            [*command, str(self.data), str(self.source), operation, *ids],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._variables},
        )
        assert child.stdout is not None  # noqa: S101  # it is a pipe
        child.stdout.readline()  # ready: what is killed is the work, not the start of Python
        return child

    def _finish(self, operation: str, ids: list[str]) -> int:
        child = self._start(operation, ids)
        begin = time.monotonic()
        _, said = child.communicate()
        if child.returncode != 0:
            print(f"{operation}: {said}", file=sys.stderr)
        self._seconds[operation].append(time.monotonic() - begin)
        return child.returncode

    def _stage(self, before: str) -> str:
        """How far a command had come, by what it left on the disk."""
        catalog = Catalog(self.data)
        if catalog.live_name(DOMAIN) != before:
            return "after the swap"
        sides = [name for name in catalog.generations(DOMAIN) if name > before]
        if not sides:
            return "before it began"
        try:
            left = catalog.unfinished(catalog.open(DOMAIN, sides[-1]))
        except CorpusError:  # not even its manifest is there
            return "while copying"
        return "while writing" if left is not None and left.filled else "while copying"

    def _ask_once(self, row: Row, operation: str) -> None:
        """Have a question answered that is asked now."""
        if self.asker.tell("mark") is None:
            row.refused += 1
            row.notes.append(f"{operation}: the process that asks died ({self.asker.died})")
            self.asker.tell("go")

    def _end(self, row: Row, operation: str, ids: list[str], old: State, new: State) -> None:
        """Run the command again, and compare everything with what it was to be."""
        row.trials += 1
        finished = self._finish(operation, ids) == 0
        self._ask_once(row, operation)
        heard = self.asker.tell("release")
        wanted = [digest(_chunks(state).elements()) for state in (old, new)]
        if heard is not None:
            questions, seen, errors = heard
            row.questions += questions
            row.refused += bool(errors)
            row.notes += [f"{operation}: a question got {error}" for error in errors]
            if seen not in ([wanted[0]], [wanted[1]], wanted) or (finished and not errors and seen[-1] != wanted[1]):
                row.half += 1
                row.notes.append(f"{operation}: seen {seen}, not {wanted}")
        self._state = new
        with closing(opened(settings_of(self.data, {**os.environ, **self._variables}))) as target:
            found, expected = Counter(everything(target.index)), _chunks(new)
            problems = verify(target)
            stored = {item.id for item in target.summaries()}
        row.lost += sum((expected - found).values()) + len(set(new) - stored)
        row.doubled += sum((found - expected).values()) + len(stored - set(new))
        catalog = Catalog(self.data)
        left = set(catalog.generations(DOMAIN)) - {item.manifest.generation for item in catalog.finished(DOMAIN)}
        if problems or left or not finished:
            row.unfinished += 1
            row.notes.append(f"{operation}: finished {finished}, problems {problems}, left behind {sorted(left)}")


def _chunks(state: State) -> Counter[Seen]:
    """What a question is to find."""
    documents = [Document(id=name, title=name, text=text, file_sha256="", source="") for name, text in state.items()]
    return Counter((item.id, chunk.start, chunk.text) for item in documents for chunk in chunks_of(item))


def _size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def _fill(ballast: Path, room: int) -> None:
    """Leave about so many bytes free on the disk, while others may write to it."""
    with ballast.open("wb") as handle:
        size = 0
        for _ in range(20):
            free = os.statvfs(ballast.parent)
            more = free.f_bavail * free.f_frsize - room
            if more <= 0:
                return
            try:
                os.posix_fallocate(handle.fileno(), size, more)
                size += more
            except OSError:  # another was faster
                continue


def measure(
    folder: Path, *, kills: int, full: int, on_server: int = 0, seed: int = 0, minutes: float = math.inf
) -> tuple[list[Row], str]:
    """The rows, and why full disks were left out, if they were. No trial begins after so many minutes."""
    counts = {KILLED: kills, ON_SERVER: on_server, FULL: full}
    until = time.monotonic() + minutes * 60
    skipped = ""
    trials: dict[str, Trials] = {}
    with ExitStack() as stack:
        for kind in [kind for kind, count in counts.items() if count]:
            place = folder / kind.replace(" ", "-")
            place.mkdir()
            variables: dict[str, str] = {}
            if kind == ON_SERVER:
                variables = stack.enter_context(_server(place))
            if kind == FULL:
                if skipped := _mount(place):
                    continue
                stack.callback(subprocess.run, ["umount", str(place)], check=True)
            trials[kind] = stack.enter_context(closing(Trials(place, kind, random.Random(seed), variables)))
        spread = sorted((number / counts[kind], kind, number) for kind in trials for number in range(counts[kind]))
        for done, (_, kind, number) in enumerate(spread, start=1):
            if time.monotonic() > until:
                break
            trial = trials[kind].fill if kind == FULL else trials[kind].kill
            trial(OPERATIONS[number % len(OPERATIONS)])
            if done % 20 == 0:
                print(f"{done} of {len(spread)} trials", file=sys.stderr, flush=True)
    return [row for held in trials.values() for row in held.rows.values()], skipped


@contextmanager
def _server(place: Path) -> Iterator[dict[str, str]]:
    """The settings by which a Qdrant server is used."""
    stand_in = None if "QDRANT_URL" in os.environ else QdrantProcess(place / "qdrant")
    url = stand_in.url if stand_in else os.environ["QDRANT_URL"]
    key = os.environ.get("QDRANT_API_KEY", "")
    yield {
        "UNDERSTUDY_INDEX__BACKEND": "server",
        "UNDERSTUDY_INDEX__URL": url,
        "UNDERSTUDY_INDEX__API_KEY": key,
    }
    if stand_in:
        stand_in.close()


def _mount(place: Path) -> str:
    """Mount a small tmpfs; why not, where that fails."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def table(rows: list[Row], skipped: str) -> str:
    """Markdown for people."""
    head = [
        "",
        "",
        "trials",
        *STAGES,
        "questions",
        "refused",
        "lost",
        "doubled",
        "half visible",
        "unfinished",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        stages = [row.stages[s] if row.kind != FULL or s == "finished" else "–" for s in STAGES]
        counts = [row.questions, row.refused, row.lost, row.doubled, row.half, row.unfinished]
        lines.append("| " + " | ".join(map(str, [row.kind, row.operation, row.trials, *stages, *counts])) + " |")
    told = sum((row.told for row in rows), Counter[str]())
    if told:
        ends = ", ".join(f"{name} {count}" for name, count in told.most_common())
        lines += ["", f"How commands ended on the full disk: {ends}."]
    if skipped:
        lines += ["", f"Full disks were left out: no tmpfs can be mounted here ({skipped})."]
    notes = [note for row in rows for note in row.notes]
    return "\n".join([*lines, *(f"\n- {note}" for note in notes[:20])])


def main() -> int:
    """Print the table and write it; exit status 1 where anything was lost, doubled, half visible or left unfinished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--full", type=int, default=50)
    parser.add_argument("--on-server", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no trial after so long")
    parser.add_argument("--out", type=Path, default=Path("docs/results/crashes.md"))
    arguments = parser.parse_args()
    state = hardware()
    with tempfile.TemporaryDirectory(prefix="crashes-") as folder:
        rows, skipped = measure(
            Path(folder),
            kills=arguments.kills,
            full=arguments.full,
            on_server=arguments.on_server,
            seed=arguments.seed,
            minutes=arguments.minutes,
        )
    shown = table(rows, skipped)
    print(shown)
    about = (__doc__ or "").split("\n\n")[1].replace("\n", " ")
    asked = {KILLED: arguments.kills, FULL: arguments.full, ON_SERVER: arguments.on_server}
    command = f"python -m bench.crashes --kills {asked[KILLED]} --full {asked[FULL]} --on-server {asked[ON_SERVER]}"
    done = Counter({kind: sum(row.trials for row in rows if row.kind == kind) for kind in asked})
    ran = ", ".join(f"{done[kind]} of {count} ({kind})" for kind, count in asked.items())
    when = f"{datetime.now(UTC):%Y-%m-%d}, {state}; trials run: {ran}."
    page = f"# Crashes\n\n{about}\n\n`{command} --seed {arguments.seed}`, {when}\n\n{shown}\n"
    arguments.out.write_text(page, "utf-8")
    return 0 if all(row.clean() for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
