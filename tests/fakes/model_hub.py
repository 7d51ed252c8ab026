"""A model hub on loopback: files by repository and path, as huggingface_hub asks for them. Knows no model."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ModelHub:
    """Serves `files`: 'owner/repository/path' to content. Set `HF_ENDPOINT` to its `url`."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.downloads: list[str] = []
        self.cut_at: int | None = None
        """Break the next download off after so many bytes."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextlib.contextmanager
def hub_with(files: dict[str, bytes]) -> Iterator[ModelHub]:
    """A hub for the length of a with statement."""
    hub = ModelHub(files)
    try:
        yield hub
    finally:
        hub.close()


def _handler(hub: ModelHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/main/(.+)", self.path)
            path = f"{match[1]}/{match[2]}" if match else ""
            content = hub.files.get(path)
            if content is None:
                known = bool(match) and any(name.startswith(f"{match[1]}/") for name in hub.files) if match else False
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            part = content[int(begin[1]) :] if begin else content
            self.send_response(206 if begin else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", hashlib.sha1(content).hexdigest())  # noqa: S324  # as git names a commit
            self.send_header("Content-Length", str(len(part)))
            if begin:
                self.send_header("Content-Range", f"bytes {begin[1]}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if not with_body:
                return
            hub.downloads.append(path)
            if hub.cut_at is not None:
                part, hub.cut_at = part[: hub.cut_at], None
                self.close_connection = True
            self.wfile.write(part)

    return Handler
