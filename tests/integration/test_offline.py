"""Nothing but loopback is dialled, and no telemetry is sent, from an empty data directory to an answer.

Each command runs in a process of its own (and every Python process that it starts) with an audit hook that writes
down and refuses each address outside loopback; what a library swallows is written down all the same. Where the
system lets a user make a network namespace, the same command runs in one without any network, which also holds
native code. The default models that tests lend each other are made from nothing in the same way. By hand:
`unshare -rn make demo` after a first `make demo`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.offline import Offline, without_network

ABSTAINED = 3
"""Exit status of `understudy ask` when it does not answer: as good as an answer here."""


@pytest.fixture
def offline(tmp_path: Path) -> Offline:
    return Offline(tmp_path / "offline")


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
def test_the_hook_sees_and_refuses_what_leaves_the_machine(statement: str, offline: Offline) -> None:
    done = offline.run(["-c", f"import socket; {statement}"])
    assert "is outside loopback" in done.stderr
    assert len(offline.dialled) == 1


def test_the_hook_sees_what_a_library_swallows_in_a_child_process(offline: Offline) -> None:
    child = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('telemetry.invalid', 1)"
    done = offline.run(["-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"])
    assert done.returncode == 0, done.stderr
    assert any("telemetry.invalid" in line for line in offline.dialled)


def test_the_hook_lets_loopback_and_local_sockets_pass(offline: Offline) -> None:
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "socket.getaddrinfo('localhost', 80)\n"
        "left, right = socket.socketpair()\n"
        "left.sendmsg([b'x'])"
    )
    done = offline.run(["-c", code])
    assert done.returncode == 0, done.stderr
    assert offline.dialled == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ingesting_and_asking_dial_nothing_outside_the_machine(
    offline: Offline, tmp_path: Path, lend: Callable[[Path], Path]
) -> None:
    data, prefix = lend(tmp_path / "data"), without_network()
    apply = ["-m", "api", "ingest", "apply", "corpora/model-choice", "--domain", "model-choice"]
    ingested = offline.run(apply, data=data, prefix=prefix)
    assert ingested.returncode == 0, ingested.stdout + ingested.stderr
    ask = ["-m", "api", "ask", "--domain", "model-choice", "What is a cascade of models?"]
    asked = offline.run(ask, data=data, prefix=prefix)
    assert asked.returncode in (0, ABSTAINED), asked.stdout + asked.stderr
    assert asked.stdout.strip()
    assert offline.dialled == []
