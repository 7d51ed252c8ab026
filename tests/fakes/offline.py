"""Runs Python of its own that writes down and refuses each address outside loopback, in every child as well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

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


class Offline:
    """A folder with the hook in it, the home of what runs under it, and the log of what was dialled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hook = folder / "hook"
        self._hook.mkdir(parents=True, exist_ok=True)
        (self._hook / "sitecustomize.py").write_text(HOOK)
        self._log = folder / "dialled"
        self._log.touch()

    @property
    def dialled(self) -> list[str]:
        """A line for each address that was refused."""
        return self._log.read_text().splitlines()

    def run(
        self, arguments: list[str], *, data: Path | None = None, prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run Python under the hook, with a home of its own and none of this process's model switches."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        environment = kept | {
            "PYTHONPATH": f"{self._hook}{os.pathsep}{ROOT}",
            "DIALLED": str(self._log),
            "HOME": str(self.folder),
            "UNDERSTUDY_DATA__DIRECTORY": str(data or self.folder / "data"),
        }
        return subprocess.run(
            [*prefix, sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def without_network() -> tuple[str, ...]:
    """The command that runs another one without any network, or nothing where the system does not allow it."""
    program = shutil.which("unshare")
    if program and subprocess.run([program, "-rn", "true"], capture_output=True, check=False).returncode == 0:
        return (program, "-rn")
    return ()
