"""`serve`: the application on a socket until it is told to stop. Knows no route.

The socket is bound before the models load, so that a port that is taken is told at once.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn
from litestar import Litestar

from api.app import create_app
from api.keys import Keys
from api.logs import configure
from api.origins import is_loopback
from api.protocol import Patience, patient
from api.service import Answering
from api.stopping import DrainingServer
from rag.build import build_pipeline
from rag.errors import InvalidSettings, RagError
from rag.settings import Settings

log = logging.getLogger("understudy.api")


def serve(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    build: Callable[[Settings], Answering] = build_pipeline,
) -> None:
    """Serve until interrupted or terminated; what was asked is finished first (see api.stopping).

    Raises InvalidSettings for an address that may not or cannot be listened on, and what kept the pipeline
    from being built.
    """
    host = settings.server.host if host is None else host
    remote = not is_loopback(host)
    if remote and not Keys(settings.data.directory).all():
        raise InvalidSettings(
            f"{host} can be reached from other machines, and there is no key yet that would keep strangers out: create "
            "one with `understudy keys create NAME --all-domains`, or listen on 127.0.0.1"
        )
    listening = bind(host, settings.server.port if port is None else port)
    configure(settings.log.level, texts=settings.log.texts)
    log.info("listening, loading the models", extra={"fields": {"address": address(listening)}})
    failures: list[RagError] = []

    def on_built(failure: RagError | None) -> None:
        if failure is None:
            there = "a page to ask on: /, what it takes: /schema"
            print(f"Understudy answers on {address(listening)} ({there})", flush=True)  # noqa: T201  # asked for
        else:
            failures.append(failure)
            server.should_exit = True

    app = create_app(settings, build, on_built=on_built, remote=remote)
    server = DrainingServer(
        server_config(app, settings),
        drained=lambda: (app.state.service, app.state.observer),
        seconds=settings.server.drain_seconds,
    )
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn raises it again once everything is closed
    finally:
        listening.close()
    if failures:
        raise failures[0]


def server_config(app: Litestar, settings: Settings) -> uvicorn.Config:
    """How the application is served: no log of uvicorn's own, every refusal a problem, answers finished at the end."""
    patience = Patience(
        head_seconds=settings.server.head_seconds,
        body_seconds=settings.server.body_seconds,
        unread_seconds=settings.server.unread_seconds,
        connections=settings.server.max_connections,
    )
    return uvicorn.Config(
        app,
        http=patient(patience),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=int(settings.model.timeout_seconds) + 1,
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises InvalidSettings when the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        created = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise InvalidSettings(
            f"cannot listen on {host} port {port} ({error.strerror or error}): choose another by --port, 0 takes "
            "any free one"
        ) from error
    # Made anew from its descriptor, it knows that its protocol is TCP; only then asyncio sends without Nagle's
    # delay, which adds 40 ms to every answer (0.9 ms became 44 ms for /health/live on a kept connection).
    return socket.socket(fileno=created.detach())


def address(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
