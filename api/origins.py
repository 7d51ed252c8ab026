"""Whether a request without a key comes from this machine's user, and from no page of somewhere else.

A browser sends what any page tells it to, to loopback too. Two headers that no page can forge give it away: `Host`
(a foreign name that was made to resolve to loopback) and `Origin` (the page that asks). Knows no key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from rag.errors import NotAllowed

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; what they answer no foreign page may read, as nothing here allows it to."""


FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""What proxies add: behind one, a request of anybody comes from this machine."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check(method: str, headers: Mapping[str, str], *, listening: str) -> None:
    """Raise NotAllowed unless the request is the local user's own.

    listening: the address that the request came in at, which is a host's name too.
    """
    host = headers.get("host", "")
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    if host and not is_loopback(name) and name != listening:
        raise NotAllowed(
            f"without keys only requests to this machine itself are served, not to the host {name[:80]!r}: ask "
            "127.0.0.1, or create a key (`understudy keys create`)"
        )
    if any(header in headers for header in FORWARDED):
        raise NotAllowed(
            "without keys nothing is served through a proxy, whoever asks: create a key (`understudy keys create`)"
        )
    if method in SAFE:
        return
    origin = headers.get("origin")
    foreign = origin is not None and origin.partition("://")[2] != host
    if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise NotAllowed(
            "a page of another site may not ask here in the name of this machine's user: create a key "
            "(`understudy keys create`) and send it with each request"
        )
