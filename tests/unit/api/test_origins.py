"""Without keys, the local user's own requests and no others: hosts and origins, one by one."""

from __future__ import annotations

import pytest

from api.origins import check, is_loopback
from rag.errors import NotAllowed

AT = "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_loopback_is_known_by_every_name(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost.evil.example", "127.0.0.1.evil.example", ""])
def test_nothing_else_is_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:8080", "[::1]:8080", "[::1]", ""])
def test_a_request_to_this_machine_is_served(host: str) -> None:
    check("POST", {"host": host}, listening=AT)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.", "192.0.2.1:8080", "[2001:db8::1]:1"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_was_made_to_lead_here_is_refused(host: str, method: str) -> None:
    with pytest.raises(NotAllowed, match="understudy keys create"):
        check(method, {"host": host}, listening=AT)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing_here(headers: dict[str, str]) -> None:
    headers = {"host": "127.0.0.1:8080", **headers}
    for method in ("POST", "DELETE", "PUT", "PATCH"):
        with pytest.raises(NotAllowed, match="a page of another site"):
            check(method, headers, listening=AT)
    check("GET", headers, listening=AT)


@pytest.mark.parametrize("header", ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"])
def test_what_a_proxy_passes_on_is_nobodys_own_request(header: str) -> None:
    with pytest.raises(NotAllowed, match="through a proxy"):
        check("GET", {"host": "127.0.0.1:8080", header: "192.0.2.7"}, listening=AT)


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_page_of_ours_may_ask(site: str) -> None:
    headers = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080", "sec-fetch-site": site}
    check("POST", headers, listening=AT)
