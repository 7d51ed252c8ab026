"""API keys for the clients of a benchmark, where the product has keys: one each, made once, bound to the domain.

One more is for who watches: /metrics tells of every domain, and no client's key may read it. Another may bring
documents into a domain of its own.

Knows only the command line `understudy keys create`.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from bench.serving.questions import UNDERSTUDY

FILE = Path(".cache/bench/serving/keys.json")
WATCHER = FILE.with_name("watcher.json")
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
        known.append(create(f"bench-{len(known)}", "--domain", domain))
        _keep(FILE, known)
    return list(known[:clients])


def watcher() -> str | None:
    """The key that may read /metrics; None where there are no keys. Raises SystemExit where none can be made."""
    return _kept(WATCHER, "bench-watcher", "--scope", "admin", "--all-domains")


def uploader(domain: str) -> str | None:
    """The key that may bring documents into a domain; as `watcher` otherwise."""
    scopes = ("--scope", "read", "--scope", "ingest")
    return _kept(FILE.with_name(f"uploader-{domain}.json"), f"bench-uploader-{domain}", *scopes, "--domain", domain)


def _kept(file: Path, name: str, *may: str) -> str | None:
    if not has_keys():
        return None
    if not file.is_file():
        _keep(file, create(name, *may))
    text: str = json.loads(file.read_text("utf-8"))
    return text


def _keep(file: Path, keys: list[str] | str) -> None:
    file.touch(0o600)
    file.write_text(json.dumps(keys), "utf-8")


def create(name: str, *may: str) -> str:
    """A new key, by the options of `understudy keys create`. Raises SystemExit where none can be made."""
    command = [*UNDERSTUDY, "keys", "create", name, *may, "--requests-per-minute", "100000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _KEY.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"no key could be made: {done.stderr.strip() or done.stdout.strip()}")
    return found[0]
