"""Answers over a real corpus by HTTP: start-up, memory, offsets, and where the time of an answer goes.

Ingests `nq_evouna` of the suites where the data directory has no such domain, starts `understudy serve`, asks
questions one after the other, and compares every citation with the corpus file itself. Measures the service from
outside: knows nothing of the core.

    python -m bench.answers --suites DIR [--questions N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from evaluation.machine import hardware

DOMAIN = "nq-evouna"
WORK = ("embed", "read", "search", "generate", "extract", "choose")
"""Stages that are embedding (of the question; `read`: of the passages' sentences), search, prefill and decode
(`generate`, `extract`, `choose`); the rest is ours to keep small."""


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, default=os.environ.get("SUITES"), help="folder of the suites")
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.suites is None:
        parser.error("name the folder of the suites: --suites DIR, or SUITES=DIR")
    suite = Path(arguments.suites) / "nq_evouna"
    os.environ.setdefault("UNDERSTUDY_DATA__DIRECTORY", ".cache/bench")  # shared with bench.retrieval
    understudy = [sys.executable, "-m", "api"]
    listed = subprocess.run([*understudy, "ingest", "show", "--json"], capture_output=True, text=True, check=False)
    if f'"{DOMAIN}"' not in listed.stdout:
        subprocess.run([*understudy, "ingest", "apply", str(suite), "--domain", DOMAIN], check=True)
    result = measure(understudy, suite, arguments.questions)
    if arguments.json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        show(result)
    return 1 if result["citations_wrong"] else 0


def measure(understudy: list[str], suite: Path, count: int) -> dict[str, Any]:
    """Start the service, ask `count` seeded answerable questions, and measure."""
    rows = [json.loads(line) for line in (suite / "questions.jsonl").read_text("utf-8").splitlines()]
    chosen = random.Random(0).sample([row for row in rows if row["use"] == "answerable"], count)
    texts = {
        row["doc_id"]: row["text"] for row in map(json.loads, (suite / "corpus.jsonl").read_text("utf-8").splitlines())
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = time.perf_counter()
    service = subprocess.Popen([*understudy, "serve", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
        ready = _wait_ready(client, begin)
        client.post("/v1/answers", json={"question": chosen[0]["question"], "domain": DOMAIN}).raise_for_status()
        answers = []
        for row in chosen:
            asked = time.perf_counter()
            response = client.post("/v1/answers", json={"question": row["question"], "domain": DOMAIN})
            seconds = time.perf_counter() - asked
            answers.append(_judge(row, response.raise_for_status().json(), seconds, texts))
        memory = _memory(service.pid)
    finally:
        service.terminate()
        service.wait(20)
    stages: dict[str, list[float]] = {}
    for answer in answers:
        for stage, milliseconds in answer["stages"].items():
            stages.setdefault(stage, []).append(milliseconds)
    total = sum(answer["milliseconds"] for answer in answers)
    work = sum(milliseconds for stage in WORK for milliseconds in stages.get(stage, []))
    return {
        "hardware": hardware(),
        "ready_seconds": round(ready, 2),
        "resident_mb": memory,
        "questions": len(answers),
        "contains_gold": sum(answer["contains_gold"] for answer in answers),
        "abstained": sum(answer["abstained"] for answer in answers),
        "citations": sum(answer["citations"] for answer in answers),
        "citations_wrong": sum(answer["citations_wrong"] for answer in answers),
        "milliseconds_p50": round(statistics.median(answer["milliseconds"] for answer in answers), 1),
        "stages_p50": {stage: round(statistics.median(values), 2) for stage, values in stages.items()},
        "overhead_share": round(1 - work / total, 4),
        "answers": answers,
    }


def _wait_ready(client: httpx.Client, begin: float) -> float:
    while time.perf_counter() - begin < 120:
        try:
            if client.get("/health/ready").status_code == 200:
                return time.perf_counter() - begin
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise SystemExit("the service was not ready within two minutes; its messages stand above")


def _judge(row: dict[str, Any], answer: dict[str, Any], seconds: float, texts: dict[str, str]) -> dict[str, Any]:
    wrong = sum(
        texts[citation["document_id"]][citation["char_start"] : citation["char_end"]] != citation["quote"]
        for citation in answer["citations"]
    )
    said = answer["text"].casefold()
    return {
        "id": row["id"],
        "question": row["question"],
        "text": answer["text"],
        "abstained": answer["abstained"],
        "contains_gold": any(gold.casefold() in said for gold in row["answers"]),
        "citations": len(answer["citations"]),
        "citations_wrong": wrong,
        "milliseconds": round(seconds * 1000, 1),
        "stages": {timing["stage"]: timing["milliseconds"] for timing in answer["trace"]["timings"]},
    }


def _memory(pid: int) -> dict[str, float]:
    """Resident megabytes of each process of the service, and together (pages shared by two counted twice)."""
    service = psutil.Process(pid)
    rss = {
        " ".join(process.cmdline()[1:4])[:40] + f" ({process.pid})": process.memory_info().rss / 1e6
        for process in [service, *service.children(recursive=True)]
    }
    return {**{name: round(value, 1) for name, value in rss.items()}, "all": round(sum(rss.values()), 1)}


def show(result: dict[str, Any]) -> None:
    """The result for people."""
    print(f"Answers over nq_evouna by HTTP · {result['hardware']}")
    print(f"  ready after {result['ready_seconds']} s, resident {result['resident_mb']['all']} MB")
    print(
        f"  {result['questions']} questions: {result['contains_gold']} contain a gold string, "
        f"{result['abstained']} abstained, {result['citations']} citations, "
        f"{result['citations_wrong']} not exactly in the corpus"
    )
    print(f"  p50 {result['milliseconds_p50']} ms; by stage (p50 ms): {result['stages_p50']}")
    print(f"  not embedding, search, prefill or decode: {result['overhead_share']:.1%} of the answer time")
    for answer in result["answers"]:
        print(
            f"  - {answer['question']}\n      {answer['text'][:160]}  "
            f"[{answer['citations']} cited, {answer['milliseconds']} ms]"
        )


if __name__ == "__main__":
    sys.exit(main())
