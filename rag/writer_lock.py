"""One writer a domain: a lock on a file, which the system releases when the process ends, however it ends.

The file is outside the domain's folder, so that it survives the domain's deletion. Knows no index.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from rag.catalog import check_domain_name, storage_error
from rag.errors import IndexLocked


class WriterLock:
    """Held from its making until `release`."""

    def __init__(self, data_directory: Path, domain: str) -> None:
        """Take the lock at once. Raises IndexLocked when another writer has it, StorageFull, CorpusError."""
        path = data_directory / "locks" / f"{check_domain_name(domain)}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise IndexLocked(
                f"another process{f' (pid {holder})' if holder else ''} changes domain {domain!r} now: wait until it "
                "has finished, then run the command again"
            ) from None
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next writer in; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
