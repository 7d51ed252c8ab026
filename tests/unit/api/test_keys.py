"""Keys: random, kept as a hash, found without a tell, and in force as soon as the file says so."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from api.keys import FILE, Keys
from rag.errors import InvalidQuestion, KeysUnreadable, NotAuthenticated, UnknownKey

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Clock:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keys:
    return Keys(tmp_path, clock)


def test_a_key_is_found_by_its_text_and_opens_what_it_was_made_for(keys: Keys) -> None:
    key, text = keys.create("desk", scopes=["read"], domains=["plant", "office"], requests_per_minute=5)
    found = keys.find(text)
    assert found == key
    caller = found.caller()
    assert (caller.id, caller.scopes, caller.requests_per_minute) == (key.id, frozenset({"read"}), 5)
    assert [caller.may(name) for name in ("plant", "office", "other")] == [True, True, False]


def test_a_key_is_compared_in_constant_time_whether_its_id_is_known_or_not(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    _, text = keys.create("desk", scopes=["read"], domains=None)
    monkeypatch.setattr("api.keys.hmac", SimpleNamespace(compare_digest=compare))
    keys.find(text)
    for wrong in (text[:-3] + "abc", f"understudy_{'0' * 12}_{text[-43:]}", "no key at all"):
        with pytest.raises(NotAuthenticated):
            keys.find(wrong)
    # hashes of one length each time, so that neither a secret nor an id is told by how long the refusal took
    assert compared == [(64, 64)] * 4


def test_a_key_over_all_domains_opens_those_still_to_come(keys: Keys) -> None:
    _, text = keys.create("all", scopes=["read"], domains=None)
    assert keys.find(text).caller().may("made later")


def test_a_key_bound_to_no_domain_opens_none(keys: Keys) -> None:
    _, text = keys.create("none", scopes=["read"], domains=[])
    assert keys.find(text).caller().domains == frozenset()


def test_the_secret_has_256_bits_and_is_nowhere_on_disk(keys: Keys, tmp_path: Path) -> None:
    texts = [keys.create("desk", scopes=["read"], domains=None)[1] for _ in range(20)]
    secrets = {text.split("_", 2)[2] for text in texts}
    assert len(secrets) == 20
    assert {len(secret) for secret in secrets} == {43}  # 43 letters of 6 bits hold 32 bytes
    stored = (tmp_path / FILE).read_text("utf-8")
    assert not any(secret in stored for secret in secrets)
    assert {entry["sha256"] for entry in json.loads(stored)} == {
        hashlib.sha256(text.encode()).hexdigest() for text in texts
    }


def test_the_file_is_for_its_owner_alone_from_its_first_moment(keys: Keys, tmp_path: Path) -> None:
    # what a crash left, open to everybody
    (tmp_path / f"{FILE}.new").write_text("", "utf-8")
    keys.create("desk", scopes=["read"], domains=None)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / f"{FILE}.new").exists()


@pytest.mark.parametrize("change", ["id", "secret", "short", "long", "prefix", "empty", "accents", "line"])
def test_what_is_not_exactly_a_key_is_none(keys: Keys, change: str) -> None:
    _, text = keys.create("desk", scopes=["read"], domains=None)
    _, other = keys.create("other", scopes=["read"], domains=None)
    presented = {
        "id": "_".join([*other.split("_", 2)[:2], text.split("_", 2)[2]]),
        "secret": text[:-1] + ("A" if text[-1] != "A" else "B"),
        "short": text[:-1],
        "long": text + "A",
        "prefix": text.removeprefix("understudy_"),
        "empty": "",
        "accents": text.replace("_", "é", 1),
        "line": text + "\n",
    }[change]
    with pytest.raises(NotAuthenticated, match="none of the keys") as caught:
        keys.find(presented)
    assert caught.value.given
    assert keys.find(text)


def test_unknown_ids_and_wrong_secrets_are_told_in_the_same_words(keys: Keys) -> None:
    _, text = keys.create("desk", scopes=["read"], domains=None)
    said = set()
    for presented in (text[:-1] + "~", f"understudy_{'0' * 12}_{'A' * 43}", text[:-2] + "AA"):
        with pytest.raises(NotAuthenticated) as caught:
            keys.find(presented)
        said.add(str(caught.value))
    assert len(said) == 1


def test_a_key_ends_with_its_last_second(keys: Keys, clock: Clock) -> None:
    _, text = keys.create("guest", scopes=["read"], domains=None, expires=NOON + timedelta(hours=1))
    clock.time = NOON + timedelta(minutes=59, seconds=59)
    assert keys.find(text)
    clock.time = NOON + timedelta(hours=1)
    with pytest.raises(NotAuthenticated, match="this key is expired"):
        keys.find(text)


def test_a_revoked_key_is_revoked_for_good_and_still_listed(keys: Keys, clock: Clock) -> None:
    key, text = keys.create("desk", scopes=["read"], domains=None)
    assert keys.revoke(key.id).revoked == NOON
    clock.time = NOON + timedelta(days=1)
    assert keys.revoke(key.id).revoked == NOON
    with pytest.raises(NotAuthenticated, match="this key is revoked"):
        keys.find(text)
    assert [entry.id for entry in keys.all()] == [key.id]


def test_an_id_that_never_was_is_told_with_the_way_to_the_list(keys: Keys) -> None:
    with pytest.raises(UnknownKey, match="no key 'abc': `understudy keys list`"):
        keys.revoke("abc")


def test_what_another_process_does_is_seen_at_once(keys: Keys, tmp_path: Path) -> None:
    elsewhere = Keys(tmp_path, Clock())
    assert keys.all() == ()
    key, text = elsewhere.create("desk", scopes=["read"], domains=None)
    assert keys.find(text).id == key.id
    elsewhere.revoke(key.id)
    with pytest.raises(NotAuthenticated, match="revoked"):
        keys.find(text)


def test_a_file_that_did_not_change_is_not_read_again(keys: Keys, tmp_path: Path) -> None:
    keys.create("desk", scopes=["read"], domains=None)
    assert keys.all() is keys.all()


def test_keys_that_are_created_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def create() -> None:
        for _ in range(5):
            Keys(tmp_path).create("desk", scopes=["read"], domains=None)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.id for key in Keys(tmp_path).all()}) == 30


def test_the_day_of_the_last_use_is_written_once(keys: Keys, tmp_path: Path, clock: Clock) -> None:
    key, _ = keys.create("desk", scopes=["read"], domains=None)
    assert keys.all()[0].last_used is None
    keys.note_use(key.id)
    assert keys.all()[0].last_used == NOON.date()
    written = (tmp_path / FILE).stat().st_ino
    keys.note_use(key.id)
    assert (tmp_path / FILE).stat().st_ino == written
    clock.time = NOON + timedelta(days=1)
    keys.note_use(key.id)
    assert keys.all()[0].last_used == (NOON + timedelta(days=1)).date()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'[{"id": 1}]', b"\xff", b"[" * 5000])
def test_a_damaged_file_lets_nobody_in(keys: Keys, tmp_path: Path, content: bytes) -> None:
    _, text = keys.create("desk", scopes=["read"], domains=None)
    (tmp_path / FILE).write_bytes(content)
    for ask in (keys.all, lambda: keys.find(text), lambda: keys.create("x", scopes=["read"], domains=None)):
        with pytest.raises(KeysUnreadable, match=r"keys\.json is damaged"):
            ask()


def test_a_domain_that_cannot_be_one_is_refused(keys: Keys) -> None:
    with pytest.raises(InvalidQuestion, match="is no domain name"):
        keys.create("desk", scopes=["read"], domains=["../other"])
    assert keys.all() == ()
