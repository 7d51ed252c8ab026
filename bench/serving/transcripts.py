"""The same question by four doors: curl, the official openai client, LlamaIndex, and the page by its own test.

Each is a program as a user would write it; what is run is what is shown. A client that is not installed is skipped with
its reason. Knows no route but those that the programs name.

    python -m bench.serving.transcripts --suites DIR [--fresh]
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from bench.serving.client import headers
from bench.serving.keys import keys_for
from bench.serving.processes import running, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row

SECONDS = 120

OPENAI = """\
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="{key}")
stream = client.chat.completions.create(
    model="{domain}", messages=[{{"role": "user", "content": "{question}"}}], stream=True
)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
answer = client.chat.completions.create(
    model="{domain}", messages=[{{"role": "user", "content": "{question}"}}]
)
print("\\n--\\n" + answer.model_dump_json(indent=1))
"""

LLAMA_INDEX = """\
from integrations.llama_index import UnderstudyQueryEngine

engine = UnderstudyQueryEngine(base_url="{url}", domain="{domain}", api_key="{key}")
response = engine.query("{question}")
print(response)
for source in response.source_nodes:
    print("-", source.node.get_content()[:200])
"""

PAGE_TESTS = "tests/browser/test_page.py"
HIDDEN = "understudy_…"
"""Shown in place of a key."""


def main() -> int:
    """Run each, print what it said; exit status 1 where one that is there failed."""
    options = arguments(__doc__, ("--fresh", {"action": "store_true"}))
    workload = prepare(options.suites)
    results = Results("transcripts", fresh=options.fresh)
    found = results.once("transcripts", {}, lambda: measure(workload))
    for name, said in found.items():
        print(f"--- {name}: {said['outcome']}\n{said['program']}\n{said['output']}")
    return 1 if any(said["outcome"] == "failed" for said in found.values()) else 0


def measure(workload: Workload) -> Row:
    """Ask by every door."""
    (key,) = keys_for(1, workload.domain)
    question = workload.texts()[0].replace('"', "'")
    with running(start_ours()) as server:
        said = {"url": server.url, "domain": workload.domain, "question": question, "key": key or "none"}
        body = f'{{"question": "{question}", "domain": "{workload.domain}"}}'
        curl = ["curl", "-sN", f"{server.url}/v1/answers/stream", "-H", "Content-Type: application/json"]
        curl += ["-H", f"Authorization: Bearer {key}"] if key else []
        found = {
            "curl": _run([*curl, "-d", body], shlex.join([*curl, "-d", body])),
            "openai client": _program(OPENAI.format(**said), ("openai",))
            if httpx.get(f"{server.url}/v1/models", headers=headers(key)).status_code == 200
            else _skipped(OPENAI.format(**said), "this server has no /v1/models"),
            "LlamaIndex": _program(LLAMA_INDEX.format(**said), ("integrations",)),
        }
    if Path(PAGE_TESTS).is_file():
        command = ["python", "-m", "pytest", "-q", PAGE_TESTS]
        found["page"] = _run([sys.executable, *command[1:]], shlex.join(command))
    else:
        found["page"] = _skipped("", f"there is no {PAGE_TESTS} yet")
    for row in found.values():
        row["program"] = row["program"].replace(key or HIDDEN, HIDDEN)
        row["output"] = row["output"].replace(key or HIDDEN, HIDDEN)
    return found


def _program(source: str, needs: Sequence[str]) -> Row:
    from importlib.util import find_spec

    missing = [name for name in needs if find_spec(name) is None]
    if missing:
        return _skipped(source, f"not installed: {', '.join(missing)}")
    return _run([sys.executable, "-c", source], source)


def _run(command: Sequence[str], shown: str) -> Row:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, env=dict(os.environ)
        )
    except FileNotFoundError:
        return _skipped(shown, f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return {"outcome": "failed", "program": shown, "output": f"no end within {SECONDS} s"}
    output = (done.stdout + (done.stderr if done.returncode else "")).strip()
    return {"outcome": "failed" if done.returncode else "answered", "program": shown, "output": output[-6000:]}


def _skipped(program: str, reason: str) -> Row:
    return {"outcome": f"skipped: {reason}", "program": program, "output": ""}


if __name__ == "__main__":
    sys.exit(main())
