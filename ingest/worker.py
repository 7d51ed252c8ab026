"""The process that reads files for another: a line of JSON in for each file, one out, until its input ends.

    python -m ingest.worker MEGABYTES

Of a file of rows one comes out for each row, and one that says that it was the last. It may need at most so much
memory; a file that needs more is unreadable. Knows no corpus.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingest import rows
from ingest.readers import reader_for
from rag.errors import UnreadableDocument


def main(megabytes: int) -> None:
    """Read what is asked for; parsers that print do so on standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    for line in sys.stdin:
        try:
            for answer in _answers(**json.loads(line)):
                answers.write(json.dumps(answer) + "\n")
        except UnreadableDocument as error:
            answers.write(json.dumps({"unreadable": str(error)}) + "\n")
        answers.flush()


def _answers(path: str, name: str = "", mapping: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Of a file its text, or, where it has a name for its rows, those and an end."""
    file = Path(path)
    if not name:
        found = reader_for(file).read(file)
        yield {"text": found.text, "title": found.title, "metadata": found.metadata, "layout": found.layout}
        return
    try:
        for row in rows.read(file, name, rows.Mapping(**mapping) if mapping else None):
            yield asdict(row)
    except MemoryError:
        raise UnreadableDocument("it needs more memory than a reader may take") from None
    except OSError as error:
        raise UnreadableDocument(f"the file cannot be read: {error.strerror or error}") from error
    yield {"end": True}


if __name__ == "__main__":
    main(int(sys.argv[1]))
