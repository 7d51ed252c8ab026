"""HTTP that cannot be read is refused as a problem too. Knows no application: none is reached.

uvicorn answers such bytes itself, in plain text; this replaces only what it says.
"""

from __future__ import annotations

import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.logs import HEADER
from api.problems import MEDIA_TYPE, unreadable


class ProblemProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 over h11."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's sentence names no way out
        """Refuse what was sent, and close the connection: what follows on it cannot be told apart from it."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            problem = unreadable(uuid.uuid4().hex)
            body = problem.model_dump_json().encode()
            headers = [
                ("content-type", MEDIA_TYPE),
                ("content-length", str(len(body))),
                (HEADER.lower(), problem.request_id),
                ("connection", "close"),
            ]
            reason = problem.title.encode()
            parts = (h11.Response(status_code=problem.status, headers=headers, reason=reason), h11.Data(data=body))
            for event in (*parts, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
