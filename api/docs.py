"""GET /schema and /schema/openapi.json: the API's documentation, which loads nothing from another host."""

from __future__ import annotations

import functools
import html
import json
from typing import Any

from litestar import Controller, Response, get

from api.schema import document

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
h1,h2{line-height:1.2}h2{margin-top:2.5rem;border-top:1px solid #ccc;padding-top:1rem;font-size:1.15rem}
h2 b{font-family:monospace;text-transform:uppercase;margin-right:.5rem}h2 code{font-size:1.1rem}
pre{background:#f4f4f2;padding:.75rem;overflow:auto;font-size:.85rem;max-height:24rem}
td{padding:.15rem .75rem .15rem 0;vertical-align:top}summary{cursor:pointer}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#181818}pre{background:#262626}a{color:#8ab4f8}}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class DocumentationController(Controller):
    """The OpenAPI document and a page that shows it."""

    path = "/schema"
    opt = {"scope": "none"}  # noqa: RUF012  # Litestar reads it once

    @get("/openapi.json", sync_to_thread=True)
    def openapi(self) -> Response[bytes]:
        """The OpenAPI 3.1 document."""
        return Response(_openapi(), media_type="application/json")

    @get("/", sync_to_thread=True)
    def page(self) -> Response[bytes]:
        """The document as a page to read."""
        return Response(_page(), media_type="text/html", headers={"Content-Security-Policy": POLICY})


# Both are made once: they are open to everybody, and take tens of milliseconds.
@functools.cache
def _openapi() -> bytes:
    return json.dumps(document()).encode()


@functools.cache
def _page() -> bytes:
    return page(document()).encode()


def page(openapi: dict[str, Any]) -> str:
    """The document as one HTML page without script, font or image."""
    info = openapi["info"]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=width=device-width>",
        f"<title>{_text(info['title'])}</title><style>{STYLE}</style></head><body>",
        f"<h1>{_text(info['title'])} {_text(info['version'])}</h1><p>{_text(info['description'])}</p>",
        "<p><a href=/schema/openapi.json>OpenAPI document</a></p>",
    ]
    for path, methods in openapi["paths"].items():
        parts += [_operation(path, method, said) for method, said in methods.items()]
    parts.append("<h2>Types</h2>")
    for name, schema in openapi["components"]["schemas"].items():
        parts.append(f"<details id={_text(name)}><summary>{_text(name)}</summary>{_block(schema)}</details>")
    return "".join([*parts, "</body></html>"])


def _operation(path: str, method: str, said: dict[str, Any]) -> str:
    parts = [
        f"<section id={_text(said['operationId'])}><h2><b>{_text(method)}</b><code>{_text(path)}</code></h2>",
        f"<p><strong>{_text(said['summary'])}.</strong> {_text(said['description'])}</p>",
    ]
    if "requestBody" in said:
        parts += [_content("Request", said["requestBody"]["content"], shown=True)]
    for status, response in said["responses"].items():
        title = f"{status} {response['description']}"
        parts.append(_content(title, response["content"], shown=status == "200"))
    return "".join([*parts, "</section>"])


def _content(title: str, content: dict[str, Any], *, shown: bool) -> str:
    opened = " open" if shown else ""
    return "".join(
        f"<details{opened}><summary>{_text(title)} <small>{_text(kind)}{_named(media['schema'])}</small></summary>"
        f"{_block(media['example'])}</details>"
        for kind, media in content.items()
    )


def _named(schema: dict[str, Any]) -> str:
    """A link to the named type that a schema refers to, where there is one."""
    reference = schema.get("$ref") or schema.get("items", {}).get("$ref", "")
    name = _text(reference.rpartition("/")[2])
    return f" · <a href=#{name}>{name}</a>" if name else ""


def _block(value: object) -> str:
    said = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{_text(said)}</pre>"


def _text(value: str) -> str:
    return html.escape(value)
