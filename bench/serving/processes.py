"""A server as a process of its own: started on a free port, waited for, watched from outside, stopped.

Knows no API but its readiness.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

READY_SECONDS = 120.0
QUIET_SHARE = 0.1
"""Share of one core below which a process tree counts as idle."""

LOOK_SECONDS = 0.02
"""How often CPU time is read."""


class Server:
    """A started server process."""

    def __init__(self, command: Sequence[str], *, port: int, ready: str, environment: Mapping[str, str]) -> None:
        """Start it; its messages go to a log beside the results."""
        self.url = f"http://127.0.0.1:{port}"
        self.began = time.perf_counter()
        self.worked: list[tuple[float, float]] = []
        self._ready = ready
        self.log = Path(".cache/bench/serving") / f"server-{port}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})

    def wait_ready(self) -> float:
        """Seconds from the start until it takes questions. Raises SystemExit with the end of its log."""
        with httpx.Client(timeout=5) as client:
            while time.perf_counter() - self.began < READY_SECONDS and self.process.poll() is None:
                try:
                    if client.get(self.url + self._ready).status_code == 200:
                        return time.perf_counter() - self.began
                except httpx.TransportError:
                    pass
                time.sleep(0.02)
        end = self.log.read_text("utf-8", "replace")[-2000:]
        self.stop()
        raise SystemExit(f"the server was not ready within {READY_SECONDS:.0f} s:\n{end}")

    def tree(self) -> list[psutil.Process]:
        """Its processes, those that ended left out."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def engine(self) -> psutil.Process | None:
        """The generator process, or None between two of them."""
        for process in self.tree()[1:]:
            try:
                if "rag.engine.worker" in process.cmdline():
                    return process
            except psutil.Error:
                continue
        return None

    def megabytes(self) -> float:
        """Memory of all its processes, pages that several of them share counted once (PSS)."""
        total = 0.0
        for process in self.tree():
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        return round(total / 1e6, 1)

    def files(self) -> int:
        """Open file descriptors of all its processes."""
        found = 0
        for process in self.tree():
            try:
                found += process.num_fds()
            except psutil.Error:
                continue
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time that each of its living threads has used.

        As the scheduler counts it, in nanoseconds (/proc/PID/task/TID/schedstat, Linux). The usual count goes by ticks
        of 10 ms, and charges a whole one to whoever has just woken up: of fifteen looks at a service at rest two saw
        it work, up to 0.3 s later.
        """
        used = {}
        for process in self.tree():
            for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
                try:
                    used[str(file)] = int(file.read_text("ascii").split()[0]) / 1e9
                except (OSError, IndexError):  # a thread that has just ended
                    continue
        return used

    def seconds_until_idle(self, limit: float = 30.0) -> float:
        """Seconds from now until the processes rest: until the last look at which they still used CPU, for 0.5 s.

        `worked` tells afterwards what was seen on the way there: (seconds from the start, seconds of CPU) of each look.
        """
        began = last = time.perf_counter()
        before, at = self.cpu_seconds(), began
        self.worked = []
        while time.perf_counter() - began < limit:
            time.sleep(LOOK_SECONDS)
            now, used = time.perf_counter(), self.cpu_seconds()
            cpu = sum(used[thread] - before.get(thread, 0.0) for thread in used)
            if cpu > QUIET_SHARE * (now - at):
                self.worked.append((round(now - began, 3), round(cpu, 4)))
                last = now
            before, at = used, now
            if now - last > 0.5:
                break
        return last - began

    def kill(self) -> None:
        """`kill -9` of the service; the engine ends with its input."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


class Memory:
    """Reads a server's memory every second while it lives: points of (seconds, megabytes)."""

    def __init__(self, server: Server) -> None:
        """Begin to read."""
        self.points: list[tuple[float, float]] = []
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        began = time.monotonic()
        while not self._over.wait(1.0):
            self.points.append((round(time.monotonic() - began, 1), self._server.megabytes()))

    def end(self) -> list[tuple[float, float]]:
        """Stop reading; the points."""
        self._over.set()
        self._thread.join()
        return self.points


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def start_ours(environment: Mapping[str, str] | None = None, *, port: int = 0) -> Server:
    """`understudy serve`, not yet ready."""
    port = port or free_port()
    command = [sys.executable, "-m", "api", "serve", "--port", str(port)]
    return Server(command, port=port, ready="/health/ready", environment=environment or {})


def start_llama_server(weights: str, *, context_tokens: int, threads: int) -> Server:
    """The packaged `llama_cpp.server` on a weights file, not yet ready."""
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", weights, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--n_ctx", str(context_tokens), "--n_threads", str(threads)]
    command += ["--n_threads_batch", str(threads), "--interrupt_requests", "False"]
    return Server(command, port=port, ready="/v1/models", environment={})


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """A server that is ready, and is stopped at the end."""
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()
