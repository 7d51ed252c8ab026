"""Domains on a Qdrant server, by whole commands over its wire: side collection and alias, kills, keys, neighbours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import cast

import pytest
from qdrant_client import QdrantClient

from rag.adapters.qdrant_index import QdrantIndex, connect
from rag.build import drop_index, open_index
from rag.catalog import Catalog
from rag.errors import IndexUnavailable
from rag.pipeline import Pipeline
from rag.settings import load
from rag.types import Question
from tests.fakes.command_line import run, settle
from tests.fakes.domains import DIMENSIONS, LIMITS
from tests.fakes.embedder import HashedWords
from tests.fakes.language_model import FakeLanguageModel, sentence_of
from tests.fakes.qdrant_server import QdrantProcess

INGESTS = """
import sys
import rag.build
from tests.fakes.command_line import run
from tests.fakes.domains import DIMENSIONS
from tests.fakes.embedder import HashedWords

rag.build.open_embedder = lambda _: HashedWords(dimensions=DIMENSIONS)
sys.exit(run("apply", sys.argv[1], "--domain", "plant", "--prune"))
"""


@pytest.fixture
def data(server: QdrantProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory whose settings name the server."""
    settle(tmp_path / "data", monkeypatch)
    monkeypatch.setenv("UNDERSTUDY_INDEX__BACKEND", "server")
    monkeypatch.setenv("UNDERSTUDY_INDEX__URL", server.url)
    return tmp_path / "data"


def write(folder: Path, version: int, count: int = 20) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(count):
        text = f"# Valve {number}\n\nValve {number} is at version v{version}."
        (folder / f"d{number}.md").write_text(text, "utf-8")
    return folder


def client_of(server: QdrantProcess) -> QdrantClient:
    return connect(server.url, api_key="", grpc=False, timeout_seconds=10)


def aliases(server: QdrantProcess) -> dict[str, str]:
    return {item.alias_name: item.collection_name for item in client_of(server).get_aliases().aliases}


def collections(server: QdrantProcess) -> list[str]:
    return sorted(item.name for item in client_of(server).get_collections().collections)


def pipeline_over(data: Path) -> Pipeline:
    settings = load()
    return Pipeline(
        catalog=Catalog(data),
        embedder=HashedWords(dimensions=DIMENSIONS),
        model=FakeLanguageModel(answer=sentence_of),
        open_index=lambda generation: open_index(settings, generation, create=False),
        limits=LIMITS,
    )


def versions(pipeline: Pipeline) -> set[str]:
    """The versions that the twenty documents are told in, and how many passages there were."""
    found = pipeline.passages(Question(text="valve version", domain="plant", max_passages=20))
    return {passage.text.split()[-1] for passage in found} | {str(len(found))}


def held(data: Path) -> list[str]:
    """The collections that a data directory's generations have."""
    manifests = [generation.manifest for generation in Catalog(data).finished("plant")]
    return sorted(f"understudy_plant~{manifest.generation}~{manifest.identity}" for manifest in manifests)


def test_a_change_fills_a_collection_beside_and_moves_the_alias(
    server: QdrantProcess, data: Path, tmp_path: Path
) -> None:
    source = tmp_path / "docs"
    assert run("apply", str(write(source, 1)), "--domain", "plant") == 0
    pipeline = pipeline_over(data)
    assert versions(pipeline) == {"v1.", "20"}
    [first] = collections(server)
    assert aliases(server) == {"understudy_plant": first}
    assert run("apply", str(write(source, 2, count=19)), "--domain", "plant", "--prune") == 0
    assert versions(pipeline) == {"v2.", "19"}
    assert collections(server) == held(data)
    assert aliases(server) == {"understudy_plant": held(data)[1]}
    assert run("rollback", "--domain", "plant") == 0
    assert versions(pipeline) == {"v1.", "20"}
    assert aliases(server) == {"understudy_plant": first}
    assert run("verify", "--domain", "plant") == 0
    assert run("rebuild", "--domain", "plant") == 0
    assert versions(pipeline) == {"v1.", "20"}
    assert run("delete", "--domain", "plant", "--document", "d7.md") == 0
    assert versions(pipeline) == {"v1.", "19"}
    assert run("delete", "--domain", "plant", "--all") == 0
    pipeline.close()
    assert (collections(server), aliases(server)) == ([], {})


def test_askers_see_the_old_or_the_new_collection_whole(server: QdrantProcess, data: Path, tmp_path: Path) -> None:
    source = tmp_path / "docs"
    run("apply", str(write(source, 0)), "--domain", "plant")
    pipeline = pipeline_over(data)
    seen: list[set[str]] = []
    failures: list[Exception] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                seen.append(versions(pipeline))
            except Exception as error:  # noqa: BLE001  # any of them is what the test is about
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 4):
        run("apply", str(write(source, version)), "--domain", "plant")
    done.set()
    for thread in threads:
        thread.join()
    newest = versions(pipeline)
    pipeline.close()
    assert failures == []
    assert all(len(answer) == 2 and "20" in answer for answer in seen)
    assert newest == {"v3.", "20"}


def begun(server: QdrantProcess, source: Path) -> subprocess.Popen[str]:
    """A run in a process of its own that has made its side collection."""
    child = subprocess.Popen([sys.executable, "-c", INGESTS, str(source)], stderr=subprocess.PIPE, text=True)
    while len(collections(server)) < 2 and child.poll() is None:
        time.sleep(0.01)
    return child


@pytest.mark.parametrize("wait", [0.0, 0.15])
def test_after_a_kill_the_next_run_finishes_and_leaves_nothing_behind(
    server: QdrantProcess, data: Path, tmp_path: Path, wait: float
) -> None:
    source = tmp_path / "docs"
    run("apply", str(write(source, 1, count=100)), "--domain", "plant")
    child = begun(server, write(source, 2, count=100))
    time.sleep(wait)
    child.kill()
    child.communicate()
    assert child.returncode == -9
    assert versions(pipeline_over(data)) == {"v1.", "20"}
    assert run("verify", "--domain", "plant") == 0
    assert run("apply", str(source), "--domain", "plant", "--prune") == 0
    assert run("verify", "--domain", "plant") == 0
    live = aliases(server)["understudy_plant"]
    assert client_of(server).count(live).count == 100
    assert collections(server) == held(data)


def test_a_server_that_ends_under_a_run_loses_nothing(
    server: QdrantProcess, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "docs"
    run("apply", str(write(source, 1, count=100)), "--domain", "plant")
    child = begun(server, write(source, 2, count=100))
    server.close()
    _, said = child.communicate()
    assert (child.returncode, "UNDERSTUDY_INDEX__URL" in said) == (2, True)
    again = server.again()
    assert run("verify", "--domain", "plant") == 0
    assert run("apply", str(source), "--domain", "plant", "--prune") == 0
    assert run("verify", "--domain", "plant") == 0
    assert client_of(again).count(aliases(again)["understudy_plant"]).count == 100
    again.close()


def test_a_server_that_is_down_is_told_by_questions_and_by_health_until_it_is_back(
    server: QdrantProcess, data: Path, tmp_path: Path
) -> None:
    run("apply", str(write(tmp_path / "docs", 1)), "--domain", "plant")
    pipeline = pipeline_over(data)
    assert versions(pipeline) == {"v1.", "20"}
    assert pipeline.health().ready
    server.close()
    with pytest.raises(IndexUnavailable, match="UNDERSTUDY_INDEX__URL"):
        versions(pipeline)
    health = pipeline.health()
    assert (health.ready, "cannot be reached" in health.checks["index"]) == (False, True)
    again = server.again()
    assert versions(pipeline) == {"v1.", "20"}
    assert pipeline.health().ready
    pipeline.close()
    again.close()


def test_a_domain_moves_to_the_server_and_back_by_commands(
    server: QdrantProcess,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("UNDERSTUDY_INDEX__BACKEND", "edge")
    run("apply", str(write(tmp_path / "docs", 1)), "--domain", "plant")
    assert run("migrate", "--domain", "plant", "--to", "server") == 0
    assert "set UNDERSTUDY_INDEX__BACKEND=server" in capsys.readouterr().out
    monkeypatch.setenv("UNDERSTUDY_INDEX__BACKEND", "server")
    assert run("verify", "--domain", "plant") == 0
    assert aliases(server) == {"understudy_plant": held(data)[1]}
    pipeline = pipeline_over(data)
    assert versions(pipeline) == {"v1.", "20"}
    pipeline.close()
    assert run("migrate", "--domain", "plant", "--to", "embedded", "--remove-source") == 0
    monkeypatch.setenv("UNDERSTUDY_INDEX__BACKEND", "edge")
    assert run("verify", "--domain", "plant") == 0
    assert (collections(server), aliases(server)) == ([], {})


def test_a_wrong_key_is_told_and_never_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = QdrantProcess(tmp_path / "qdrant", api_key="right")
    settle(tmp_path / "data", monkeypatch)
    monkeypatch.setenv("UNDERSTUDY_INDEX__BACKEND", "server")
    monkeypatch.setenv("UNDERSTUDY_INDEX__URL", server.url)
    monkeypatch.setenv("UNDERSTUDY_INDEX__API_KEY", "swordfish")
    source = write(tmp_path / "docs", 1)
    assert run("apply", str(source), "--domain", "plant") == 2
    said = capsys.readouterr().err
    assert "UNDERSTUDY_INDEX__API_KEY" in said
    assert "swordfish" not in said
    monkeypatch.setenv("UNDERSTUDY_INDEX__API_KEY", "right")
    assert run("apply", str(source), "--domain", "plant") == 0
    server.close()


def test_two_installations_on_one_server_do_not_write_into_each_other(
    server: QdrantProcess, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("apply", str(write(tmp_path / "docs", 1)), "--domain", "plant")
    first = pipeline_over(data)
    settle(tmp_path / "other", monkeypatch)
    monkeypatch.setenv("UNDERSTUDY_INDEX__ALIAS", "staging")
    assert run("apply", str(write(tmp_path / "others", 7, count=5)), "--domain", "plant") == 0
    second = pipeline_over(tmp_path / "other")
    assert (versions(first), versions(second)) == ({"v1.", "20"}, {"v7.", "5"})
    assert aliases(server) == {"understudy_plant": held(data)[0], "staging_plant": held(tmp_path / "other")[0]}
    assert run("delete", "--domain", "plant", "--all") == 0
    assert versions(first) == {"v1.", "20"}
    first.close()
    second.close()


def test_a_domain_named_like_a_collection_is_one_of_its_own(server: QdrantProcess, data: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "docs", 1)
    for domain in ("plant", "plant_g000001"):
        assert run("apply", str(source), "--domain", domain) == 0
    assert sorted(aliases(server)) == ["understudy_plant", "understudy_plant_g000001"]


def test_a_generation_of_before_there_were_identities_is_found_and_goes_on(
    server: QdrantProcess, data: Path, tmp_path: Path
) -> None:
    source = tmp_path / "docs"
    run("apply", str(write(source, 1)), "--domain", "plant")
    live = Catalog(data).live("plant")
    before = QdrantIndex(
        client_of(server), domain="plant", generation="g000001", dimensions=DIMENSIONS, fields={}, create=True
    )
    before.fill_from(cast("QdrantIndex", open_index(load(), live, create=False)))
    drop_index(load(), live)
    path = live.folder / "manifest.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text("utf-8")).items() if k != "identity"}))
    assert collections(server) == ["understudy_plant_g000001"]
    pipeline = pipeline_over(data)
    assert versions(pipeline) == {"v1.", "20"}
    run("apply", str(write(source, 2)), "--domain", "plant")
    assert versions(pipeline) == {"v2.", "20"}
    assert run("rollback", "--domain", "plant") == 0
    assert versions(pipeline) == {"v1.", "20"}
    pipeline.close()
    assert aliases(server) == {"understudy_plant": "understudy_plant_g000001"}
