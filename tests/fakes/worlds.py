"""Two services side by side that differ by one domain, which one of them holds and the other never heard of.

Its owner has used the first one: jobs, answers and feedback are there to be found. A domain of another caller's is in
both. Knows nothing of what is asked of them.
"""

from __future__ import annotations

import asyncio
import copy
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
from litestar import Litestar

from api.app import create_app
from api.caller import SCOPES
from api.examples import DOMAIN
from api.jobs import ENDED
from api.keys import FILE, Keys
from api.schema import document
from api.service import Answering
from rag.settings import DataSettings, LimitSettings, ServerSettings, Settings
from tests.fakes.embedder import HashedWords
from tests.fakes.tenants import Tenants, mark

MINE, FOREIGN = "mine", "b7f3e1d9c5a20864"
Json = Any
Build = Callable[[Settings, tuple[str, ...]], Answering]


def tenants(_: Settings, names: tuple[str, ...]) -> Answering:
    """Small pipelines, full of each domain's mark."""
    return Tenants(*names)


def bodies(*, embedder: str) -> dict[tuple[str, str], tuple[str, Json]]:
    """(method, path) to the media type and example of its body, as the document says; embedder: its name there."""
    found = {}
    for path, methods in document()["paths"].items():
        for method, said in methods.items():
            for kind, media in said.get("requestBody", {}).get("content", {}).items():
                example = copy.deepcopy(media.get("example") or {})
                if path == "/v1/embeddings":
                    example["model"] = embedder
                found[method.upper(), path] = (kind, example)
    return found


def leaves(value: Json, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the plain values of an example stand."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    deeper = [leaf for key, item in items for leaf in leaves(item, (*at, key))]
    return deeper if isinstance(value, dict | list) else [at]


def taken(value: Json, at: tuple[Any, ...]) -> Json:
    for key in at:
        value = value[key]
    return value


def names_domain(value: Json, at: tuple[Any, ...]) -> bool:
    """Whether the example's domain stands there, be it as a model's name for clients that know only models."""
    said = taken(value, at)
    return isinstance(said, str) and said.rpartition("/")[2] == DOMAIN.name


def put(value: Json, at: tuple[Any, ...], new: Json) -> None:
    for key in at[:-1]:
        value = value[key]
    value[at[-1]] = new


@dataclass
class World:
    """One service under test, with its client."""

    app: Litestar
    client: httpx.AsyncClient


class Worlds:
    """Both services on one event loop, with the same keys."""

    def __init__(self, folder: Path, build: Build = tenants, *, embedder: str = HashedWords().name) -> None:
        """folder: data directories `with` and `without` the foreign domain; build: their pipelines, of an embedder."""
        self.build, self.embedder, self.timed = build, embedder, build is not tenants
        self.runner = asyncio.Runner()
        self.held: list[str] = []
        """Ids of what the foreign domain's owner was given: jobs, answers."""
        keys = Keys(folder / "with")
        self.mine = keys.create("mine", scopes=SCOPES, domains=[MINE])[1]
        self.readable = keys.create("mine", scopes=["read"], domains=[MINE])[1]
        self.foreign = keys.create("foreign", scopes=SCOPES, domains=[FOREIGN])[1]
        self.admin = keys.create("admin", scopes=SCOPES, domains=None)[1]
        self.spoilt = self.foreign.rsplit("_", 1)[0] + self.mine[-44:]
        (folder / "without").mkdir(exist_ok=True)
        (folder / "without" / FILE).write_bytes((folder / "with" / FILE).read_bytes())
        self.with_it, self.without = self.runner.run(self._begin(folder))
        for key in (self.foreign, self.mine):
            self.settle(key)

    async def _begin(self, folder: Path) -> tuple[World, World]:
        """Both open, in a task of their own that closes them too, as their task groups want it."""
        opened: asyncio.Future[tuple[World, World]] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

        async def live() -> None:
            async with AsyncExitStack() as stack:
                with_it = await open_world(folder / "with", stack, self.build, MINE, FOREIGN)
                self.held = await self._live_in(with_it, FOREIGN, self.foreign)
                without = await open_world(folder / "without", stack, self.build, MINE)
                for world in (with_it, without):
                    await self._live_in(world, MINE, self.mine)
                opened.set_result((with_it, without))
                await self.ended.wait()

        self.life = asyncio.create_task(live())
        either: list[asyncio.Future[Any]] = [self.life, opened]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return opened.result()

    async def _live_in(self, world: World, domain: str, key: str) -> list[str]:
        """Let a domain's owner use every documented operation, so that there is something to find: the ids given."""
        headers, given = {"Authorization": f"Bearer {key}"}, []
        for (method, path), (kind, example) in bodies(embedder=self.embedder).items():
            url = path.replace("{domain}", domain).replace("{id}", mark(domain))
            if kind == "application/json":
                body = copy.deepcopy(example)
                for at in leaves(body):
                    if names_domain(body, at):
                        put(body, at, domain)
                    elif at[-1] in ("question", "content"):
                        put(body, at, mark(domain))
                response = await world.client.request(method, url, json=body, headers=headers)
            else:
                files = {"files": (f"{mark(domain)}.md", mark(domain).encode())}
                response = await world.client.request(method, url, files=files, headers=headers)
            given += re.findall(r'"id": ?"([^"]+)"', response.text)
        return given

    def ask(self, world: World, request: dict[str, Any]) -> httpx.Response:
        return self.runner.run(world.client.request(**request))

    def settle(self, key: str) -> None:
        """Wait for the jobs that a key sees, which may be done in one world and at work in the other."""
        headers = {"Authorization": f"Bearer {key}"}
        for world in (self.with_it, self.without):
            while any(
                job["state"] not in ENDED
                for job in self.ask(world, {"method": "GET", "url": "/v1/jobs", "headers": headers}).json()
            ):
                time.sleep(0.01)

    def close(self) -> None:
        self.ended.set()
        self.runner.run(asyncio.wait_for(self.life, 30))
        self.runner.close()


async def open_world(data: Path, stack: AsyncExitStack, build: Build, *names: str) -> World:
    """A service over some domains that is ready."""
    settings = Settings(
        data=DataSettings(directory=data),
        limits=LimitSettings(requests_per_minute=0),
        server=ServerSettings(kept_answers=100),
    )
    app = create_app(settings, lambda given: build(given, names))
    await stack.enter_async_context(app.lifespan())
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60)
    await stack.enter_async_context(client)
    while (await client.get("/health/ready")).status_code != 200:
        await asyncio.sleep(0.01)
    return World(app, client)
