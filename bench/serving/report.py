"""The serving report: the JSON files of the benchmarks to one Markdown page with plots. Measures nothing.

What was not measured on this machine stays in the page as it stands there, with the commit that it tells of.

python -m bench.serving.report [--out docs/results/serving.md]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.serving.conformance import HIDDEN, excuses
from bench.serving.load import PEER_CLIENTS, against, line
from bench.serving.plant import DOMAIN
from bench.serving.plots import draw
from bench.serving.results import FOLDER, Row
from bench.serving.transcripts import PICTURE

Parts = dict[str, Row]


def main() -> int:
    """Write the page and its pictures; exit status 2 where nothing was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results/serving.md"))
    out: Path = parser.parse_args().out
    files = {name: FOLDER / f"{name}.json" for name in SECTIONS}
    measured = {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.is_file()}
    if not measured:
        print(f"report: nothing is measured in {FOLDER}: run `make serving SUITES=DIR`", file=sys.stderr)
        return 2
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(measured, out), "utf-8")
    print(out)
    return 0


def page(measured: dict[str, Row], out: Path) -> str:
    """The whole page; pictures go into a folder beside it."""
    parts = {name: {part: found["result"] for part, found in file["parts"].items()} for name, file in measured.items()}
    pictures = draw(out.with_suffix(""), parts)
    if DOMAIN in parts.get("transcripts", {}) and PICTURE.is_file():
        pictures["page"] = shutil.copyfile(PICTURE, out.with_suffix("") / PICTURE.name).name
    before = sections(out.read_text("utf-8")) if out.is_file() else {}
    text = ["# Serving under load", "Written by `python -m bench.serving.report`; every ratio is from one run.\n"]
    for name, (title, tell) in SECTIONS.items():
        text.append(f"## {title}")
        if name not in measured:
            text.append(
                before.get(title, f"Not measured yet: `python -m {MODULES.get(name, f'bench.serving.{name}')}`.\n")
            )
            continue
        file = measured[name]
        text += [f"{file['hardware']} · commit {file['commit']} · {file['date']} · `{file['command']}`\n"]
        text += [tell(parts[name]), ""]
        text += [
            f"![{picture}]({out.stem}/{pictures[picture]})\n"
            for picture in PICTURES.get(name, ())
            if picture in pictures
        ]
    return "\n".join(text).rstrip() + "\n"


def sections(page: str) -> dict[str, str]:
    """The text under each title of a page that was written before, as it goes back into one."""
    titles = "|".join(re.escape(title) for title, _ in SECTIONS.values())
    parts = re.split(rf"^## ({titles})$", page, flags=re.MULTILINE)
    return {title: text.strip() + "\n" for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; one column a key of the first row."""
    if not rows:
        return "nothing"
    head = "| " + " | ".join(rows[0]) + " |"
    return "\n".join(
        [head, "|" + "---|" * len(rows[0]), *("| " + " | ".join(map(_cell, r.values())) + " |" for r in rows)]
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _peers(parts: Parts) -> str:
    return table(parts["llama-index"]["rows"])


def _rows(parts: Parts) -> str:
    return table([row for part in parts.values() for row in part["rows"]])


def _load(parts: Parts) -> str:
    rows = [line(name, part) for name, part in parts.items()]
    ratios = [
        {"": own, "to": f"peer-{count}", **against(parts[own], parts[f"peer-{count}"])}
        for count in PEER_CLIENTS
        for own in (f"ours-{count}", f"free-{count}")
        if own in parts and f"peer-{count}" in parts
    ]
    told = (
        "Seconds. `ours`: as configured by default; `free`: in the model's own words, the same work as the peer's; "
        "`peer`: the packaged `llama_cpp.server` with the same weights file, the same retrieval and the same greatest "
        "number of tokens; its memory is without the retrieval in front. A refusal was waited for as its Retry-After "
        "says and is part of the times.\n"
    )
    return told + "\n" + table(rows) + ("\n\n" + table(ratios) if ratios else "")


def _engine(parts: Parts) -> str:
    found = parts["alone"]
    rows = [{name: value for name, value in row.items() if name != "ratios"} for row in found["rows"]]
    return (
        f"Tokens a second, prefill included; weights {found['weights']}, {found['threads']} threads.\n\n{table(rows)}"
    )


def _same_text(parts: Parts) -> str:
    rows = [{"": name, **{key: part[key] for key in ("weights", "tries", "same")}} for name, part in parts.items()]
    different = [difference for part in parts.values() for difference in part["different"]]
    return (
        table(rows)
        + "\n\n"
        + "\n".join(f"- {' · '.join(f'{k}: {_cell(v)}' for k, v in d.items() if k != 'question')}" for d in different)
    )


def _flat(parts: Parts) -> str:
    hidden = ("memory", "whole", "points", "held", "before", "during", "rates")
    return table([{k: v for k, v in part.items() if k not in hidden} for part in parts.values()])


def _chaos(parts: Parts) -> str:
    rows = [
        {
            "killed": name,
            "times": part["times"],
            "ready p50 s": part["ready"]["p50"],
            "ready max s": part["ready"]["max"],
            "store intact": part["intact"],
            "same answer": part["same"],
        }
        for name, part in parts.items()
    ]
    said = [table(rows)]
    if uploads := parts.get("service", {}).get("uploads"):
        said.append("Documents that were uploaded by HTTP while the service was killed:\n\n" + table([uploads]))
    told = [{"what callers were told": name, **part["told"]} for name, part in parts.items() if "told" in part]
    return "\n\n".join([*said, table(told)] if told else said)


def _conformance(parts: Parts) -> str:
    found = parts["conformance"]
    told = (
        f"{found['operations']} operations; for each, {found['examples']} requests that fit and as many that do not.\n"
    )
    rows = [{name: value for name, value in row.items() if name not in HIDDEN} for row in found["rows"]]
    return "\n".join([told, table(rows), *(f"\n- {line}" for line in (*excuses(found), *found["faults"]))])


def _isolation(parts: Parts) -> str:
    """A row for each operation; the level of a single test belongs to all of them."""
    found = parts["isolation"]
    rows = [
        {
            "operation": name,
            "statuses": " · ".join(map(str, row["statuses"])),
            "bodies": "alike" if row["bodies_alike"] else "DIFFERENT",
            "foreign p50 ms": row["milliseconds_p50"][0],
            "missing p50 ms": row["milliseconds_p50"][1],
            "median difference µs": row["median_difference_microseconds"],
            "p (pairs)": row["wilcoxon"],
            "p (distributions)": row["ks"],
            "shift that would be seen µs": row["shift_seen_microseconds"],
            "verdict": "alike" if row["alike"] else "DIFFERENT",
        }
        for name, row in found["operations"].items()
    ]
    verdict = "cannot be told apart" if found["alike"] else "CAN be told apart"
    told = (
        f"A key of one domain asks for a foreign one and for one that is not there: {found['pairs']} pairs for each "
        f"operation, level of a single test {found['level']:.4f}. The two {verdict}.\n"
    )
    return told + "\n" + table(rows)


def _transcripts(parts: Parts) -> str:
    """What was done by each door, how it ended, and what came back: words of the sample corpus, which are ours."""
    return "\n".join(
        f"### {name}\n{said['outcome']}\n\n```\n{said['program'].strip()}\n```\n\n```\n{_short(said['output'])}\n```\n"
        for name, said in parts.get(DOMAIN, {}).items()
    )


def _short(output: str) -> str:
    """Lines as long as a reader follows them."""
    lines = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in output.splitlines()]
    return "\n".join(lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], "…"])


SECTIONS: dict[str, tuple[str, Callable[[Parts], str]]] = {
    "peers": ("A plain LlamaIndex query engine, one client", _peers),
    "load": ("Many clients, and the packaged server beside ours", _load),
    "engine": ("The engine beside a bare llama_decode loop", _engine),
    "same_text": ("The same text alone and under load", _same_text),
    "soak": ("Twice the saturation", _flat),
    "cancel": ("A request whose caller is gone", _rows),
    "hangups": ("Callers who hang up", _flat),
    "chaos": ("kill -9", _chaos),
    "ingestion": ("Documents that come in while clients ask", _flat),
    "conformance": ("The OpenAPI document, by requests made up from it", _conformance),
    "isolation": ("Another's domain, and one that is not there", _isolation),
    "transcripts": ("The same question by four doors", _transcripts),
}
MODULES = {"isolation": "bench.isolation"}
"""Benchmarks that are run elsewhere, over data of their own."""

PICTURES = {"load": ("latency", "rate"), "soak": ("memory",), "engine": ("engine",), "transcripts": ("page",)}
LONGEST_LINE, MOST_LINES = 300, 60
"""Of what a program printed."""


if __name__ == "__main__":
    sys.exit(main())
