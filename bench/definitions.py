"""What manuals are good for: the default of a keyword, asked of pages that define hundreds of them by indentation.

The questions are made from the pages: of every definition ("-x, --long" or "Keyword=", its description further in) that
states one default. An answer is right when it cites a stretch of that definition in which the default stands. Of every
fourth page with such definitions nothing is ingested: its keywords have no answer, and are asked all the same.

    python -m bench.definitions [FOLDER] [--json]

FOLDER: of texts; without one, manual pages of this machine, as the program `man` prints them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from evaluation.machine import hardware
from ingest.corpus import open_corpus
from ingest.opening import open_target
from ingest.run import apply
from rag.build import build_pipeline, open_embedder
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
FORMS = ("What is the default of {}?", "Which value does {} have if it is not set?")

_TERM = re.compile(
    r"(?:-\w, )?(?P<name>--[\w-]+)(?:[ =,\[].{0,40})?"
    r"|(?P<key>[A-Z]\w+)=.{0,40}"
    r"|(?P<word>[A-Z]\w*[a-z_][A-Z]\w*)(?: .{0,40})?"
)
_DEFAULT = re.compile(r"\b[Dd]efault(?: value)? is [\"“']?([\w./:+-]+)|\b[Dd]efaults to [\"“']?([\w./:+-]+)")
_NO_VALUE = ("a", "an", "any", "be", "for", "not", "one", "some", "that", "the", "this", "to", "use", "used")


@dataclass(frozen=True, slots=True)
class Definition:
    """A keyword, the default that its description states, and where the two stand in a page."""

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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or _printed(Path(made) / "manual")
        found = [each for path in sorted(folder.glob("*.txt")) for each in definitions(path)]
        if not found:
            parser.error(f"no definitions with defaults in {folder} (*.txt)")
        result = measure(load(), folder, found, Path(made) / "pages")
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"Defaults of keywords, from {result['pages']} pages, {result['chunks']} chunks · {result['hardware']}")
    print("  {asked} that are defined: right {right}, wrong {wrong}, refused {refused}".format_map(result))
    print("  {missing} that are not: refused {missing_refused}".format_map(result))
    return 0


def definitions(path: Path) -> list[Definition]:
    """Those of a page that state one default, a keyword once."""
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
        if len(values) == 1 and values[0].lower() not in _NO_VALUE and values[0]:
            name = term["name"] or term["key"] or term["word"]
            found.setdefault(name, Definition(path.name, name, values[0], start, end))
    return list(found.values())


def measure(settings: Settings, folder: Path, found: list[Definition], kept: Path) -> dict[str, Any]:
    """Ingest all pages but those left out, and ask for every definition's default."""
    left_out = set(sorted({each.page for each in found})[LEFT_OUT - 1 :: LEFT_OUT])
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
    missing = [e for e in found if e.page in left_out and not any(e.name in text for text in texts.values())]
    asked = [each for each in found if each.page not in left_out]
    outcomes: list[str] = []
    refused = 0
    with closing(build_pipeline(settings)) as pipeline:
        for number, each in enumerate(track([*asked, *missing], description="asking", console=Console(stderr=True))):
            question = FORMS[number % len(FORMS)].format(each.name)
            answer = pipeline.answer(Question(domain=DOMAIN, text=question))
            if each.page in left_out:
                refused += answer.abstained
            else:
                outcomes.append(_outcome(answer, [other for other in asked if other.name == each.name]))
    return {
        "pages": documents,
        "chunks": chunks,
        "asked": len(asked),
        **{name: outcomes.count(name) for name in ("right", "wrong", "refused")},
        "missing": len(missing),
        "missing_refused": refused,
        "hardware": hardware(),
    }


def _outcome(answer: Answer, defined: list[Definition]) -> str:
    """defined: the keyword in every page that defines it"""
    if answer.abstained:
        return "refused"
    right = any(
        citation.document_id == each.page
        and citation.char_start < each.end
        and each.start < citation.char_end
        and each.default.casefold() in citation.quote.casefold()
        for citation in answer.citations
        for each in defined
    )
    return "right" if right else "wrong"


def _printed(folder: Path) -> Path:
    """Manual pages of this machine as texts."""
    folder.mkdir()
    if shutil.which("man") is None:
        raise SystemExit("bench: the program man is not installed: name a folder of texts")
    for page in PAGES:
        name, _, section = page.rpartition(".")
        for path in Path("/usr/share/man", f"man{section}").glob(f"{name}.{section}*.gz"):
            source = gzip.decompress(path.read_bytes())
            command = ["man", "--no-hyphenation", "--no-justification", "-Tutf8", "-l", "-"]
            environment = {"MANWIDTH": "100", "MANPAGER": "cat", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
            done = subprocess.run(command, input=source, capture_output=True, env=environment, check=False)
            plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode("utf-8", "replace"))
            (folder / f"{page}.txt").write_text(plain, "utf-8")
            break
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
