"""A real server on loopback for the time of a test: the application in a thread, stopped in order at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import uvicorn

from api.app import create_app
from api.service import Answering
from api.serving import address, bind, server_config
from rag.settings import DataSettings, Settings


@contextmanager
def served(build: Callable[[Settings], Answering], settings: Settings | None = None) -> Iterator[str]:
    """The URL of a server that runs in a thread and has been stopped in order at the end.

    settings: without them its data directory is an empty one, so that keys made in the checkout count for nothing.
    """
    with (
        TemporaryDirectory() as folder,
        _running(build, settings or Settings(data=DataSettings(directory=Path(folder)))) as url,
    ):
        yield url


@contextmanager
def _running(build: Callable[[Settings], Answering], settings: Settings) -> Iterator[str]:
    listening = bind("127.0.0.1", 0)
    server = uvicorn.Server(server_config(create_app(settings, build), settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield address(listening)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()


def wait_until_ready(url: str, seconds: float = 60.0) -> None:
    """Return once questions are taken."""
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=url) as client:
        while (health := client.get("/health/ready")).status_code != 200:
            assert time.monotonic() < deadline, f"the server was not ready in time: {health.text}"
            time.sleep(0.05)
