"""Nothing but loopback is dialled, and no telemetry is sent, from an empty data directory to an answer.

Each command runs in a process of its own (and every Python process that it starts) with an audit hook that writes
down and refuses each address outside loopback; what a library swallows is written down all the same. Where the
system lets a user make a network namespace, the same command runs in one without any network, which also holds
native code. By hand: `unshare -rn make demo` after a first `make demo`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSTAINED = 3
"""Exit status of `understudy ask` when it does not answer: as good as an answer here."""

HOOK = '''
"""Writes down and refuses every address but loopback."""
import ipaddress, os, sys

def is_loopback(host):
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        text = host.decode() if isinstance(host, bytes) else str(host)
        return ipaddress.ip_address(text.split("%")[0]).is_loopback
    except ValueError:
        return False

def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a path of AF_UNIX, AF_NETLINK, or a socket that is connected already
            return
        host = address[0]
        if isinstance(host, int):  # AF_NETLINK asks this machine's kernel
            return
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    else:
        return
    if not is_loopback(host):
        with open(os.environ["DIALLED"], "a") as log:
            log.write(f"{event} {host!r} by {sys.argv[:2]}\\n")
        raise OSError(f"{event} {host!r} is outside loopback")

sys.addaudithook(hook)
'''


@pytest.fixture
def dialled(tmp_path: Path) -> Path:
    """The file that every refused address is written to; beside it the hook."""
    folder = tmp_path / "hook"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOOK)
    log = tmp_path / "dialled"
    log.touch()
    return log


def run(arguments: list[str], dialled: Path, *, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python under the hook, with a home of its own and none of this process's model switches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment = kept | {
        "PYTHONPATH": f"{dialled.parent / 'hook'}{os.pathsep}{ROOT}",
        "DIALLED": str(dialled),
        "HOME": str(dialled.parent),
        "UNDERSTUDY_DATA__DIRECTORY": str(dialled.parent / "data"),
    }
    return subprocess.run(
        [*prefix, sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def without_network() -> tuple[str, ...]:
    """The command that runs another one without any network, or nothing where the system does not allow it."""
    program = shutil.which("unshare")
    if program and subprocess.run([program, "-rn", "true"], capture_output=True, check=False).returncode == 0:
        return (program, "-rn")
    return ()


# 192.0.2.0/24 is set aside for documentation and leads nowhere (RFC 5737)
@pytest.mark.parametrize(
    "statement",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "socket.getaddrinfo('telemetry.invalid', 443)",
        "socket.gethostbyname('telemetry.invalid')",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
        "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    ],
)
def test_the_hook_sees_and_refuses_what_leaves_the_machine(statement: str, dialled: Path) -> None:
    done = run(["-c", f"import socket; {statement}"], dialled)
    assert "is outside loopback" in done.stderr
    assert len(dialled.read_text().splitlines()) == 1


def test_the_hook_sees_what_a_library_swallows_in_a_child_process(dialled: Path) -> None:
    child = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('telemetry.invalid', 1)"
    done = run(
        ["-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"], dialled
    )
    assert done.returncode == 0, done.stderr
    assert "telemetry.invalid" in dialled.read_text()


def test_the_hook_lets_loopback_and_local_sockets_pass(dialled: Path) -> None:
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "socket.getaddrinfo('localhost', 80)\n"
        "left, right = socket.socketpair()\n"
        "left.sendmsg([b'x'])"
    )
    done = run(["-c", code], dialled)
    assert done.returncode == 0, done.stderr
    assert dialled.read_text() == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ingesting_and_asking_dial_nothing_outside_the_machine(dialled: Path) -> None:
    prefix = without_network()
    ingested = run(
        ["-m", "api", "ingest", "apply", "corpora/model-choice", "--domain", "model-choice"], dialled, prefix=prefix
    )
    assert ingested.returncode == 0, ingested.stdout + ingested.stderr
    asked = run(
        ["-m", "api", "ask", "--domain", "model-choice", "What is a cascade of models?"], dialled, prefix=prefix
    )
    assert asked.returncode in (0, ABSTAINED), asked.stdout + asked.stderr
    assert asked.stdout.strip()
    assert dialled.read_text() == ""
