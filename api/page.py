"""GET / and /page/…: the page to ask at, as files of this package, under a policy that lets nothing else be loaded."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked for anew each time, and answered with 304 unless the package changed.
    "Cache-Control": "no-cache",
}


class PageController(Controller):
    """The page, open to everybody: it shows nothing until a key, or none where none is needed, has opened the API."""

    opt = {"scope": "none"}  # noqa: RUF012  # Litestar reads it once

    @get("/", sync_to_thread=False)
    def index(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """The page itself."""
        return _served("index.html", request)

    @get("/page/{name:str}", sync_to_thread=False)
    def part(self, name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        """A style sheet, a script or a picture of it."""
        if name not in parts():
            raise NotFoundException
        return _served(name, request)


@cache
def parts() -> dict[str, tuple[bytes, str]]:
    """Every file of the page by name: its bytes and its entity tag."""
    found = {}
    for file in files("api").joinpath("static").iterdir():
        if file.name.endswith(tuple(TYPES)):
            content = file.read_bytes()
            found[file.name] = (content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found


def _served(name: str, request: Request[Any, Any, Any]) -> Response[bytes]:
    content, tag = parts()[name]
    headers = HEADERS | {"ETag": tag}
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(b"", status_code=304, headers=headers)
    return Response(content, media_type=TYPES["." + name.rpartition(".")[2]], headers=headers)
