"""What every benchmark says beside its figures: the hardware and the state of the code."""

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
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return f"{len(os.sched_getaffinity(0))} cores of {processor} · commit {commit.stdout.strip() or 'unknown'}"
