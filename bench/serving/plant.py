"""The sample corpus `plant` in a data directory of its own, which may be shown and broken.

The suites' words belong to others, and the other benchmarks' data must stay as it is. Knows no server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.serving.questions import MODELS, UNDERSTUDY

DOMAIN = "plant"
QUESTION = "What number do I call for the nurse if somebody collapses from heat?"

_VARIABLE = "UNDERSTUDY_DATA__DIRECTORY"


@contextmanager
def plant() -> Iterator[None]:
    """Ingested; processes that are started meanwhile find the directory in the environment."""
    before = os.environ.get(_VARIABLE)
    MODELS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        (Path(folder) / "models").symlink_to(MODELS.absolute())
        os.environ[_VARIABLE] = folder
        try:
            subprocess.run([sys.executable, "-m", "rag.build", "prepare"], check=True, stdout=sys.stderr)
            command = [*UNDERSTUDY, "ingest", "apply", "corpora/plant", "--domain", DOMAIN]
            subprocess.run(command, check=True, stdout=sys.stderr)
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before
