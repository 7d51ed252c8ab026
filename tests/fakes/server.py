"""A real server on loopback for the time of a test: the application in a thread, stopped in order at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from api.app import create_app
from api.service import Answering
from api.serving import address, bind, server_config
from rag.settings import Settings


@contextmanager
def served(build: Callable[[Settings], Answering], settings: Settings | None = None) -> Iterator[str]:
    """The URL of a server that runs in a thread and has been stopped in order at the end."""
    listening = bind("127.0.0.1", 0)
    settings = settings or Settings()
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
    while httpx.get(f"{url}/health/ready").status_code != 200:
        assert time.monotonic() < deadline, "the server was not ready in time"
        time.sleep(0.01)
