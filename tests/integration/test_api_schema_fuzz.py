"""The API keeps the word of its OpenAPI document: made-up requests, fitting and not, get documented answers alone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from api.schema import document
from bench.serving.fuzz import fuzz, names
from rag.settings import Settings
from tests.fakes.pipeline import FakePipeline
from tests.integration.test_api_server import ready, served, until

EXAMPLES = 30
"""For each operation, fitting and not: `python -m bench.serving.fuzz` sends more."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(lambda _: FakePipeline(pace=0.0), Settings()) as url:
        assert until(lambda: ready(url))
        yield url


@pytest.mark.parametrize("name", names(document()))
def test_every_answer_is_documented(url: str, name: str) -> None:
    seen = fuzz(url, document(), name, examples=EXAMPLES)
    assert sum(seen.values()) >= 1
    assert httpx.get(f"{url}/health/ready").status_code == 200


def test_the_fuzzer_finds_what_is_not_documented(url: str) -> None:
    silent = document()
    del silent["paths"]["/v1/passages"]["post"]["responses"]["404"]
    with pytest.raises(AssertionError, match="Received: 404"):
        fuzz(url, silent, "POST /v1/passages", examples=EXAMPLES)
