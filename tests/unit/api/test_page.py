"""The page's files as they are served: types, policy, caching, and nothing from elsewhere in them. And the report."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from api.page import parts
from rag.settings import Settings, load
from tests.fakes.pipeline import FakePipeline

Client = TestClient[Litestar]

STATIC = Path(__file__).parents[3] / "api" / "static"


def client_of(settings: Settings) -> Client:
    return TestClient(create_app(settings, lambda _: FakePipeline()))


@pytest.fixture
def client() -> Iterator[Client]:
    with client_of(Settings()) as client:
        yield client


def directives(policy: str) -> dict[str, str]:
    return {name: rest for name, _, rest in (each.strip().partition(" ") for each in policy.split(";"))}


# --- the page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *sorted(f"page/{each.name}" for each in STATIC.iterdir())])
def test_every_file_comes_with_its_type_policy_and_tag(client: Client, name: str) -> None:
    response = client.get(f"/{name}")
    assert response.status_code == 200
    kind = {"": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "html": "text/html"}
    assert response.headers["content-type"].startswith(kind[name.rpartition(".")[2]])
    policy = directives(response.headers["content-security-policy"])
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    again = client.get(f"/{name}", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/{name}", headers={"If-None-Match": '"old"'}).content == response.content


def test_what_is_no_part_of_the_page_is_not_served(client: Client) -> None:
    for path in ("/page/", "/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/app.py", "/page/static/page.css"):
        assert client.get(path).status_code == 404


def test_every_part_is_packaged() -> None:
    assert {path.name for path in STATIC.iterdir()} == set(parts())


def test_the_page_names_no_other_host_and_makes_no_markup_of_texts() -> None:
    for path in STATIC.iterdir():
        text = path.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert re.findall(r"(?:https?:)?//[a-z][\w-]*\.", text) == [], path.name
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bon\w+=", text) == [], (
            path.name
        )
        assert len(text.splitlines()) < 400


def test_every_part_that_is_named_exists() -> None:
    named = {name for path in STATIC.iterdir() for name in re.findall(r'"/page/([\w.]+)"', path.read_text("utf-8"))}
    assert named | {"index.html"} == set(parts())


# --- the report --------------------------------------------------------------------------------


def write(path: Path, text: str, *, age: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    os.utime(path, ns=(10**18 - age * 10**9,) * 2)


def test_without_a_setting_there_is_no_report(client: Client) -> None:
    response = client.get("/report")
    assert (response.status_code, response.json()["code"]) == (404, "no_report")
    assert "UNDERSTUDY_SERVER__REPORT" in response.json()["detail"]


def test_the_newest_report_of_a_folder_is_served_in_a_sandbox(tmp_path: Path) -> None:
    write(tmp_path / "a" / "report.html", "<h1>old</h1>", age=9)
    write(tmp_path / "suites" / "b" / "report.html", "<h1>newest ü</h1>", age=1)
    write(tmp_path / "c" / "report.html", "<h1>older</h1>", age=5)
    write(tmp_path / "c" / "secret.html", "<h1>no report</h1>", age=0)
    with client_of(load({"UNDERSTUDY_SERVER__REPORT": str(tmp_path)})) as client:
        response = client.get("/report")
    assert (response.status_code, response.text) == (200, "<h1>newest ü</h1>")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = directives(response.headers["content-security-policy"])
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert "allow-scripts" not in policy["sandbox"]


def test_a_file_is_served_itself_and_again_when_it_was_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.html"
    with client_of(load({"UNDERSTUDY_SERVER__REPORT": str(file)})) as client:
        missing = client.get("/report")
        assert (missing.status_code, missing.json()["code"]) == (404, "no_report")
        for text in ("one", "two"):
            file.write_text(text)
            assert client.get("/report").text == text


def test_an_empty_folder_has_no_report(tmp_path: Path) -> None:
    with client_of(load({"UNDERSTUDY_SERVER__REPORT": str(tmp_path)})) as client:
        assert client.get("/report").status_code == 404
