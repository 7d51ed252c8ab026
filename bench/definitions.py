"""What manuals are good for: keywords' defaults and meanings, asked of pages that define hundreds by indentation.

The questions are made from the pages: of every definition ("-x, --long" or "Keyword=", its description further in) that
states one default. An answer is right when it cites a stretch of that definition, for a default one in which it stands.
Of every fourth page with such definitions nothing is ingested: its keywords have no answer, and are asked all the same.

    python -m bench.definitions [FOLDER] [--json]
    python -m bench.definitions --fit rag/tuned/calibration.json
    python -m bench.definitions --check rag/tuned/calibration.json

FOLDER: of texts; without one, manual pages of this machine, as the program `man` prints them.
--fit: fits the confidence of such answers on other pages, drawn by seed, and adds it to a calibration; --check notes in
it how far that holds on these pages. Both ask without a threshold.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from evaluation.calibrating import Case, fit_cases
from evaluation.machine import hardware
from evaluation.metrics.abstention import calibration_error
from ingest.corpus import open_corpus
from ingest.opening import open_target
from ingest.run import apply
from rag.build import build_pipeline, open_embedder
from rag.calibration import Calibration, Trusted
from rag.settings import Settings, load
from rag.types import Answer, Question

DOMAIN = "bench-definitions"
PAGES = [
    "adduser.8", "apt-secure.8", "apt_preferences.5", "capabilities.7", "chage.1", "createdb.1", "curl.1",
    "deluser.8", "dpkg.1", "fsck.8", "fstab.5", "git-bisect.1", "git-gc.1", "git-stash.1", "gzip.1", "hier.7",
    "journald.conf.5", "less.1", "login.defs.5", "logind.conf.5", "lsof.8", "man.1", "mke2fs.8", "nice.1",
    "passwd.5", "pg_dump.1", "resolv.conf.5", "shadow.5", "signal.7", "ssh_config.5", "sysctl.8", "systemd.exec.5",
    "systemd.kill.5", "systemd.mount.5", "systemd.resource-control.5", "systemd.service.5", "systemd.socket.5",
    "systemd.timer.5", "systemd.unit.5", "tar.1", "timeout.1", "timesyncd.conf.5", "tune2fs.8", "useradd.8",
    "wget.1", "xz.1",
]  # fmt: skip
LEFT_OUT = 4
"""Of so many pages with definitions, one is left out."""
FORMS = {
    "default": ("What is the default of {}?", "Which value does {} have if it is not set?"),
    "meaning": ("What does {} do?", "What is {} for?"),
}
FITTED_PAGES, SEED = 64, 0
LIKE = 4
"""Pages of one family (`git-…`, `systemd-…`) that are fitted on, and keywords of one page."""
MAX_REFUSED = 0.06
"""As the shipped calibration's other kinds of answers."""

_TERM = re.compile(
    r"(?:-\w, )?(?P<name>--[\w-]+)(?:[ =,\[].{0,40})?"
    r"|(?P<key>[A-Z]\w+)=.{0,40}"
    r"|(?P<word>[A-Z]\w*[a-z_][A-Z]\w*)(?: .{0,40})?"
)
_DEFAULT = re.compile(r"\b[Dd]efault(?: value)? is [\"“']?([\w./:+-]+)|\b[Dd]efaults to [\"“']?([\w./:+-]+)")
_NO_VALUE = ("a", "an", "any", "be", "for", "not", "one", "some", "that", "the", "this", "to", "use", "used")


@dataclass(frozen=True, slots=True)
class Definition:
    """A keyword, its description's place in a page, and the default that it states, if it states one alone."""

    page: str
    name: str
    default: str
    start: int
    end: int


def main() -> int:
    """Print the table, or JSON; exit status 2 where there is nothing to ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fit", type=Path, metavar="CALIBRATION")
    parser.add_argument("--check", type=Path, metavar="CALIBRATION")
    arguments = parser.parse_args()
    settings = load()
    with tempfile.TemporaryDirectory() as made:
        drawn = _drawn() if arguments.fit else PAGES
        folder = arguments.folder or _printed(Path(made) / "manual", drawn)
        found = [each for path in sorted(folder.glob("*.txt")) for each in definitions(path)]
        if not any(each.default for each in found):
            parser.error(f"no definitions with defaults in {folder} (*.txt)")
        if arguments.fit or arguments.check:
            settings = settings.model_copy(
                update={"answer": settings.answer.model_copy(update={"min_confidence": 0.0})}
            )
        result, cases = measure(settings, folder, found, Path(made) / "pages")
    if arguments.fit:
        _add(arguments.fit, cases)
    if arguments.check:
        _note(arguments.check, cases)
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"Keywords of {result['pages']} pages, {result['chunks']} chunks · {result['hardware']}")
    for kind in FORMS:
        print(
            f"  {kind}, "
            + "{asked} that are defined: right {right}, wrong {wrong}, refused {refused}; "
            "{missing} that are not: refused {missing_refused}".format_map(result[kind])
        )
    return 0


def _add(path: Path, cases: list[Case]) -> None:
    """Fit the answers from definitions, and keep the calibration's other fits."""
    own = [case for case in cases if case.basis == "definition"]
    answerable = [case for case in cases if case.answerable]
    silent = (len(answerable), sum(not case.given for case in answerable))
    calibration = Calibration.model_validate_json(path.read_bytes())
    fit = fit_cases(own, MAX_REFUSED, silent=silent)
    suites = dict.fromkeys([*calibration.suite.split(", "), "definitions"])
    kept = calibration.model_copy(
        update={
            "fits": {**calibration.fits, "definition": fit},
            "n": calibration.n + (len(own) if "definition" not in calibration.fits else 0),
            "suite": ", ".join(suites),
        }
    )
    path.write_text(kept.model_dump_json(indent=1) + "\n", "utf-8")
    print(f"fitted on {len(own)} answers, {sum(case.right for case in own)} of them right: {fit}")


def definitions(path: Path) -> list[Definition]:
    """Those of a page, a keyword once: of several the first that states one default."""
    text = path.read_text("utf-8")
    lines = text.splitlines(keepends=True)
    found: dict[str, Definition] = {}
    offset = 0
    for number, line in enumerate(lines):
        start, margin = offset, len(line) - len(line.lstrip(" "))
        offset += len(line)
        term = _TERM.fullmatch(line.strip())
        if not margin or term is None:
            continue
        end = offset
        for below in islice(lines, number + 1, None):
            if below.strip() and len(below) - len(below.lstrip(" ")) <= margin:
                break
            end += len(below)
        said = " ".join(text[offset:end].split())
        values = [(one or other).rstrip(".,:") for one, other in _DEFAULT.findall(said)]
        default = values[0] if len(values) == 1 and values[0].lower() not in _NO_VALUE else ""
        name = term["name"] or term["key"] or term["word"]
        if name not in found or (default and not found[name].default):
            found[name] = Definition(path.name, name, default, start, end)
    return list(found.values())


def _note(path: Path, cases: list[Case]) -> None:
    """Note in a calibration how the confidence of answers from definitions holds."""
    calibration = Calibration.model_validate_json(path.read_bytes())
    fit = calibration.fits["definition"]
    own = [(fit.confidence(case.signals), case.right) for case in cases if case.basis == "definition"]
    held = Trusted(
        n=len(own),
        right=sum(right for _, right in own) / len(own),
        confidence=sum(trust for trust, _ in own) / len(own),
        calibration_error=calibration_error([trust for trust, _ in own], [right for _, right in own]),
    )
    kept = calibration.model_copy(update={"trusted": {**calibration.trusted, "definition": held}})
    path.write_text(kept.model_dump_json(indent=1) + "\n", "utf-8")
    print(held)


def measure(settings: Settings, folder: Path, found: list[Definition], kept: Path) -> tuple[dict[str, Any], list[Case]]:
    """Ingest all pages but those left out, and ask for every definition's default and meaning."""
    stated = [each for each in found if each.default]
    left_out = set(sorted({each.page for each in stated})[LEFT_OUT - 1 :: LEFT_OUT])
    kept.mkdir()
    for path in folder.glob("*.txt"):
        if path.name not in left_out:
            shutil.copy(path, kept)
    embedder = open_embedder(settings)
    with closing(embedder), closing(open_target(settings, DOMAIN, embedder, create=True)) as target:
        apply(open_corpus(kept), target, prune=True)
        documents, chunks = target.store.counts()
    texts = {path.name: path.read_text("utf-8") for path in kept.glob("*.txt")}
    # a keyword that another page uses too has an answer there, or none that can be told
    missing = [e for e in stated if e.page in left_out and not any(e.name in text for text in texts.values())]
    asked = [each for each in stated if each.page not in left_out]
    result: dict[str, Any] = {"pages": documents, "chunks": chunks, "hardware": hardware()}
    cases: list[Case] = []
    console = Console(stderr=True)
    with closing(build_pipeline(settings)) as pipeline:
        for kind, forms in FORMS.items():
            own: list[Case] = []
            for number, each in enumerate(track([*asked, *missing], description=kind, console=console)):
                answer = pipeline.answer(Question(domain=DOMAIN, text=forms[number % len(forms)].format(each.name)))
                defined = [e for e in found if e.name == each.name and (e.default or kind == "meaning")]
                right = any(_rests_on(answer, other, default=kind == "default") for other in defined)
                signals = dict(answer.trace.signals)
                own.append(Case(answer.basis, signals, right, each.page not in left_out, not answer.abstained))
            told, unknown = own[: len(asked)], own[len(asked) :]
            result[kind] = {
                "asked": len(asked),
                "right": sum(case.right for case in told),
                "wrong": sum(case.given and not case.right for case in told),
                "refused": sum(not case.given for case in told),
                "missing": len(missing),
                "missing_refused": sum(not case.given for case in unknown),
            }
            cases += own
    return result, cases


def _rests_on(answer: Answer, defined: Definition, *, default: bool) -> bool:
    """Whether an answer cites a definition, and where a default is asked for the default in it."""
    return any(
        citation.document_id == defined.page
        and citation.char_start < defined.end
        and defined.start < citation.char_end
        and (not default or defined.default.casefold() in citation.quote.casefold())
        for citation in answer.citations
    )


def _drawn() -> Iterator[str]:
    """Pages of this machine's manual beside `PAGES`, few of a family, in an order drawn by seed."""
    names = {path.name.removesuffix(".gz") for path in Path("/usr/share/man").glob("man[1578]/*.gz")} - set(PAGES)
    shuffled = sorted(names)
    random.Random(SEED).shuffle(shuffled)
    families: Counter[str] = Counter()
    for name in shuffled:
        family = re.split(r"[-_.]", name)[0]
        families[family] += 1
        if families[family] <= LIKE:
            yield name


def _printed(folder: Path, pages: Iterable[str]) -> Path:
    """Manual pages of this machine as texts, until `FITTED_PAGES` of them define something."""
    folder.mkdir()
    if shutil.which("man") is None:
        raise SystemExit("bench: the program man is not installed: name a folder of texts")
    defining = 0
    for page in pages:
        name, _, section = page.rpartition(".")
        for path in Path("/usr/share/man", f"man{section}").glob(f"{name}.{section}*.gz"):
            source = gzip.decompress(path.read_bytes())
            command = ["man", "--no-hyphenation", "--no-justification", "-Tutf8", "-l", "-"]
            environment = {"MANWIDTH": "100", "MANPAGER": "cat", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
            done = subprocess.run(command, input=source, capture_output=True, env=environment, check=False)
            plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode("utf-8", "replace"))
            (folder / f"{page}.txt").write_text(plain, "utf-8")
            defining += any(each.default for each in definitions(folder / f"{page}.txt"))
            break
        if defining == FITTED_PAGES:
            break
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
