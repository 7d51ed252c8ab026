"""Keys over HTTP: deny by default, open to the local user as long as no key was ever created, and no way around."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar, get, post
from litestar.testing import TestClient

from api.app import create_app
from api.audit import FILE as AUDIT
from api.caller import Scope
from api.keys import FILE, Keys
from rag.settings import DataSettings, LimitSettings, Settings
from tests.fakes.tenants import Tenants, mark

ASK = {"question": "How often is the pump greased?", "domain": "plant"}

Client = TestClient[Litestar]


@contextmanager
def served(
    data: Path, *, limit: int = 0, remote: bool = False, names: tuple[str, ...] = ("plant", "office")
) -> Iterator[Client]:
    settings = Settings(data=DataSettings(directory=data), limits=LimitSettings(requests_per_minute=limit))
    with TestClient(create_app(settings, lambda _: Tenants(*names), remote=remote)) as client:
        deadline = time.monotonic() + 5
        while "start" in client.get("/health/ready").json().get("checks", "") and time.monotonic() < deadline:
            time.sleep(0.005)
        yield client


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def made(keys: Keys, *scopes: Scope, domains: list[str] | None = None, **more: Any) -> str:
    return keys.create("somebody", scopes=scopes or ("read",), domains=domains, **more)[1]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refused(response: Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    return str(response.json()["detail"])


def audit(data: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (data / AUDIT).read_text("utf-8").splitlines()]


# --- without keys ------------------------------------------------------------------------------


def test_without_keys_the_local_user_may_do_everything(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        assert client.post("/v1/answers", json=ASK).status_code == 200
        assert len(client.get("/v1/domains").json()) == 2
        # a client that cannot be told to send none
        assert client.get("/v1/domains", headers=bearer("sk-anything")).status_code == 200


def test_without_keys_a_foreign_host_or_page_is_refused_everywhere(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        for path in ("/v1/domains", "/health/live", "/health/ready", "/schema"):
            refused(client.get(path, headers={"Host": "evil.example"}), 403, "not_allowed")
        foreign = {"Origin": "https://evil.example"}
        assert "another site" in refused(client.post("/v1/answers", json=ASK, headers=foreign), 403, "not_allowed")
    assert [(line["action"], line["outcome"]) for line in audit(tmp_path)] == [
        ("GET /v1/domains", "403"),
        ("GET /health/live", "403"),
        ("GET /health/ready", "403"),
        ("GET /schema", "403"),
        ("POST /v1/answers", "403"),
    ]


def test_without_keys_nothing_is_open_on_an_address_that_others_reach(tmp_path: Path) -> None:
    with served(tmp_path, remote=True) as client:
        refused(client.get("/v1/domains"), 401, "not_authenticated")
        assert client.get("/health/live").status_code == 200


# --- with keys ---------------------------------------------------------------------------------


def test_with_a_key_in_the_store_everything_else_is_denied(tmp_path: Path, keys: Keys) -> None:
    made(keys)
    with served(tmp_path) as client:
        response = client.post("/v1/answers", json=ASK)
        assert "understudy keys create" in refused(response, 401, "not_authenticated")
        assert response.headers["www-authenticate"] == 'Bearer realm="understudy"'


def test_refusal_comes_before_the_body_is_looked_at(tmp_path: Path, keys: Keys) -> None:
    made(keys)
    with served(tmp_path) as client:
        refused(client.post("/v1/answers", content=b"\xff" * 1000), 401, "not_authenticated")


@pytest.mark.parametrize(
    "header",
    [lambda key: bearer(key), lambda key: {"X-API-Key": key}, lambda key: {"Authorization": f"bEARER  {key} "}],
)
def test_a_key_opens_in_either_header(tmp_path: Path, keys: Keys, header: Callable[[str], dict[str, str]]) -> None:
    key = made(keys, domains=["plant"])
    with served(tmp_path) as client:
        answer = client.post("/v1/answers", json=ASK, headers=header(key))
        assert answer.json()["text"] == mark("plant")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: {"Authorization": key},
        lambda key: {"Authorization": "Bearer"},
        lambda key: {"Authorization": "Bearer "},
        lambda key: {"Authorization": f"Basic {key}"},
        lambda key: {"Authorization": f"Bearer {key} {key}"},
        lambda key: {"Authorization": f"Bearer {key}x"},
        lambda key: {"Authorization": f"Bearer {key[:-1]}"},
        lambda key: {"Authorization": f"Bearer, {key}"},
        lambda key: [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")],
        lambda key: [("Authorization", f"Bearer {key}"), ("X-API-Key", key)],
        lambda key: {"X-API-Key": ""},
        lambda key: {"X-API-Key": f"Bearer {key}"},
        lambda key: {"X-Api-Key": key.swapcase()},
        lambda key: [(b"Authorization", "Bearer ключ".encode())],
        lambda key: [(b"Authorization", b"Bearer " + key.encode() + b"\xff")],
        lambda key: [(b"X-API-Key", b"\x80" * 200)],
        lambda key: {"X-API-Key": "A" * 60_000},
        lambda key: {"Cookie": f"key={key}; Authorization=Bearer {key}"},
        lambda key: {"Proxy-Authorization": f"Bearer {key}"},
    ],
)
def test_a_header_that_holds_no_key_is_refused(tmp_path: Path, keys: Keys, spoil: Callable[[str], Any]) -> None:
    key = made(keys)
    with served(tmp_path) as client:
        response = client.get("/v1/domains", headers=spoil(key))
        refused(response, 401, "not_authenticated")
        assert key not in response.text


def test_a_key_in_the_query_or_the_body_is_none(tmp_path: Path, keys: Keys) -> None:
    key = made(keys)
    with served(tmp_path) as client:
        for name in ("key", "api_key", "access_token", "X-API-Key", "authorization"):
            refused(client.get("/v1/domains", params={name: key}), 401, "not_authenticated")
        refused(client.post("/v1/answers", json=ASK | {"access_token": key}), 401, "not_authenticated")


def test_expired_and_revoked_keys_open_nothing_and_leave_nothing_open(tmp_path: Path, keys: Keys) -> None:
    expired = made(keys, expires=datetime.now(UTC) - timedelta(seconds=1))
    key, revoked = keys.create("desk", scopes=["read"], domains=None)
    keys.revoke(key.id)
    with served(tmp_path) as client:
        for text, word in ((expired, "expired"), (revoked, "revoked")):
            response = client.get("/v1/domains", headers=bearer(text))
            assert word in refused(response, 401, "not_authenticated")
            assert response.headers["www-authenticate"] == 'Bearer realm="understudy", error="invalid_token"'
        refused(client.get("/v1/domains"), 401, "not_authenticated")


def test_a_key_lacks_every_scope_that_it_was_not_given(tmp_path: Path, keys: Keys) -> None:
    key = made(keys, "ingest", "admin")
    with served(tmp_path) as client:
        said = refused(client.post("/v1/answers", json=ASK, headers=bearer(key)), 403, "not_allowed")
    assert said == "this needs a key of scope read; this one has admin, ingest"


def test_keys_that_are_made_and_revoked_count_at_once_in_a_running_service(tmp_path: Path, keys: Keys) -> None:
    with served(tmp_path) as client:
        assert client.get("/v1/domains").status_code == 200
        key, text = keys.create("desk", scopes=["read"], domains=None)
        assert client.get("/v1/domains").status_code == 401
        assert client.get("/v1/domains", headers=bearer(text)).status_code == 200
        keys.revoke(key.id)
        assert client.get("/v1/domains", headers=bearer(text)).status_code == 401


def test_a_damaged_file_of_keys_lets_nobody_in(tmp_path: Path, keys: Keys) -> None:
    key = made(keys)
    with served(tmp_path) as client:
        (tmp_path / FILE).write_text("{", "utf-8")
        for headers in ({}, bearer(key)):
            refused(client.get("/v1/domains", headers=headers), 500, "keys_unreadable")


def test_the_log_line_of_a_request_names_the_id_of_its_key(
    tmp_path: Path, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "understudy.api")
    key = made(keys)
    with served(tmp_path) as client:
        client.get("/v1/domains", headers=bearer(key))
        client.get("/v1/domains", headers=bearer(key[:-1] + "~"))
    lines = [record.__dict__["fields"] for record in caplog.records if record.message == "request"]
    told = [line.get("caller") for line in lines if line["path"] == "/v1/domains"]
    assert told == [keys.all()[0].id, None]
    assert key not in caplog.text


def test_the_day_of_a_keys_last_use_is_kept(tmp_path: Path, keys: Keys) -> None:
    key = made(keys)
    with served(tmp_path) as client:
        assert client.get("/v1/domains", headers=bearer(key)).status_code == 200
    assert keys.all()[0].last_used == datetime.now(UTC).date()


def test_a_use_that_cannot_be_noted_stops_no_answer(tmp_path: Path, keys: Keys) -> None:
    key = made(keys)
    (tmp_path / "keys.lock").unlink()
    (tmp_path / "keys.lock").mkdir()
    with served(tmp_path) as client:
        assert client.get("/v1/domains", headers=bearer(key)).status_code == 200


def test_a_route_that_declares_no_scope_takes_admin_over_all_domains(tmp_path: Path, keys: Keys) -> None:
    @get("/forgotten")
    async def forgotten() -> dict[str, bool]:
        return {"reached": True}

    @post("/misspelt", opt={"scope": "reed"})
    async def misspelt() -> dict[str, bool]:
        return {"reached": True}

    texts = {
        "read": made(keys, "read", "ingest"),
        "bound": made(keys, "admin", domains=["plant"]),
        "admin": made(keys, "admin"),
    }
    with served(tmp_path) as client:
        client.app.register(forgotten)
        client.app.register(misspelt)
        assert [client.get("/forgotten", headers=bearer(text)).status_code for text in texts.values()] == [
            403,
            403,
            200,
        ]
        assert client.post("/misspelt", headers=bearer(texts["read"]), json={}).status_code == 403


def test_which_methods_a_path_takes_is_open(tmp_path: Path, keys: Keys) -> None:
    made(keys)
    with served(tmp_path) as client:
        assert client.options("/v1/answers").headers["allow"] == "OPTIONS, POST"
        refused(client.get("/v1/answers"), 405, "method_not_allowed")
        refused(client.get("/nowhere"), 404, "not_found")


# --- what is open ------------------------------------------------------------------------------


def test_health_is_open_and_names_no_domain_to_whoever_may_not_know_of_it(tmp_path: Path, keys: Keys) -> None:
    bound, whole = made(keys, domains=["plant"]), made(keys)
    with served(tmp_path, names=("plant", "broken-lab")) as client:
        assert client.get("/health/live").json() == {"live": True}
        for headers in ({}, bearer("nonsense"), bearer(bound)):
            response = client.get("/health/ready", headers=headers)
            assert response.status_code == 503
            assert "broken-lab" not in response.text
            assert mark("broken-lab") not in response.text
        assert "broken-lab" in client.get("/health/ready", headers=bearer(whole)).json()["checks"]["index"]


def test_the_documentation_is_open(tmp_path: Path, keys: Keys) -> None:
    made(keys)
    with served(tmp_path) as client:
        assert client.get("/schema").status_code == 200
        assert client.get("/schema/openapi.json").status_code == 200


# --- limits ------------------------------------------------------------------------------------


def test_beyond_its_limit_a_key_waits_and_others_do_not(tmp_path: Path, keys: Keys) -> None:
    first, second = made(keys), made(keys, requests_per_minute=100)
    with served(tmp_path, limit=2) as client:
        found = [client.get("/v1/domains", headers=bearer(first)) for _ in range(3)]
        assert [response.headers["ratelimit-remaining"] for response in found] == ["1", "0", "0"]
        assert "2 times a minute" in refused(found[2], 429, "too_many_requests")
        assert 25 <= int(found[2].headers["retry-after"]) <= 30
        assert found[2].headers["ratelimit-policy"] == "2;w=60"
        assert client.get("/v1/domains", headers=bearer(second)).headers["ratelimit-limit"] == "100"
        # what needs no key is not counted
        assert client.get("/health/live", headers=bearer(first)).status_code == 200


def test_a_refused_scope_counts_too(tmp_path: Path, keys: Keys) -> None:
    key = made(keys, "ingest")
    with served(tmp_path, limit=1) as client:
        assert [client.get("/v1/domains", headers=bearer(key)).status_code for _ in range(2)] == [403, 429]


# --- audit -------------------------------------------------------------------------------------


def test_refusals_are_audited_without_secret_or_question(tmp_path: Path, keys: Keys) -> None:
    key = made(keys, "ingest")
    with served(tmp_path, limit=1) as client:
        client.post("/v1/answers", json=ASK, headers={"X-Request-ID": "no-key"})
        client.post("/v1/answers", json=ASK, headers=bearer(key) | {"X-Request-ID": "no-scope"})
        client.post("/v1/answers", json=ASK, headers=bearer(key) | {"X-Request-ID": "too-many"})
        client.post("/v1/answers", json=ASK, headers=bearer(key[:-1] + "~") | {"X-Request-ID": "wrong"})
    lines = audit(tmp_path)
    identity = keys.all()[0].id
    assert [(line["request_id"], line["key"], line["action"], line["outcome"]) for line in lines] == [
        ("no-key", "", "POST /v1/answers", "401"),
        ("no-scope", identity, "POST /v1/answers", "403"),
        ("too-many", identity, "POST /v1/answers", "429"),
        ("wrong", "", "POST /v1/answers", "401"),
    ]
    written = (tmp_path / AUDIT).read_text("utf-8")
    assert ASK["question"] not in written
    assert key.split("_", 2)[2] not in written  # a secret may hold the sign, too
    assert (tmp_path / AUDIT).stat().st_mode & 0o777 == 0o600


def test_what_brings_in_or_administers_is_audited_with_its_domain(tmp_path: Path, keys: Keys) -> None:
    key = made(keys, "ingest", "read")
    with served(tmp_path) as client:
        files = [("files", ("a.md", b"# A\n\nText."))]
        assert client.post("/v1/domains/plant/documents", files=files, headers=bearer(key)).status_code == 202
        assert client.get("/v1/domains", headers=bearer(key)).status_code == 200
    (line,) = audit(tmp_path)
    assert (line["key"], line["domain"], line["outcome"]) == (keys.all()[0].id, "plant", "202")
    assert line["action"].startswith("POST /v1/domains/{domain")


@pytest.mark.parametrize("foreign", ["office", "missing"])
def test_a_key_that_is_tried_on_a_domain_that_is_not_its_own_is_audited(
    tmp_path: Path, keys: Keys, foreign: str
) -> None:
    key = made(keys, "read", domains=["plant"])
    with served(tmp_path) as client:
        for path in ("/v1/answers", "/v1/passages"):
            assert client.post(path, json=ASK | {"domain": foreign}, headers=bearer(key)).status_code == 404
        batch = {"questions": [ASK, ASK | {"domain": foreign}]}
        assert client.post("/v1/answers/batch", json=batch, headers=bearer(key)).status_code == 200
        assert client.get(f"/v1/domains/{foreign}/documents", headers=bearer(key)).status_code == 404
        assert client.post("/v1/answers", json=ASK, headers=bearer(key)).status_code == 200
    lines = audit(tmp_path)
    assert [line["outcome"] for line in lines] == ["404", "404", "200", "404"]
    assert {(line["key"], line["domain"]) for line in lines} == {(keys.all()[0].id, foreign)}


# --- jobs --------------------------------------------------------------------------------------


def test_a_key_changes_and_sees_the_jobs_of_its_domains_alone(tmp_path: Path, keys: Keys) -> None:
    """A job of another's domain is told of in the words for one that was never there."""
    files = [("files", ("a.md", b"# A\n\nText."))]
    plant, office = (bearer(made(keys, "ingest", "admin", domains=[name])) for name in ("plant", "office"))
    reading = bearer(made(keys, "read"))
    with served(tmp_path) as client:
        taken = client.post("/v1/domains/plant/documents", files=files, headers=plant)
        at = taken.headers["location"]
        never = refused(client.get("/v1/jobs/never", headers=office), 404, "unknown_job")
        assert refused(client.get(at, headers=office), 404, "unknown_job") == never
        assert refused(client.delete(at, headers=office), 404, "unknown_job") == never
        assert client.get("/v1/jobs", headers=office).json() == []
        assert [job["id"] for job in client.get("/v1/jobs", headers=plant).json()] == [taken.json()["id"]]
        described = "/documents?where=kind=a"
        changes = [("POST", "/documents"), ("DELETE", "/documents/a.md"), ("DELETE", described), ("DELETE", "")]
        for method, path in changes:
            send = files if method == "POST" else None
            url = f"/v1/domains/plant{path}"
            refused(client.request(method, url, headers=office, files=send), 404, "unknown_domain")
            refused(client.request(method, url, headers=reading, files=send), 403, "not_allowed")
        assert list((tmp_path / "jobs").glob("*.new")) == []
