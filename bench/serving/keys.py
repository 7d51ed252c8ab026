"""API keys for the clients of a benchmark, where the product has keys: one each, made once, bound to the domain.

Knows only the command line `understudy keys create`.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from bench.serving.questions import UNDERSTUDY

FILE = Path(".cache/bench/serving/keys.json")
_KEY = re.compile(r"\bunderstudy_[0-9a-f]+_[\w-]{20,}")


def has_keys() -> bool:
    """Whether this version of the product knows keys."""
    done = subprocess.run([*UNDERSTUDY, "keys", "--help"], capture_output=True, check=False)
    return done.returncode == 0


def keys_for(clients: int, domain: str) -> list[str | None]:
    """A key for each client; None for each where there are no keys. Raises SystemExit where none can be made."""
    if not has_keys():
        return [None] * clients
    known: list[str] = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
    while len(known) < clients:
        known.append(_create(f"bench-{len(known)}", domain))
        FILE.write_text(json.dumps(known), "utf-8")
        FILE.chmod(0o600)
    return list(known[:clients])


def _create(name: str, domain: str) -> str:
    command = [*UNDERSTUDY, "keys", "create", name, "--scope", "read", "--domain", domain]
    command += ["--requests-per-minute", "100000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _KEY.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"no key could be made: {done.stderr.strip() or done.stdout.strip()}")
    return found[0]
