"""A Qdrant server that is down, busy, or has lost a collection: what is told, and that it blocks nothing here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click import BadParameter

from ingest.target import Target
from rag.adapters.qdrant_index import QdrantIndex, connect
from rag.build import open_index, publish_index
from rag.catalog import Catalog
from rag.errors import IndexUnavailable, MissingIndex
from rag.settings import load
from rag.stages import StageClock
from rag.types import Question
from tests.fakes.command_line import run, settle
from tests.fakes.qdrant_server import QdrantProcess
from tests.integration.test_qdrant_server import aliases, client_of, collections, held, pipeline_over, versions, write

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with an embedded domain."""
    settle(tmp_path / "data", monkeypatch)
    assert run("apply", str(write(tmp_path / "docs", 1)), "--domain", "plant") == 0
    return tmp_path / "data"


NO_ADDRESS = "127.0.0.1:6333"


@pytest.fixture
def on_server(data: Path, server: QdrantProcess, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same domain, on a server."""
    monkeypatch.setenv("UNDERSTUDY_INDEX__URL", server.url)
    assert run("migrate", "--domain", "plant", "--to", "server", "--remove-source") == 0
    monkeypatch.setenv("UNDERSTUDY_INDEX__BACKEND", "server")
    return data


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(IndexUnavailable, match="UNDERSTUDY_INDEX__URL"):
        QdrantIndex(
            connect(NOWHERE, api_key="", grpc=False, timeout_seconds=2),
            domain="d",
            generation="g000001",
            dimensions=64,
            fields={},
            create=True,
        )


@pytest.mark.parametrize("afterwards", [NOWHERE, NO_ADDRESS, ""])
def test_a_migration_to_a_server_that_is_not_there_blocks_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], afterwards: str
) -> None:
    monkeypatch.setenv("UNDERSTUDY_INDEX__URL", NOWHERE)
    assert run("migrate", "--domain", "plant", "--to", "server") == 2
    monkeypatch.setenv("UNDERSTUDY_INDEX__URL", afterwards)
    source = write(tmp_path / "docs", 2)
    assert run("apply", str(source), "--domain", "plant") == 0
    assert run("rebuild", "--domain", "plant") == 0
    assert run("delete", "--domain", "plant", "--document", "d1.md") == 0
    assert run("verify", "--domain", "plant") == 0
    capsys.readouterr()
    assert run("delete", "--domain", "plant", "--all") == 2
    assert ("--leave-collections" in capsys.readouterr().err) == (afterwards != NO_ADDRESS)
    assert run("verify", "--domain", "plant") == 0  # nothing was removed
    assert run("delete", "--domain", "plant", "--all", "--leave-collections") == 0
    assert not (data / "domains" / "plant").exists()
    assert run("apply", str(source), "--domain", "plant") == 0


def test_a_domain_on_a_server_that_is_down_is_deleted_only_where_that_is_said(
    on_server: Path, server: QdrantProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    server.close()
    assert run("delete", "--domain", "plant", "--all") == 2
    assert "nothing was removed" in capsys.readouterr().err
    assert Catalog(on_server).domains() == ["plant"]
    with pytest.raises(BadParameter, match="--all"):
        run("delete", "--domain", "plant", "--leave-collections")
    assert run("delete", "--domain", "plant", "--all", "--leave-collections") == 0
    assert Catalog(on_server).domains() == []
    again = server.again()
    assert list(aliases(again)) == ["understudy_plant"]
    again.close()


def test_a_collection_that_is_gone_is_told_by_all_and_made_anew_by_rebuild(
    on_server: Path, server: QdrantProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = pipeline_over(on_server)
    assert versions(pipeline) == {"v1.", "20"}
    client_of(server).delete_collection(held(on_server)[-1])
    with pytest.raises(MissingIndex, match="`understudy ingest rebuild --domain plant` makes it anew"):
        versions(pipeline)
    assert "makes it anew" in pipeline.health().checks["index"]
    for command in ("apply", "plan"):
        capsys.readouterr()
        code = run(command, str(tmp_path / "docs"), "--domain", "plant")
        assert (command, code) in {("apply", 2), ("plan", 0)}
        assert ("makes it anew" in capsys.readouterr().err) == (command == "apply")
    assert run("rebuild", "--domain", "plant") == 0
    assert versions(pipeline) == {"v1.", "20"}
    pipeline.close()
    assert run("verify", "--domain", "plant") == 0


def test_an_alias_that_a_crash_left_behind_is_put_right_by_the_next_run(
    on_server: Path, server: QdrantProcess, tmp_path: Path
) -> None:
    run("apply", str(write(tmp_path / "docs", 2)), "--domain", "plant")
    first, second = Catalog(on_server).finished("plant")
    publish_index(load(), first)  # as if the second had become live, and no more
    assert aliases(server) != {"understudy_plant": held(on_server)[1]}
    assert run("apply", str(tmp_path / "docs"), "--domain", "plant") == 0
    assert aliases(server) == {"understudy_plant": held(on_server)[1]}
    assert Catalog(on_server).live_name("plant") == second.manifest.generation


class Killed(Exception):
    pass


def test_a_side_collection_that_went_is_told_once_and_begun_anew(
    on_server: Path,
    server: QdrantProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def promote(_: Target) -> bool:
        raise Killed

    source = write(tmp_path / "docs", 2)
    with monkeypatch.context() as patched:
        patched.setattr(Target, "promote", promote)
        with pytest.raises(Killed):
            run("apply", str(source), "--domain", "plant")
    [side] = set(collections(server)) - set(held(on_server))
    client_of(server).delete_collection(side)
    assert run("apply", str(source), "--domain", "plant") == 2
    assert "run the command again, it begins anew" in capsys.readouterr().err
    assert run("apply", str(source), "--domain", "plant") == 0
    assert run("verify", "--domain", "plant") == 0
    assert collections(server) == held(on_server)


def test_a_question_whose_collection_is_removed_meanwhile_is_told_to_ask_again(
    on_server: Path, tmp_path: Path, server: QdrantProcess
) -> None:
    pipeline = pipeline_over(on_server)
    domain = pipeline._domains.get("plant")
    assert run("delete", "--domain", "plant", "--all") == 0
    question = Question(text="valve version", domain="plant")
    with pytest.raises(IndexUnavailable, match="ask again"):
        pipeline._searcher.search(domain, question.text, question, StageClock())
    pipeline.close()


@contextmanager
def answering(status: int, body: str, **headers: str) -> Iterator[str]:
    """The address of a server that answers everything in one way."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_PUT = do_POST = do_DELETE = _do  # noqa: N815  # http.server's names

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "body", "headers", "told"),
    [
        (429, "slow down", {"retry_after": "7"}, "is busy"),
        (429, "slow down", {"retry_after": "Mon, 30 Nov 2026 12:00:00 GMT"}, "is busy"),
        (429, "slow down", {}, "failed: .*429"),
        (500, '{"status": {"error": "panic\\n\\nin the engine"}}', {}, "failed: .*panic"),
        (200, "<html>log in</html>", {}, "does not answer as Qdrant does"),
        (200, '{"result": null, "status": "ok", "time": 0}', {}, "does not answer as Qdrant does"),
        (401, "no", {}, "UNDERSTUDY_INDEX__API_KEY"),
    ],
)
def test_what_a_server_says_instead_is_one_sentence(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: str,
    headers: dict[str, str],
    told: str,
) -> None:
    with answering(status, body, **headers) as url:
        monkeypatch.setenv("UNDERSTUDY_INDEX__URL", url)
        capsys.readouterr()
        assert run("migrate", "--domain", "plant", "--to", "server") == 2
        said = capsys.readouterr().err
        assert said.strip().count("\n") == 0
        live = Catalog(data).live("plant")
        monkeypatch.setenv("UNDERSTUDY_INDEX__BACKEND", "server")
        live.manifest = live.manifest.model_copy(update={"backend": "server"})
        with pytest.raises(IndexUnavailable, match=told):
            open_index(load(), live, create=False)
