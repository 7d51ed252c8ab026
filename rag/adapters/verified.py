"""The sha256 of a large file, computed once for each file, size and modification time. Knows no model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from rag.catalog import storage_error, write_atomically


def sha256_of_file(path: Path, cache: Path, *, anew: bool = False) -> str:
    """Hex sha256 of a file's content; `cache` is the folder that remembers it in `sha256.json`.

    anew: compute it whatever is remembered, for a file that may have been altered without a trace.
    """
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    memory = cache / "sha256.json"
    known: dict[str, str] = {}
    if memory.is_file():
        try:
            known = json.loads(memory.read_text("utf-8"))
        except ValueError:
            known = {}
    if anew or key not in known:
        with path.open("rb") as handle:
            known[key] = hashlib.file_digest(handle, "sha256").hexdigest()
        try:
            cache.mkdir(parents=True, exist_ok=True)
            write_atomically(memory, json.dumps(known, indent=1) + "\n")
        except OSError as error:
            raise storage_error(error, memory) from error
    return known[key]
