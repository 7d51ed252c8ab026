"""Chooses the weights format: the fastest on this machine among those that lose nothing measurable.

A format *loses nothing measurable* when, over a fixed text, the mean Kullback-Leibler divergence of its next-token
distributions from those of the file as shipped is at most `MAX_DIVERGENCE` and perplexity rises by at most
`MAX_PERPLEXITY_RISE`. Speed is the time of a typical retrieval answer (`PROMPT_TOKENS` in, `ANSWER_TOKENS` out), each
token by the fastest call seen, in turns, so that a busy machine is unfair to none. The choice is kept beside the cached
weights and made again when the file, the processor or llama.cpp changes. The measuring runs in a process of its own:
`python -m rag.engine.weights SOURCE FOLDER THREADS`. Own words are written with a format that rounds little (`steady`),
whatever is fastest. Knows no profile and no settings.
"""

from __future__ import annotations

import contextlib
import json
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from rag.catalog import storage_error, write_atomically
from rag.engine.environment import child_environment
from rag.errors import ModelUnavailable
from rag.types import Value

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rag.engine.llama import Llama

FORMATS = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}
"""Formats that are tried, with llama.cpp's number for each (enum llama_ftype)."""

STEADY = "F16"
"""The format of own words. A request alone and beside others differs in the last bit of a float; BF16 and Q8_0, which
keep seven bits of an activation, make of that another word in 13 and more texts of 500, F16 with ten in one to three
(docs/experiments.md). What compares given texts (`score`, `extract`) is not moved by it: 500 of 500 the same."""

EXACT = frozenset({STEADY, "F32"})
"""Formats of a shipped file that round no more than that."""

MAX_STEADY_BYTES = 1 << 30
"""A file larger than this writes with the weights it reads with: four bits of it are four times as much in F16."""

WHOLE = {"F32": 0}
"""The format in which weights are changed."""

MODULE = "rag.engine.weights"

MAX_DIVERGENCE = 0.01
"""Nats a token. Measured on the default model: F16 0.0026, BF16 0.0028, Q8_0 0.0051 (the floor is the shipped
format's own rounding of activations), Q4_0 0.284."""

MAX_PERPLEXITY_RISE = 0.005
"""Relative."""

BESIDE = 1.3
"""What an answer takes with an adapter beside the weights, of what it takes without: 1.2 (bfloat16 products of an AMD
EPYC) to 1.38 (eight-bit ones of an Intel Xeon with AMX). The file as shipped is never changed, so there it stays so."""

MAX_CONVERTED_BYTES = 4 << 30
"""A file larger than this is used as it is: converting it costs minutes and memory that nobody asked for."""

PROMPT_TOKENS, ANSWER_TOKENS, ROUNDS = 448, 24, 2
"""The typical answer that is timed, and how often."""


class Trial(Value):
    """One format's measurements."""

    format: str
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    divergence: float = Field(description="mean KL divergence from the file as shipped, nats a token")
    perplexity_ratio: float
    lossless: bool = Field(description="loses nothing measurable, by the bounds of this file")
    answer_seconds: float


class Choice(Value):
    """The chosen file and why."""

    machine: str
    source_sha256: str
    format: str
    path: str
    trials: tuple[Trial, ...]


def choose(
    source: Path,
    source_sha256: str,
    folder: Path,
    *,
    wanted: str,
    threads: int,
    adapted: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Choice:
    """The weights file to load for `source`. `tell` is called before work that takes longer than a second.

    wanted: 'auto', 'as-shipped' or a name of FORMATS; folder: the cache, one subfolder a source file; adapted: adapters
    are in force, which every format but the file as shipped takes into itself (rag.engine.merging).
    Raises ModelUnavailable when the conversion fails, StorageFull when the cache does not fit the disk.
    """
    machine = fingerprint_of_machine(threads)
    shipped = Choice(machine=machine, source_sha256=source_sha256, format="as-shipped", path=str(source), trials=())
    if wanted == "as-shipped" or (wanted == "auto" and source.stat().st_size > MAX_CONVERTED_BYTES):
        return shipped
    cache = folder / source_sha256[:16]
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, cache) from error
    if wanted != "auto":
        path = cache / f"{wanted}.gguf"
        if not path.is_file():
            run_child(MODULE, "convert", str(source), str(path), wanted)
        return shipped.model_copy(update={"format": wanted, "path": str(path)})
    record = cache / "choice.json"
    known = None
    with contextlib.suppress(FileNotFoundError, ValidationError):
        known = Choice.model_validate_json(record.read_text("utf-8"))
    if known is not None and known.machine == machine and known.source_sha256 == source_sha256:
        trials = known.trials
    else:
        if tell is not None:
            tell(f"measuring which weights format of {source.name} is fastest here; once, about half a minute")
        trials = tuple(
            Trial.model_validate(row)
            for row in json.loads(run_child(MODULE, "measure", str(source), str(cache), str(threads)))
        )
    best = fastest(trials, adapted=adapted)
    path = source if best.format == "as-shipped" else cache / f"{best.format}.gguf"
    if not path.is_file():
        run_child(MODULE, "convert", str(source), str(path), best.format)
    for name in FORMATS:
        if name != best.format:
            (cache / f"{name}.gguf").unlink(missing_ok=True)
    choice = shipped.model_copy(update={"format": best.format, "path": str(path), "trials": trials})
    if choice != known:
        write_atomically(record, choice.model_dump_json(indent=1) + "\n")
    return choice


def steady(choice: Choice, source: Path, folder: Path, *, shipped_format: str, plain: bool) -> Choice:
    """What own words are written with: `choice` itself where that rounds little or the file is large, else `STEADY`.

    shipped_format: the source's own; plain: whether an answer is written without an adapter, which needs the file
    itself and not only what `rag.engine.merging` makes of it. Raises ModelUnavailable when the conversion fails.
    """
    now = shipped_format if choice.format == "as-shipped" else choice.format
    if now in EXACT or source.stat().st_size > MAX_STEADY_BYTES:
        return choice
    path = folder / choice.source_sha256[:16] / f"own-words.{STEADY}.gguf"  # not one of those that `choose` clears away
    if plain and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        run_child(MODULE, "convert", str(source), str(path), STEADY)
    return choice.model_copy(update={"format": STEADY, "path": str(path), "trials": ()})


def fastest(trials: Sequence[Trial], *, adapted: bool) -> Trial:
    """The trial of the shortest answer among those that lose nothing; adapted: see `choose`."""

    def seconds(trial: Trial) -> float:
        return trial.answer_seconds * (BESIDE if adapted and trial.format == "as-shipped" else 1.0)

    return min((trial for trial in trials if trial.lossless), key=seconds)


def fingerprint_of_machine(threads: int) -> str:
    """What the speed of a format depends on: processor, threads and llama.cpp's version."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        wanted = ("model name", "flags", "Features")
        processor = "".join(sorted({line for line in lines if line.startswith(wanted)}))
    except OSError:
        processor = platform.processor()
    from rag.types import sha256_text

    return f"{sha256_text(processor)[:12]}-{threads}-{version('llama-cpp-python')}"


def run_child(module: str, *arguments: str) -> str:
    """What a module of the engine prints, run in a process of its own: llama.cpp aborts where it fails.

    Raises ModelUnavailable.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=False,
    )
    if done.returncode < 0:
        raise ModelUnavailable(
            f"llama.cpp broke off ({signal.Signals(-done.returncode).name}) at work on the weights: either memory "
            "ran out, or it was built by a compiler that does not suit this processor, and `sh scripts/setup.sh "
            "run` builds it anew"
        )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ModelUnavailable(
            f"the weights could not be converted ({last}): set UNDERSTUDY_MODEL__WEIGHTS_FORMAT=as-shipped to use "
            "the file as it is"
        )
    return done.stdout


# --- the child's side ---


def convert(source: Path, target: Path, name: str) -> None:
    """Write `source` in another format; the file appears whole or not at all."""
    import llama_cpp

    from rag.engine.llama import set_log

    set_log(lambda _level, _text, _data: None)
    temporary = target.with_suffix(".new")
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = (FORMATS | WHOLE)[name]
    parameters.allow_requantize = True
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(temporary).encode(), parameters)
    if code != 0:
        temporary.unlink(missing_ok=True)
        raise SystemExit(f"llama_model_quantize returned {code} for {name}; is there space for {target}?")
    temporary.replace(target)


def measure(source: Path, cache: Path, threads: int) -> list[Trial]:
    """Convert to every format, and measure each against the file as shipped."""
    from rag.engine.llama import Llama

    paths = {"as-shipped": source}
    for name in FORMATS:
        path = cache / f"{name}.gguf"
        with contextlib.suppress(SystemExit):  # a format that llama.cpp cannot make of this file is not tried
            convert(source, path, name)
            paths[name] = path
    models = {
        name: Llama(path, context_tokens=PROMPT_TOKENS + ANSWER_TOKENS, threads=threads, gpu_layers=-1)
        for name, path in paths.items()
    }
    reference = models["as-shipped"]
    text = (Path(__file__).parent.parent / "prompts" / "calibration.md").read_text("utf-8")
    tokens = reference.tokenize(text, special=False)[:PROMPT_TOKENS]
    prefill = dict.fromkeys(models, float("inf"))
    decode = dict.fromkeys(models, float("inf"))
    for _ in range(ROUNDS):
        for name, model in models.items():
            first, rest = _time(model, tokens)
            prefill[name], decode[name] = min(prefill[name], first), min(decode[name], rest)
    expected = _log_softmax(reference.logits(tokens))
    trials = []
    for name, model in models.items():
        divergence, ratio = _compare(expected, _log_softmax(model.logits(tokens)), tokens)
        trials.append(
            Trial(
                format=name,
                prefill_tokens_per_second=round(1 / prefill[name], 1),
                decode_tokens_per_second=round(1 / decode[name], 1),
                divergence=divergence,
                perplexity_ratio=ratio,
                lossless=divergence <= MAX_DIVERGENCE and ratio <= 1 + MAX_PERPLEXITY_RISE,
                answer_seconds=round(len(tokens) * prefill[name] + ANSWER_TOKENS * decode[name], 4),
            )
        )
    return trials


def _time(model: Llama, tokens: list[int]) -> tuple[float, float]:
    """Seconds a token of the prompt, and of the answer, each by its fastest call.

    A call is short: beside other work some are left alone all the same, while no whole answer is.
    """
    from rag.engine.llama import CHUNK

    model.remove(0)
    prompt, answer = [], []
    for start in range(0, len(tokens), CHUNK):
        part = tokens[start : start + CHUNK]
        begin = time.perf_counter()
        logits = model.evaluate([(token, start + i, 0, i == len(part) - 1) for i, token in enumerate(part)])
        prompt.append((time.perf_counter() - begin) / len(part))
    for position in range(len(tokens), len(tokens) + ANSWER_TOKENS):
        assert logits is not None  # noqa: S101  # nobody aborts here
        begin = time.perf_counter()
        logits = model.evaluate([(int(logits[0].argmax()), position, 0, True)])
        answer.append(time.perf_counter() - begin)
    return min(prompt), min(answer)


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import numpy as np

    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def _compare(
    expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32], tokens: list[int]
) -> tuple[float, float]:
    """(mean KL divergence in nats, ratio of perplexities) of two (n, vocabulary) log-probability arrays."""
    import numpy as np

    divergence = float((np.exp(expected) * (expected - found)).sum(axis=1).mean())
    rows, targets = np.arange(len(tokens) - 1), np.array(tokens[1:])
    ratio = float(np.exp((expected[rows, targets] - found[rows, targets]).mean()))
    return round(divergence, 6), round(ratio, 6)


def main(arguments: list[str]) -> None:
    """`convert SOURCE TARGET FORMAT` or `measure SOURCE CACHE THREADS` (prints the trials as JSON)."""
    match arguments:
        case ["convert", source, target, name]:
            convert(Path(source), Path(target), name)
        case ["measure", source, cache, threads]:
            trials = measure(Path(source), Path(cache), int(threads))
            sys.stdout.write(json.dumps([trial.model_dump() for trial in trials]))
        case _:
            raise SystemExit(main.__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
