"""A key of one domain never gets a byte of another, whatever it sends to whichever route.

The routes are those that the application has, the bodies those that its document shows, altered. The same request goes
to two services: one that holds the foreign domain, full of a mark and of what its owner did there, and one that never
heard of it. Neither the mark nor a difference may show.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.routes import HTTPRoute

from api.app import create_app
from api.auth import OPEN, scope_of
from api.caller import SCOPES
from api.examples import DOMAIN
from api.jobs import ENDED
from api.keys import FILE, Keys
from api.schema import document
from rag.settings import DataSettings, LimitSettings, ServerSettings, Settings
from tests.fakes.tenants import Tenants, mark

HELD = "held-by-another"
"""Stands in a drawn request for an id that the foreign domain's owner holds."""

MINE, FOREIGN, MISSING = "mine", "b7f3e1d9c5a20864", "c0ffee0ddba11fed"
EXAMPLES = 10_000
Json = Any


def routes(app: Litestar) -> list[tuple[str, str]]:
    """(method, path with {parameters}) of everything that is served."""
    return sorted(
        (method, route.path) for route in app.routes if isinstance(route, HTTPRoute) for method in route.methods
    )


def bodies() -> dict[tuple[str, str], tuple[str, Json]]:
    """(method, path) to the media type and example of its body, as the document says."""
    found = {}
    for path, methods in document()["paths"].items():
        for method, said in methods.items():
            for kind, media in said.get("requestBody", {}).get("content", {}).items():
                found[method.upper(), path] = (kind, media.get("example") or {})
    return found


def plain(path: str) -> str:
    """A route's path as the document writes it."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


@dataclass
class World:
    """One service under test, with its client."""

    app: Litestar
    client: httpx.AsyncClient


class Worlds:
    """Both services on one event loop, with the same keys."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.held: list[str] = []
        """Ids of what the foreign domain's owner was given: jobs, answers."""
        keys = Keys(folder / "with")
        self.mine = keys.create("mine", scopes=SCOPES, domains=[MINE])[1]
        self.readable = keys.create("mine", scopes=["read"], domains=[MINE])[1]
        self.foreign = keys.create("foreign", scopes=SCOPES, domains=[FOREIGN])[1]
        self.spoilt = self.foreign.rsplit("_", 1)[0] + self.mine[-44:]
        (folder / "without").mkdir()
        (folder / "without" / FILE).write_bytes((folder / "with" / FILE).read_bytes())
        self.with_it, self.without = self.runner.run(self._begin(folder))

    async def _begin(self, folder: Path) -> tuple[World, World]:
        """Both open, in a task of their own that closes them too, as their task groups want it."""
        opened: asyncio.Future[tuple[World, World]] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

        async def live() -> None:
            async with AsyncExitStack() as stack:
                with_it = await open_world(folder / "with", stack, MINE, FOREIGN)
                await self._live_in(with_it)
                opened.set_result((with_it, await open_world(folder / "without", stack, MINE)))
                await self.ended.wait()

        self.life = asyncio.create_task(live())
        either: list[asyncio.Future[Any]] = [self.life, opened]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return opened.result()

    async def _live_in(self, world: World) -> None:
        """Let the foreign domain's owner use every documented operation, so that there is something to find."""
        headers = {"Authorization": f"Bearer {self.foreign}"}
        for (method, path), (kind, example) in bodies().items():
            url = path.replace("{domain}", FOREIGN).replace("{id}", mark(FOREIGN))
            if kind == "application/json":
                body = copy.deepcopy(example)
                for at in leaves(body):
                    if names_domain(body, at):
                        put(body, at, FOREIGN)
                    elif at[-1] in ("question", "content"):
                        put(body, at, mark(FOREIGN))
                response = await world.client.request(method, url, json=body, headers=headers)
            else:
                files = {"files": (f"{mark(FOREIGN)}.md", mark(FOREIGN).encode())}
                response = await world.client.request(method, url, files=files, headers=headers)
            self.held += re.findall(r'"id": ?"([^"]+)"', response.text)

    def ask(self, world: World, request: dict[str, Any]) -> httpx.Response:
        return self.runner.run(world.client.request(**request))

    def settle(self) -> None:
        """Wait for the jobs of one's own domain, which may be done in one world and at work in the other."""
        headers = {"Authorization": f"Bearer {self.mine}"}
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


async def open_world(data: Path, stack: AsyncExitStack, *names: str) -> World:
    """A service over some domains that is ready."""
    settings = Settings(
        data=DataSettings(directory=data),
        limits=LimitSettings(requests_per_minute=0),
        server=ServerSettings(kept_answers=100),
    )
    app = create_app(settings, lambda _: Tenants(*names))
    await stack.enter_async_context(app.lifespan())
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60)
    await stack.enter_async_context(client)
    while (await client.get("/health/ready")).status_code != 200:
        await asyncio.sleep(0.01)
    return World(app, client)


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


def asking(path: str, domain: str) -> Json:
    """The documented body of an operation, about a domain."""
    body = copy.deepcopy(BODIES["POST", path][1])
    for at in leaves(body):
        if names_domain(body, at):
            put(body, at, domain)
    return body


def put(value: Json, at: tuple[Any, ...], new: Json) -> None:
    for key in at[:-1]:
        value = value[key]
    value[at[-1]] = new


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    opened = Worlds(tmp_path_factory.mktemp("worlds"))
    yield opened
    opened.close()


APP = create_app(Settings(), lambda _: Tenants(MINE))
ROUTES = routes(APP)
PATHS_SAID = document()["paths"]
ASKED = [route for route in ROUTES if not route[1].startswith("/schema")]
"""The documentation is made of the code alone, and takes longer than everything else here together."""
BODIES = bodies()
NAMES = st.sampled_from([FOREIGN, FOREIGN, FOREIGN, MISSING, MINE, MINE, "", "*", FOREIGN.upper(), f"../{FOREIGN}"])
TEXTS = st.one_of(
    NAMES,
    st.just(HELD),
    st.sampled_from([f"{mark(MINE)}.md", f"{FOREIGN}/a.md", f"understudy/{FOREIGN}", "How often?", "1", "\ud800", "é"]),
    st.text(max_size=12),
)
VALUES = st.one_of(TEXTS, st.none(), st.integers(-2, 10**6), st.booleans(), st.lists(NAMES, max_size=2))


def _encodes(text: str) -> bool:
    return text.isprintable() and "\ud800" not in text


ROUTE = st.sampled_from(ASKED)
KEY = st.sampled_from(["mine", "mine", "mine", "readable", "spoilt", "none"])
WHICH = st.integers(0, 63)
PATHS = TEXTS.filter(_encodes)
HEADERS = st.sampled_from([{}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Domain": FOREIGN}])
PARAMS = st.dictionaries(st.sampled_from(["domain", "after", "limit", "key"]), NAMES, max_size=1)
FILES = st.tuples(PATHS.filter(lambda name: FOREIGN not in name.lower()), st.binary(max_size=20))
"""What is uploaded may be shown again: a name of its own is nobody else's byte."""
PLACES = {asked: st.lists(st.sampled_from(leaves(body)), max_size=2) for asked, (kind, body) in BODIES.items() if body}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, int, dict[str, Any]]:
    """Whose key comes, which of the other's ids stands for `HELD`, and a request: mostly well-formed."""
    method, path = draw(ROUTE)

    def drawn(found: re.Match[str]) -> str:
        text = draw(NAMES if found[1] == "domain" else PATHS)
        return quote(text, safe="/")

    headers = {"X-Request-ID": "r", **draw(HEADERS)}
    url = re.sub(r"\{(\w+):\w+\}", drawn, path)
    request: dict[str, Any] = {"method": method, "url": url, "headers": headers, "params": draw(PARAMS)}
    asked = (method, plain(path))
    kind, example = BODIES.get(asked, ("", None))
    if kind == "application/json":
        body = copy.deepcopy(example)
        for at in leaves(body):
            if names_domain(body, at):
                put(body, at, draw(NAMES))
        for at in draw(PLACES[asked]):
            put(body, at, draw(VALUES))
        request["content"] = json.dumps(body).encode()
        headers["Content-Type"] = kind
    elif kind == "multipart/form-data":
        request["files"] = {"files": draw(FILES)}
    return draw(KEY), draw(WHICH), request


def shown(response: httpx.Response) -> bytes:
    """Everything that a caller gets to see."""
    headers = b"".join(name + value for name, value in response.headers.raw)
    return headers + response.content


def check_nothing_leaks(worlds: Worlds, key: str, which: int, request: dict[str, Any]) -> None:
    if worlds.held:
        identity = worlds.held[which % len(worlds.held)]
        request["url"] = request["url"].replace(HELD, identity)
        if "content" in request:
            request["content"] = request["content"].replace(HELD.encode(), identity.encode())
    sent = repr(request)
    if key != "none":
        request["headers"]["Authorization"] = f"Bearer {getattr(worlds, key)}"
    found = worlds.ask(worlds.with_it, dict(request))
    assert mark(FOREIGN).encode() not in shown(found)
    if FOREIGN not in sent:
        assert FOREIGN.encode() not in shown(found)
    without = worlds.ask(worlds.without, dict(request))
    assert found.status_code == without.status_code
    if found.status_code == 202:
        worlds.settle()
    if found.status_code >= 400:
        assert found.content == without.content
        assert found.headers == without.headers


@pytest.mark.timeout(900)  # 40 s on two idle cores
@settings(max_examples=EXAMPLES, database=None)
@given(requests())
def test_a_key_of_one_domain_gets_no_byte_of_another(worlds: Worlds, drawn: tuple[str, int, dict[str, Any]]) -> None:
    check_nothing_leaks(worlds, *drawn)


TELLING = (
    ("POST", "/v1/answers"),
    ("POST", "/v1/answers/stream"),
    ("POST", "/v1/answers/batch"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/passages"),
    ("GET", "/v1/domains"),
    ("GET", "/v1/domains/{domain}/documents"),
    ("GET", "/v1/domains/{domain}/documents/{id}"),
)
"""Operations that tell something of a domain."""


@pytest.mark.parametrize(
    ("method", "path"), [found for found in TELLING if found[0].lower() in PATHS_SAID.get(found[1], {})]
)
def test_the_mark_is_there_to_be_found_by_its_owner(worlds: Worlds, method: str, path: str) -> None:
    """So that the property above can fail."""
    url = path.replace("{domain}", FOREIGN).replace("{id}", f"{mark(FOREIGN)}.md")
    request: dict[str, Any] = {"method": method, "url": url, "headers": {"X-API-Key": worlds.foreign}}
    if method == "POST":
        request["json"] = asking(path, FOREIGN)
    assert mark(FOREIGN).encode() in worlds.ask(worlds.with_it, request).content


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] != "OPTIONS"])
def test_every_route_declares_what_it_needs(method: str, path: str) -> None:
    (route,) = [route for route in APP.routes if isinstance(route, HTTPRoute) and route.path == path]
    handler = route.route_handler_map[method][0]  # type: ignore[index]  # a method by its name
    assert handler.opt.get("scope") in (*SCOPES, OPEN), "declare opt = {'scope': ...} on the controller or handler"
    operation = PATHS_SAID.get(plain(path), {}).get(method.lower())
    if operation is not None:
        assert bool(operation["security"]) == (scope_of(handler) != OPEN)
        assert scope_of(handler) == OPEN or f"Needs a key of scope {scope_of(handler)}." in operation["description"]
