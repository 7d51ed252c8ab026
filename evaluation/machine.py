"""What stands beside every figure: the hardware and the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

VECTORS = {"amx_int8": "AMX", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}
"""Instructions that decide how fast a model is here, best first, as /proc/cpuinfo calls them and as people do."""


def hardware() -> str:
    """Processor, its widest vector instructions, cores and commit in one line."""
    info = Path("/proc/cpuinfo")
    processor = described(info.read_text("utf-8")) if info.is_file() else ""
    processor = processor or platform.processor() or platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores of {processor} · commit {commit()}"


def described(cpuinfo: str) -> str:
    """The first processor of a /proc/cpuinfo, "AMD EPYC (AVX-512)"; empty where it has no name."""
    fields = [line.partition(":") for line in cpuinfo.splitlines()]
    told = {name.strip(): value.strip() for name, _, value in reversed(fields)}
    flags = told.get("flags", "").split()
    vectors = next((f" ({said})" for flag, said in VECTORS.items() if flag in flags), "")
    return f"{told['model name']}{vectors}" if told.get("model name") else ""


def commit() -> str:
    """The state of the code: the commit, "-dirty" where files differ from it, "unknown" outside a checkout."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return said.stdout.strip() or "unknown"
