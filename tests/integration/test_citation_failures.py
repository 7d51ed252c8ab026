"""A citation whose text went while it was read: it is left out, the answer abstains, and the service counts it."""

from __future__ import annotations

import re
from pathlib import Path

from litestar.testing import TestClient

from api.app import create_app
from rag.catalog import Catalog
from rag.documents import DocumentStore
from rag.pipeline import UNVERIFIED
from rag.settings import DataSettings, Settings
from rag.types import Prompt
from tests.fakes.domains import ingest, open_pipeline
from tests.fakes.embedder import HashedWords

TEXT = "# Pump P-214\n\nPump P-214 feeds the reactor. Its relief valve opens at 6.5 bar.\n"
ASK = {"question": "At what pressure does the relief valve open?", "domain": "plant"}


def test_a_citation_of_a_text_that_went_meanwhile_is_in_the_metrics(tmp_path: Path) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    source.mkdir()
    (source / "pump.md").write_text(TEXT)
    ingest(data, source, HashedWords(dimensions=256))
    taken_away = False

    def answer(_: Prompt) -> str:
        if taken_away:
            store = DocumentStore(Catalog(data).live("plant").documents_path, writable=True)
            store.delete(["pump.md"])
            store.close()
        return "6.5 bar"

    def counted(name: str) -> float:
        (found,) = re.findall(rf"^understudy_{name}_total (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found)

    settings = Settings(data=DataSettings(directory=data))
    with TestClient(create_app(settings, lambda _: open_pipeline(data, answer))) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        assert "6.5 bar" in client.post("/v1/answers", json=ASK).json()["text"]
        assert (counted("citations"), counted("citation_failures")) == (1, 0)
        taken_away = True
        told = client.post("/v1/answers", json=ASK).json()
        assert (told["abstained"], told["reason"], told["citations"]) == (True, UNVERIFIED, [])
        assert (counted("citations"), counted("citation_failures")) == (1, 1)
