"""Every serving benchmark in order, with a bar over all of them, then the report. Goes on where it was stopped.

python -m bench.serving --suites DIR [--quick] [--only NAME ...] [--fresh]
"""

from __future__ import annotations

import subprocess
import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.serving.questions import arguments

MINUTES = {
    "engine": 5.0,
    "peers": 10.0,
    "load": 26.0,
    "same_text": 25.0,
    "cancel": 3.0,
    "hangups": 5.0,
    "chaos": 17.0,
    "ingestion": 5.0,
    "conformance": 12.0,
    "transcripts": 1.0,
    "soak": 21.5,
}
"""Each benchmark in order of running, and about how long it takes on two cores: what the bar is measured in."""

QUICK = {
    "engine": ("--rounds", "1", "--tokens", "16"),
    "peers": ("--questions", "3"),
    "load": ("--seconds", "10", "--clients", "1,4"),
    "same_text": ("--tries", "9"),
    "cancel": ("--tries", "2"),
    "hangups": ("--callers", "40"),
    "chaos": ("--kills", "1"),
    "ingestion": ("--documents", "50", "--seconds", "5"),
    "conformance": ("--examples", "3"),
    "soak": ("--minutes", "0.5"),
}
"""What shows that everything works, in a few minutes, and measures nothing worth telling."""


def main() -> int:
    """Run them; exit status 1 where one missed a must or failed."""
    options = arguments(
        __doc__,
        ("--quick", {"action": "store_true", "help": "minutes instead of hours; no figures worth telling"}),
        ("--only", {"nargs": "+", "choices": list(MINUTES), "default": list(MINUTES)}),
        ("--fresh", {"action": "store_true", "help": "measure again what is measured"}),
    )
    missed = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("min"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        whole = progress.add_task("serving", total=sum(MINUTES[name] for name in options.only))
        for name in options.only:
            progress.update(whole, description=name)
            command = [sys.executable, "-m", f"bench.serving.{name}", "--suites", str(options.suites)]
            command += [*(QUICK.get(name, ()) if options.quick else ()), *(["--fresh"] if options.fresh else ())]
            command += ["--llama-index"] if name == "peers" else []
            if subprocess.run(command, check=False).returncode != 0:
                missed.append(name)
            progress.advance(whole, MINUTES[name])
    reported = subprocess.run([sys.executable, "-m", "bench.serving.report"], check=False).returncode
    if missed:
        print(f"missed a must, or failed: {', '.join(missed)}")
    return 1 if missed or reported else 0


if __name__ == "__main__":
    sys.exit(main())
