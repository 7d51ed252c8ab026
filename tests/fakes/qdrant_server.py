"""Qdrant's REST interface on loopback over qdrant-client's local mode: its wire, its refusals, its life as a process.

Bodies are read by the models that qdrant-client makes from Qdrant's own description of the interface, so that what a
server would refuse as malformed is refused here too. Vectors are compared one by one and no payload index is built:
what is found is the local mode's, which qdrant-client tests against a server. Knows nothing of the adapter.

    python -m tests.fakes.qdrant_server FOLDER PORT [API_KEY]     prints its address; port 0: any
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import urllib.parse
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient
from qdrant_client import models as q

INSERTED: TypeAdapter[Any] = TypeAdapter(q.PointInsertOperations)
CHOSEN: TypeAdapter[Any] = TypeAdapter(q.PointsSelector)

Route = Callable[[QdrantClient, str, Any], Any]
"""From the store, the name of a collection and a request's body to what its answer holds as `result`."""


class Refused(Exception):
    """A request that is answered with a status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _create(store: QdrantClient, name: str, body: Any) -> bool:
    said = q.CreateCollection.model_validate(body)
    if store.collection_exists(name):
        raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
    return store.create_collection(name, vectors_config=said.vectors, sparse_vectors_config=said.sparse_vectors)


def _update(store: QdrantClient, name: str, body: Any) -> bool:
    said = q.UpdateCollection.model_validate(body)
    return store.update_collection(name, vectors_config=said.vectors)


def _index(store: QdrantClient, name: str, body: Any) -> Any:
    said = q.CreateFieldIndex.model_validate(body)
    return store.create_payload_index(name, said.field_name, said.field_schema)


def _upsert(store: QdrantClient, name: str, body: Any) -> Any:
    points = INSERTED.validate_python(body)
    if not isinstance(points, q.PointsList):
        raise Refused(501, "only lists of points are taken here")
    return store.upsert(name, points.points)


def _delete(store: QdrantClient, name: str, body: Any) -> Any:
    return store.delete(name, CHOSEN.validate_python(body))


def _retrieve(store: QdrantClient, name: str, body: Any) -> Any:
    said = q.PointRequest.model_validate(body)
    return store.retrieve(name, said.ids, with_payload=_payload(said), with_vectors=said.with_vector or False)


def _count(store: QdrantClient, name: str, body: Any) -> Any:
    return store.count(name, q.CountRequest.model_validate(body).filter)


def _scroll(store: QdrantClient, name: str, body: Any) -> Any:
    said = q.ScrollRequest.model_validate(body)
    records, following = store.scroll(
        name,
        said.filter,
        limit=said.limit or 10,
        offset=said.offset,
        with_payload=_payload(said),
        with_vectors=said.with_vector or False,
    )
    return {"points": records, "next_page_offset": following}


def _query(store: QdrantClient, name: str, body: Any) -> Any:
    (found,) = store.query_batch_points(name, [q.QueryRequest.model_validate(body)])
    return found


def _queries(store: QdrantClient, name: str, body: Any) -> Any:
    return store.query_batch_points(name, q.QueryRequestBatch.model_validate(body).searches)


def _alias(store: QdrantClient, _: str, body: Any) -> Any:
    return store.update_collection_aliases(q.ChangeAliasesOperation.model_validate(body).actions)


def _payload(said: Any) -> Any:
    return True if said.with_payload is None else said.with_payload


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/collections"): lambda store, _, __: store.get_collections(),
    ("GET", "/aliases"): lambda store, _, __: store.get_aliases(),
    ("POST", "/collections/aliases"): _alias,
    ("GET", "/collections/NAME/exists"): lambda store, name, _: {"exists": store.collection_exists(name)},
    ("PUT", "/collections/NAME"): _create,
    ("GET", "/collections/NAME"): lambda store, name, _: store.get_collection(name),
    ("PATCH", "/collections/NAME"): _update,
    ("DELETE", "/collections/NAME"): lambda store, name, _: store.delete_collection(name),
    ("PUT", "/collections/NAME/index"): _index,
    ("PUT", "/collections/NAME/points"): _upsert,
    ("POST", "/collections/NAME/points"): _retrieve,
    ("POST", "/collections/NAME/points/delete"): _delete,
    ("POST", "/collections/NAME/points/count"): _count,
    ("POST", "/collections/NAME/points/scroll"): _scroll,
    ("POST", "/collections/NAME/points/query"): _query,
    ("POST", "/collections/NAME/points/query/batch"): _queries,
}
PATHS = [
    (method, re.compile(path.replace("NAME", r"([^/]+)") + "$"), route) for (method, path), route in ROUTES.items()
]


class QdrantProcess:
    """The server as a process of its own, to be ended and started at any moment; its collections stay in its folder."""

    def __init__(self, folder: Path, *, port: int = 0, api_key: str = "") -> None:
        self._folder, self._api_key = folder, api_key
        command = [sys.executable, "-m", "tests.fakes.qdrant_server", str(folder), str(port), api_key]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().strip()

    def close(self) -> None:
        """A second call does nothing."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()

    def again(self) -> QdrantProcess:
        """The same server at its address, after it was closed."""
        return QdrantProcess(self._folder, port=int(self.url.rpartition(":")[2]), api_key=self._api_key)


class QdrantServer:
    """The server; one request at a time, as the store has it. Raises Refused for what a client may not do."""

    def __init__(self, store: QdrantClient, *, port: int, api_key: str) -> None:
        self._store, self._api_key = store, api_key
        self._one = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def serve(self) -> None:
        self._http.serve_forever(0.02)

    def answer(self, method: str, path: str, body: Any, api_key: str) -> Any:
        if self._api_key and api_key != self._api_key:
            raise Refused(401, "Must provide an API key or an Authorization bearer token")
        for verb, pattern, route in PATHS:
            if verb == method and (found := pattern.match(path)):
                name = urllib.parse.unquote(found[1]) if found.groups() else ""
                with self._one:
                    known = not name or route is _create or path.endswith("/exists") or method == "DELETE"
                    if not known and not self._store.collection_exists(name):
                        raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
                    return route(self._store, name, body)
        raise Refused(404, f"no {method} {path} here")


def _handler(server: QdrantServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = self.path.partition("?")[0]
            try:
                result = server.answer(self.command, path, body, self.headers.get("api-key", ""))
                status, said = 200, {"result": _plain(result), "status": "ok", "time": 0.0}
            except Refused as refused:
                status, said = refused.status, {"status": {"error": str(refused)}, "time": 0.0}
            except (ValidationError, ValueError) as error:
                status, said = 400, {"status": {"error": f"Format error in JSON body: {error}"}, "time": 0.0}
            answer = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815  # http.server's names

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _plain(result: Any) -> Any:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, dict):
        return {key: _plain(value) for key, value in result.items()}
    return [_plain(each) for each in result] if isinstance(result, list) else result


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the local mode tells that it builds no payload index
    running = QdrantServer(QdrantClient(path=sys.argv[1]), port=int(sys.argv[2]), api_key="".join(sys.argv[3:]))
    print(running.url, flush=True)
    running.serve()
