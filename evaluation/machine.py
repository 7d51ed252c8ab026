"""What stands beside every figure: the hardware and the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def hardware() -> str:
    """Processor, cores and commit in one line."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text("utf-8").splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return f"{len(os.sched_getaffinity(0))} cores of {processor} · commit {commit()}"


def commit() -> str:
    """The state of the code: the commit, "-dirty" where files differ from it, "unknown" outside a checkout."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return said.stdout.strip() or "unknown"
