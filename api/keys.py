"""The keys of a data directory: created, found and revoked in one file that holds no secret. Knows no HTTP.

A key is `understudy_<id>_<secret>`: the id is public, the secret 256 random bits that are shown once. Kept is its
sha256: a slow hash makes guesses of a poor password expensive, and of 2^256 equally likely secrets none is ever
guessed. The file is read anew whenever it was replaced, so that what another process created or revoked counts at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from api.caller import Caller, Scope
from rag.catalog import check_domain_name, storage_error, write_atomically
from rag.errors import KeysUnreadable, NotAuthenticated, UnknownKey
from rag.types import Value

FILE = "keys.json"
PREFIX = "understudy"
PRIVATE = 0o600

_KEY = re.compile(rf"{PREFIX}_(?P<id>[0-9a-f]{{12}})_[A-Za-z0-9_-]{{43}}", re.ASCII)
_NO_KEY = "0" * 64
"""Compared where no key has the id that came: the way through is the same."""


class Key(Value):
    """A key as it is kept."""

    id: str = Field(description="public: names the key in lists, logs and `keys revoke`")
    name: str = Field(min_length=1, max_length=100, description="whose it is, in the operator's words")
    sha256: str = Field(description="of the whole key")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    domains: tuple[str, ...] | None = Field(description="null: every domain, those still to come among them")
    requests_per_minute: int | None = Field(None, ge=1, description="null: as UNDERSTUDY_LIMITS__REQUESTS_PER_MINUTE")
    created: datetime
    expires: datetime | None = None
    last_used: date | None = Field(None, description="the day, in UTC")
    revoked: datetime | None = None

    def caller(self) -> Caller:
        """Who comes with this key."""
        domains = None if self.domains is None else frozenset(self.domains)
        return Caller(self.id, frozenset(self.scopes), domains, self.requests_per_minute)

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


_KEYS = TypeAdapter(tuple[Key, ...])


def now() -> datetime:
    """This second, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


class Keys:
    """The keys of one data directory. Several processes may use it at once."""

    def __init__(self, data_directory: Path, clock: Callable[[], datetime] = now) -> None:
        self._path = data_directory / FILE
        self._clock = clock
        self._read: tuple[tuple[int, int, int], tuple[Key, ...]] = ((0, 0, 0), ())
        self._by_id: dict[str, Key] = {}

    def all(self) -> tuple[Key, ...]:
        """Every key that was ever created, oldest first. Raises KeysUnreadable."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._read, self._by_id = ((0, 0, 0), ()), {}
            return ()
        except OSError as error:
            raise KeysUnreadable(f"{self._path} cannot be read ({error.strerror}): let this process read it") from None
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._read[0] != version:
            found = self._load()
            self._read, self._by_id = (version, found), {key.id: key for key in found}
        return self._read[1]

    def find(self, presented: str) -> Key:
        """The key itself. Raises NotAuthenticated, and KeysUnreadable."""
        self.all()
        match = _KEY.fullmatch(presented)
        known = self._by_id.get(match["id"]) if match else None
        digest = hashlib.sha256(presented.encode()).hexdigest()
        if not hmac.compare_digest(digest, known.sha256 if known else _NO_KEY) or known is None:
            raise NotAuthenticated("this is none of the keys of this service: `understudy keys list`", given=True)
        state = known.state(self._clock())
        if state != "active":
            raise NotAuthenticated(f"this key is {state}: ask the operator for another", given=True)
        return known

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[Scope],
        domains: Sequence[str] | None,
        expires: datetime | None = None,
        requests_per_minute: int | None = None,
    ) -> tuple[Key, str]:
        """A new key, and its one text that is never to be had again. `domains`: None for every domain.

        Raises InvalidQuestion for what is no domain name, and what reading and writing raise.
        """
        identity = secrets.token_hex(6)
        text = f"{PREFIX}_{identity}_{secrets.token_urlsafe(32)}"
        key = Key(
            id=identity,
            name=name,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            scopes=tuple(dict.fromkeys(scopes)),
            domains=None if domains is None else tuple(sorted({check_domain_name(domain) for domain in domains})),
            requests_per_minute=requests_per_minute,
            created=self._clock(),
            expires=expires,
        )
        with self._changing() as keys:
            keys.append(key)
        return key, text

    def revoke(self, identity: str) -> Key:
        """Take a key back, for good; a second time changes nothing. Raises UnknownKey."""
        with self._changing() as keys:
            for at, key in enumerate(keys):
                if key.id == identity:
                    keys[at] = key.model_copy(update={"revoked": key.revoked or self._clock()})
                    return keys[at]
        raise UnknownKey(f"there is no key {identity[:80]!r}: `understudy keys list` shows every id")

    def note_use(self, identity: str) -> None:
        """Remember the day of the last use: one write a key and day."""
        today = self._clock().date()
        with self._changing() as keys:
            for at, key in enumerate(keys):
                if key.id == identity and key.last_used != today:
                    keys[at] = key.model_copy(update={"last_used": today})

    def _load(self) -> tuple[Key, ...]:
        try:
            return _KEYS.validate_json(self._path.read_bytes())
        except OSError as error:
            raise KeysUnreadable(f"{self._path} cannot be read ({error.strerror}): let this process read it") from None
        except ValidationError as error:
            raise KeysUnreadable(
                f"{self._path} is damaged ({error.error_count()} faults): put it back, or remove it and create new keys"
            ) from None

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """Every key, to be changed and written by nobody else meanwhile."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path.with_suffix(".lock"), "a", opener=_private) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = list(self.all())
                keys = before[:]
                yield keys
                if keys != before:
                    text = json.dumps([key.model_dump(mode="json") for key in keys], indent=1, ensure_ascii=False)
                    write_atomically(self._path, text + "\n", mode=PRIVATE)
        except OSError as error:
            raise storage_error(error, self._path) from error
