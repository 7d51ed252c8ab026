"""The address and the key of a Qdrant server, as an operator writes them."""

from pathlib import Path

import pytest

from rag.adapters.qdrant_index import connect, shown
from rag.errors import InvalidSettings
from tests.fakes.qdrant_server import QdrantProcess


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6333",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:9999999",
        "http://bad host:1",
        "http://me:" + "swordfish" + "@127.0.0.1",
        "http://127.0.0.1:6333/?api_key=swordfish",
    ],
)
def test_an_address_that_can_be_none_is_refused_without_what_is_secret_in_it(url: str) -> None:
    for use in (lambda: connect(url, api_key="", grpc=False, timeout_seconds=2), lambda: shown(url)):
        with pytest.raises(InvalidSettings, match="UNDERSTUDY_INDEX__URL is no address") as caught:
            use()
        assert "swordfish" not in str(caught.value)


def test_a_key_is_taken_as_it_is_read_from_a_file_and_one_that_can_be_none_refused_unsaid(tmp_path: Path) -> None:
    server = QdrantProcess(tmp_path / "qdrant", api_key="swordfish")
    client = connect(server.url, api_key="swordfish\n", grpc=False, timeout_seconds=5)
    assert client.get_aliases().aliases == []
    client.close()
    server.close()
    with pytest.raises(InvalidSettings, match="UNDERSTUDY_INDEX__API_KEY holds characters") as caught:
        connect(server.url, api_key="schwertfiß", grpc=False, timeout_seconds=5)
    assert "schwert" not in str(caught.value)
