"""A key of one domain never gets a byte of another, whatever it sends to whichever route.

The routes are those that the application has, the bodies those that its document shows, altered. The same request goes
to two services: one that holds the foreign domain, full of a mark and of what its owner did there, and one that never
heard of it. Neither the mark nor a difference may show: status, headers and body are compared, of refusals as they
stand, of successes but for the ids and times that every service makes up (`varying`).
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
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
from api.schema import document
from rag.settings import Settings
from tests.fakes.embedder import HashedWords
from tests.fakes.tenants import Tenants, mark
from tests.fakes.worlds import FOREIGN, MINE, Json, Worlds, bodies, leaves, names_domain, put

HELD = "held-by-another"
"""Stands in a drawn request for an id that the foreign domain's owner holds."""

MISSING = "c0ffee0ddba11fed"
EXAMPLES = 10_000


def routes(app: Litestar) -> list[tuple[str, str]]:
    """(method, path with {parameters}) of everything that is served."""
    return sorted(
        (method, route.path) for route in app.routes if isinstance(route, HTTPRoute) for method in route.methods
    )


def plain(path: str) -> str:
    """A route's path as the document writes it."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def asking(path: str, domain: str) -> Json:
    """The documented body of an operation, about a domain."""
    body = copy.deepcopy(BODIES["POST", path][1])
    for at in leaves(body):
        if names_domain(body, at):
            put(body, at, domain)
    return body


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    opened = Worlds(tmp_path_factory.mktemp("worlds"))
    yield opened
    opened.close()


APP = create_app(Settings(), lambda _: Tenants(MINE))
ROUTES = routes(APP)
PATHS_SAID = document()["paths"]
PLAIN = ("/", "/health/live", "/health/ready", "/page/{name:str}", "/report")
"""Paths that no domain is behind; asked seldom. The documentation is made of the code alone, and never asked here: it
takes longer than everything else together."""
ASKED = [route for route in ROUTES if route[0] != "OPTIONS" and route[1] not in PLAIN and "/schema" not in route[1]]
OTHERS = [route for route in ROUTES if route[0] == "OPTIONS" or route[1] in PLAIN]
BODIES = bodies(embedder=HashedWords().name)
NAMES = st.sampled_from([*[MINE] * 18, *[FOREIGN] * 12, *[MISSING] * 3, "", "*", FOREIGN.upper(), f"../{FOREIGN}"])
TEXTS = st.one_of(
    NAMES,
    st.just(HELD),
    st.sampled_from([f"{mark(MINE)}.md", f"{FOREIGN}/a.md", f"understudy/{FOREIGN}", "How often?", "1", "\ud800", "é"]),
    st.text(max_size=12),
)
VALUES = st.one_of(TEXTS, st.none(), st.integers(-2, 10**6), st.booleans(), st.lists(NAMES, max_size=2))


def _encodes(text: str) -> bool:
    return bool(text) and text.isprintable() and "\ud800" not in text


SELDOM = ("GET", "/metrics"), ("DELETE", "/v1/domains/{domain:str}"), ("DELETE", "/v1/domains/{domain:str}/documents")
"""Long to render, or it leaves little to ask for."""
OFTEN = [route for route in ASKED if route not in SELDOM] * 3
POSTED = [route for route in ASKED if route[0] == "POST"] * 3
ROUTE = st.sampled_from([*OFTEN, *POSTED, *SELDOM])
KEY = st.sampled_from([*["mine"] * 16, "none", *["mine"] * 8, *["readable"] * 8, "spoilt"])
WHICH = st.integers(0, 63)
PATHS = TEXTS.filter(_encodes)
HEADERS = st.sampled_from([{}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Domain": FOREIGN}])
SOUND = st.sampled_from([{}, {}, {"where": "line=1"}, {"limit": "2"}, {"after": FOREIGN}])
PARAMS = st.one_of(
    *[SOUND] * 9,
    st.dictionaries(st.sampled_from(["domain", "after", "limit", "key", "where"]), NAMES, max_size=1),
)
WHOLE = st.sampled_from([("note.md", b"A note of one's own."), ("rows.csv", b"a,b\n1,2\n"), ("note.txt", b"")])
FILES = st.one_of(
    *[WHOLE] * 9,
    st.tuples(PATHS.filter(lambda name: FOREIGN not in name.lower()), st.binary(max_size=20)),
)
"""What is uploaded may be shown again: a name of its own is nobody else's byte."""
ALTERED = st.sampled_from([*[0] * 20, 1, 2])
"""How many places of a body are altered: most of the altered ones are refused before anything is looked up."""
PLACES = {asked: st.sampled_from(leaves(body)) for asked, (kind, body) in BODIES.items() if body}


Drawn = tuple[str, int, dict[str, Any]]


@st.composite
def requests(draw: st.DrawFn, route: st.SearchStrategy[tuple[str, str]] = ROUTE) -> Drawn:
    """Whose key comes, which of the other's ids stands for `HELD`, and a request: mostly well-formed."""
    method, path = draw(route)

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
        for _ in range(draw(ALTERED)):
            put(body, draw(PLACES[asked]), draw(VALUES))
        request["content"] = json.dumps(body).encode()
        headers["Content-Type"] = kind
    elif kind == "multipart/form-data":
        request["files"] = {"files": draw(FILES)}
    return draw(KEY), draw(WHICH), request


def shown(response: httpx.Response) -> bytes:
    """Everything that a caller gets to see."""
    headers = b"".join(name + value for name, value in response.headers.raw)
    return headers + response.content


JOB = frozenset({"id", "created", "seconds"})
"""Fields of a job that two services fill differently whatever they hold."""


def varying(request: dict[str, Any], response: httpx.Response) -> frozenset[str]:
    """Fields of a successful response that vary."""
    if response.status_code == 202 or request["url"].startswith("/v1/jobs"):
        return JOB
    return frozenset({"created"} if request["url"] == "/v1/chat/completions" else ())


def telling(request: dict[str, Any], response: httpx.Response, *, timed: bool) -> tuple[dict[str, str], Json]:
    """What a successful response says, headers and body, without what varies; timed: times of stages do too."""
    names, headers, body = varying(request, response), dict(response.headers), response.text
    if timed:
        body = re.sub(r'"milliseconds": ?[\d.e-]+', '"milliseconds":0', body)
    if names or body != response.text:
        headers.pop("content-length", None)
    if "location" in headers:
        headers["location"] = headers["location"].replace(response.json()["id"], "")
    return headers, bare(json.loads(body), names) if names and body else body


def bare(value: Json, names: frozenset[str]) -> Json:
    """A value of JSON, without what fields of some names hold."""
    if isinstance(value, list):
        return [bare(item, names) for item in value]
    if isinstance(value, dict):
        return {key: type(item).__name__ if key in names else bare(item, names) for key, item in value.items()}
    return value


def check_nothing_leaks(worlds: Worlds, key: str, which: int, request: dict[str, Any]) -> int:
    """The status that both answer with."""
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
        worlds.settle(worlds.mine)
    if found.status_code >= 400:
        assert found.content == without.content
        assert found.headers == without.headers
    else:
        assert telling(request, found, timed=worlds.timed) == telling(request, without, timed=worlds.timed)
    return found.status_code


@pytest.mark.timeout(900)  # 110 s of one core
def test_a_key_of_one_domain_gets_no_byte_of_another(worlds: Worlds) -> None:
    """Of ten tries nine and more carry a key and are well-formed enough to be looked up; every fourth one succeeds."""
    tries: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(requests())
    def holds(drawn: Drawn) -> None:
        key, _, request = drawn
        status = check_nothing_leaks(worlds, *drawn)
        tries["all"] += 1
        tries["looked up"] += key != "none" and status not in (400, 405)
        tries["succeeded"] += status < 400
        tries[f"{request['method']} {status}"] += 1

    holds()
    assert tries["all"] >= EXAMPLES
    assert tries["looked up"] >= 0.9 * tries["all"], tries
    assert tries["succeeded"] >= 0.25 * tries["all"], tries


@settings(max_examples=200, database=None)
@given(drawn=requests(st.sampled_from(OTHERS)))
def test_what_no_domain_is_behind_tells_of_none(worlds: Worlds, drawn: Drawn) -> None:
    """What may be asked of a path, its pages, and health: seldom, since they are the same for everybody."""
    check_nothing_leaks(worlds, *drawn)


def test_the_metrics_of_both_have_the_same_names_and_labels(worlds: Worlds) -> None:
    """They are for who may see every domain, and yet tell of none: how often something happened, not where."""
    headers = {"Authorization": f"Bearer {worlds.admin}"}
    found, without = (
        worlds.ask(world, {"method": "GET", "url": "/metrics", "headers": headers}).text
        for world in (worlds.with_it, worlds.without)
    )
    assert mark(FOREIGN) not in found
    assert FOREIGN not in found
    series = re.compile(r"^(?:# .*|[\w:]+(?:\{.*?\})?)", re.MULTILINE)
    assert series.findall(found) == series.findall(without)


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
