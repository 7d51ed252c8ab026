"""The API keeps the word of its OpenAPI document: made-up requests, fitting and not, get documented answers alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.keys import Keys
from api.schema import document
from bench.serving.fuzz import fuzz, names
from rag.settings import DataSettings, LimitSettings, Settings
from tests.fakes.pipeline import FakePipeline
from tests.fakes.server import served
from tests.integration.test_api_server import ready, until

EXAMPLES = 20
"""For each operation, fitting and not: `python -m bench.serving.fuzz` sends more."""

UNLIMITED = LimitSettings(requests_per_minute=0)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = Settings(data=DataSettings(directory=tmp_path_factory.mktemp("open")), limits=UNLIMITED)
    with served(lambda _: FakePipeline(pace=0.0), settings) as url:
        assert until(lambda: ready(url))
        yield url


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A server with keys, and the Authorization of different callers."""
    data: Path = tmp_path_factory.mktemp("locked")
    keys = Keys(data)
    _, own = keys.create("own", scopes=["read", "ingest", "admin"], domains=["plant"])
    _, foreign = keys.create("foreign", scopes=["read"], domains=["office"])
    revoked, gone = keys.create("gone", scopes=["read"], domains=["plant"])
    keys.revoke(revoked.id)
    callers = {"own": own, "foreign": foreign, "revoked": gone, "invented": own[:-3] + "abc"}
    with served(lambda _: FakePipeline(pace=0.0), Settings(data=DataSettings(directory=data), limits=UNLIMITED)) as url:
        assert until(lambda: ready(url))
        yield url, {name: f"Bearer {key}" for name, key in callers.items()} | {"none": "", "broken": "Bearer \xff ="}


@pytest.mark.parametrize("name", names(document()))
def test_every_answer_is_documented(url: str, name: str) -> None:
    assert fuzz(url, document(), name, examples=EXAMPLES).statuses


@pytest.mark.parametrize("caller", ["own", "foreign", "revoked", "invented", "none", "broken"])
@pytest.mark.parametrize("name", names(document()))
def test_every_answer_to_a_key_is_documented(locked: tuple[str, dict[str, str]], name: str, caller: str) -> None:
    url, callers = locked
    headers = {"Authorization": callers[caller]} if callers[caller] else {}
    seen = fuzz(url, document(), name, examples=EXAMPLES // 4, headers=headers).statuses
    if caller not in ("own", "foreign") and not name.startswith("GET /health"):
        assert 200 not in seen
        assert 202 not in seen


def test_a_caller_s_own_key_is_the_only_one_that_comes(locked: tuple[str, dict[str, str]]) -> None:
    url, callers = locked
    name = "GET /v1/domains"
    for caller, status in (("own", 200), ("invented", 401)):
        seen = fuzz(url, document(), name, examples=EXAMPLES, headers={"Authorization": callers[caller]})
        assert set(seen.statuses) == {status}
        assert not seen.unavailable


def test_the_fuzzer_finds_what_is_not_documented(url: str) -> None:
    silent = document()
    del silent["paths"]["/v1/passages"]["post"]["responses"]["404"]
    with pytest.raises(AssertionError, match="Received: 404"):
        fuzz(url, silent, "POST /v1/passages", examples=EXAMPLES)
    assert httpx.get(f"{url}/health/ready").status_code == 200
