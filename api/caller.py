"""Who asks, and what that one may do: a key's holder, the user of this machine, or nobody. Knows no key and no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rag.errors import UnknownDomain

Scope = Literal["read", "ingest", "admin"]
"""read: ask and look up · ingest: bring documents in and remove them · admin: everything else. None implies another."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """One who asks. `domains`: None for every domain, those that are still to come among them."""

    id: str
    scopes: frozenset[Scope]
    domains: frozenset[str] | None
    requests_per_minute: int | None = None

    @property
    def turn(self) -> str:
        """Whose turn its questions take: each key has its own, whoever comes without one shares nothing with a key."""
        return "" if self is LOCAL else self.id

    def may(self, domain: str) -> bool:
        """Whether this caller may know of a domain; asks nothing of what is stored."""
        return self.domains is None or domain in self.domains

    def require(self, domain: str) -> None:
        """Raise UnknownDomain where the caller may not know of the domain, whether it is stored or not."""
        if not self.may(domain):
            raise UnknownDomain.named(domain)


LOCAL = Caller("local", frozenset(SCOPES), None)
"""The user of this machine, as long as no key was ever created."""

NOBODY = Caller("", frozenset(), frozenset())
"""Whoever came without a key, for what is open to everybody."""
