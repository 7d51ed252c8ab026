"""The same question by four doors: curl, the official openai client, LlamaIndex, and the page in the system's Chromium.

All ask one server over the sample corpus, whose words may be shown. Each is a program as a user would write it; what is
run is what is shown. A client that is not installed is skipped with its reason. Knows no route but those that the
programs name.

    python -m bench.serving.transcripts [--fresh]
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from bench.serving.keys import create
from bench.serving.plant import DOMAIN, QUESTION, plant
from bench.serving.processes import running, start_ours
from bench.serving.questions import arguments
from bench.serving.results import FOLDER, Results, Row

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

PAGE = """\
import shutil
from playwright.sync_api import sync_playwright

program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
    page = browser.new_page(viewport={{"width": 1280, "height": 800}})
    page.set_default_timeout(60_000)
    page.goto("{url}")
    dialog = page.get_by_role("dialog", name="A key is needed")
    dialog.get_by_label("API key").fill("{key}")
    page.keyboard.press("Enter")
    page.get_by_label("Your question").fill("{question}")
    page.get_by_role("button", name="Ask").click()
    confidence = page.locator(".confidence").inner_text()  # comes with the checked answer
    print(page.locator(".answer").inner_text(), "--", confidence)
    page.get_by_role("button", name="Citation 1").click()
    print("lit up:", page.locator("mark").inner_text())
    page.screenshot(path="{picture}")
    browser.close()
"""

PICTURE = FOLDER / "page.png"
"""What the page showed last."""

HIDDEN = "understudy_…"
"""Shown in place of a key."""


def main() -> int:
    """Run each, print what it said; exit status 1 where one that is there failed."""
    options = arguments(__doc__, ("--fresh", {"action": "store_true"}), suites=False)
    results = Results("transcripts", fresh=options.fresh)
    found = results.once(DOMAIN, {}, measure)
    for name, said in found.items():
        print(f"--- {name}: {said['outcome']}\n{said['program']}\n{said['output']}")
    return 1 if any(said["outcome"] == "failed" for said in found.values()) else 0


def measure() -> Row:
    """Ask by every door."""
    with plant():
        key = create("bench-doors", "--scope", "read", "--domain", DOMAIN)
        with running(start_ours()) as server:
            said = {"url": server.url, "domain": DOMAIN, "question": QUESTION, "key": key, "picture": str(PICTURE)}
            body = f'{{"question": "{QUESTION}", "domain": "{DOMAIN}"}}'
            curl = ["curl", "-sN", f"{server.url}/v1/answers/stream", "-H", "Content-Type: application/json"]
            curl += ["-H", f"Authorization: Bearer {key}", "-d", body]
            found = {
                "curl": _run(curl, shlex.join(curl)),
                "openai client": _program(OPENAI.format(**said), ("openai",)),
                "LlamaIndex": _program(LLAMA_INDEX.format(**said), ("integrations", "llama_index")),
                "page": _program(PAGE.format(**said), ("playwright",)),
            }
    for row in found.values():
        row["program"] = row["program"].replace(key, HIDDEN)
        row["output"] = row["output"].replace(key, HIDDEN)
    return found


def _program(source: str, needs: Sequence[str]) -> Row:
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
    if done.returncode:
        return {"outcome": "failed", "program": shown, "output": (done.stdout + done.stderr).strip()[-6000:]}
    return {"outcome": "answered", "program": shown, "output": done.stdout.strip()}


def _skipped(program: str, reason: str) -> Row:
    return {"outcome": f"skipped: {reason}", "program": program, "output": ""}


if __name__ == "__main__":
    sys.exit(main())
