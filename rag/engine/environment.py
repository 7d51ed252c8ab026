"""The environment of a process that runs llama.cpp: this package on its path, threads that wait asleep, no settings."""

from __future__ import annotations

import os
from pathlib import Path

import rag

SPIN_COUNT = "5000"
"""Rounds that a thread of llama.cpp waits awake for the others (libgomp's GOMP_SPINCOUNT; 300,000 by default). Awake
for long, it keeps a core from whoever needs it, the embedder first of all: docs/decisions.md has the measurement."""


def child_environment() -> dict[str, str]:
    """Variables for a child process; GOMP_SPINCOUNT as the operator has it, where it is set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")}
    package_root = str(Path(rag.__file__).parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join([package_root, *filter(None, [environment.get("PYTHONPATH")])])
    environment.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    return environment
