"""Stored documents over HTTP: pages without gaps, whole texts under awkward ids, and refusals as problems."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from rag.types import sha256_text
from tests.fakes.pipeline import TEXT, FakePipeline, document
from tests.fakes.server import served, wait_until_ready

IDS = [
    "a/b c.md",
    "a//b",
    "/rooted",
    "folder/",
    "50%.txt",
    "a%2Fb",
    "faq.csv#12",
    "what?.md",
    "grüße/日本.md",
    "𝔘.md",
    "a&b=c",
]
PATH = "/v1/domains/plant/documents"


@pytest.fixture
def pipeline() -> FakePipeline:
    fake = FakePipeline()
    fake.stored |= {name: document(name, f"Title of {name}", f"Text of {name}: 𝔘.") for name in IDS}
    return fake


@pytest.fixture
def client(pipeline: FakePipeline) -> Iterator[httpx.Client]:
    with served(lambda _: pipeline) as url, httpx.Client(base_url=url) as client:
        wait_until_ready(url)
        yield client


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("safe", ["/", ""], ids=["slashes as they are", "slashes escaped"])
def test_a_document_is_read_by_an_id_of_any_kind(client: httpx.Client, id: str, safe: str) -> None:
    response = client.get(f"{PATH}/{quote(id, safe=safe)}")
    text = f"Text of {id}: 𝔘."
    assert response.status_code == 200, response.text
    assert response.json() == {
        "id": id,
        "title": f"Title of {id}",
        "text": text,
        "text_sha256": sha256_text(text),
        "metadata": {},
    }


def test_pages_show_every_document_once_and_no_text(client: httpx.Client) -> None:
    seen: list[str] = []
    after, pages = "", 0
    while True:
        page = client.get(PATH, params={"limit": 5, "after": after}).json()
        seen += [each["id"] for each in page["documents"]]
        pages += 1
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == sorted([*IDS, "pumps.md"])
    assert pages == 3
    (pumps,) = client.get(PATH, params={"after": "pumps"}).json()["documents"][:1]
    assert pumps == {
        "id": "pumps.md",
        "title": "Pumps",
        "characters": len(TEXT),
        "chunks": 1,
        "text_sha256": sha256_text(TEXT),
        "same_as": "",
        "metadata": {},
    }


def test_a_last_page_that_is_full_has_no_next(client: httpx.Client) -> None:
    page = client.get(PATH, params={"limit": len(IDS) + 1}).json()
    assert len(page["documents"]) == len(IDS) + 1
    assert page["next"] is None


@pytest.mark.parametrize("path", [PATH, f"{PATH}/pumps.md"])
def test_an_unknown_domain_is_404(client: httpx.Client, path: str) -> None:
    response = client.get(path.replace("plant", "nowhere"))
    assert (response.status_code, response.json()["code"]) == (404, "unknown_domain")


def test_an_unknown_document_is_404_and_says_where_they_are_listed(client: httpx.Client) -> None:
    response = client.get(f"{PATH}/pumps.md/")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_document")
    assert "GET /v1/domains/plant/documents lists them" in response.json()["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=5.5"])
def test_a_limit_that_does_not_fit_is_400(client: httpx.Client, query: str) -> None:
    response = client.get(f"{PATH}?{query}")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert response.json()["errors"][0]["field"] == "limit"
