"""The process that reads files for another: one JSON line in for each file, one out, until its input ends.

    python -m ingest.worker MEGABYTES

It may need at most so much memory; a file that needs more is unreadable. Knows no corpus.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from ingest.readers import reader_for
from rag.errors import UnreadableDocument


def main(megabytes: int) -> None:
    """Read what is asked for; parsers that print do so on standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    for line in sys.stdin:
        path = Path(json.loads(line))
        try:
            found = reader_for(path).read(path)
            answer = {
                "text": found.text,
                "title": found.title,
                "metadata": found.metadata,
                "layout": found.layout,
            }
        except UnreadableDocument as error:
            answer = {"unreadable": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
