"""An ingestion that is killed at any moment is put right by the next one; the command line's exit codes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.corpus import open_corpus
from ingest.run import apply
from ingest.target import Target
from ingest.verifying import verify
from rag.adapters.edge_index import EdgeIndex
from rag.catalog import Catalog, Generation
from rag.documents import DocumentStore, StoredChunk
from rag.errors import IndexLocked, IndexUnavailable
from rag.protocols import Vectors
from tests.fakes.embedder import HashedWords

CHILD = """
import sys, time
from pathlib import Path
from tests.fakes.embedder import HashedWords
from tests.integration.test_ingest_crash import opened
from ingest.corpus import open_corpus
from ingest.run import apply

target = opened(Path(sys.argv[1]))
print("open", flush=True)
while True:  # the corpus changes under it at every round, so that it is always writing
    for version in (1, 2):
        apply(open_corpus(Path(sys.argv[2]) / str(version)), target)
        print("round", flush=True)
"""


HOLDER = """
import sys
from pathlib import Path
from rag.adapters.edge_index import EdgeIndex

held = EdgeIndex(Path(sys.argv[1]), dimensions=int(sys.argv[2]), fields={}, create=False)
print("open", flush=True)
sys.stdin.read()
"""


def edge(generation: Generation, create: bool) -> EdgeIndex:
    manifest = generation.manifest
    return EdgeIndex(generation.shard_path, dimensions=manifest.dimensions, fields=manifest.fields, create=create)


def opened(data: Path, embedder: HashedWords | None = None) -> Target:
    return Target(
        "c", catalog=Catalog(data), embedder=embedder or HashedWords(), open_index=edge, backend="edge", create=True
    )


def write(folder: Path, version: int, count: int = 300) -> Path:
    (folder / str(version)).mkdir(parents=True)
    body = f" Version {version} of it is told in a sentence." * 30 * version
    rows = [json.dumps({"doc_id": f"d{n}", "title": f"T{n}", "text": f"Number {n}.{body}"}) for n in range(count)]
    (folder / str(version) / "corpus.jsonl").write_text("\n".join(rows), "utf-8")
    return folder


@pytest.mark.parametrize("wait", [0.05, 0.3, 0.7])
def test_after_a_kill_the_next_run_leaves_index_and_documents_in_agreement(tmp_path: Path, wait: float) -> None:
    source = write(tmp_path, 1)
    write(tmp_path, 2)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "data"), str(source)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    time.sleep(wait)
    child.kill()
    child.wait()
    child.stdout.close()
    target = opened(tmp_path / "data")
    summary = apply(open_corpus(source / "2"), target)
    assert verify(target) == []
    assert summary.new + summary.changed + summary.unchanged == 300
    assert len(target.store.summaries()) == 300
    target.close()


def test_a_document_left_pending_is_written_again_from_its_stored_text(tmp_path: Path) -> None:
    source = write(tmp_path, 1, count=2) / "1"
    corpus = open_corpus(source)
    target = opened(tmp_path / "data")
    apply(corpus, target)
    target.begin(f"{corpus.identity()}/False")
    target.change()
    ids = [chunk.id for chunk in target.store.chunks("d1")]
    target.store.begin([("d1", ids), ("never stored", [])])
    target.index.delete_chunks(ids)
    assert len(verify(target)) == 4  # two pending, the count, and the document's own count
    target.close()
    target = opened(tmp_path / "data")
    assert verify(target) == []  # readers never saw it
    summary = apply(open_corpus(source), target)
    assert (summary.repaired, summary.unchanged) == (2, 2)
    assert verify(target) == []
    target.close()


class FailingEmbedder(HashedWords):
    """Works for some calls, then fails as a backend does."""

    calls = 0

    def embed(self, texts: "list[str]") -> Vectors:  # type: ignore[override]  # a list is what it gets here
        self.calls += 1
        if self.calls > 8:
            raise IndexUnavailable("gone")
        return super().embed(texts)


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source = write(tmp_path, 1, count=3000) / "1"
    target = opened(tmp_path / "data", FailingEmbedder())
    with pytest.raises(IndexUnavailable):
        apply(open_corpus(source), target)
    kept, kept_chunks = target.store.counts()
    target.close()
    assert 0 < kept < 3000
    embedder = HashedWords()
    target = opened(tmp_path / "data", embedder)
    summary = apply(open_corpus(source), target)
    assert (summary.unchanged, summary.new) == (0, 3000)  # readers had none of them yet
    assert summary.chunks + summary.reused == target.store.counts()[1] - kept_chunks
    assert verify(target) == []
    target.close()


def test_verify_tells_a_chunk_outside_its_text(tmp_path: Path) -> None:
    source = write(tmp_path, 1, count=1) / "1"
    target = opened(tmp_path / "data")
    apply(open_corpus(source), target)
    target.begin()
    target.change()
    document = target.store.get("d0")
    assert document is not None
    [*others, last] = target.store.chunks("d0")
    wrong = StoredChunk(id=last.id, start=last.start, end=len(document.text) + 1)
    target.store.commit([(document, "recipe", [*others, wrong])])
    assert verify(target) == ["d0: a chunk lies outside its text"]
    target.close()


def test_what_another_process_answers_from_is_verified_in_a_copy(tmp_path: Path) -> None:
    data = tmp_path / "data"
    target = opened(data)
    apply(open_corpus(write(tmp_path, 1, count=3) / "1"), target)
    live = target.live()
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(live.shard_path), str(live.manifest.dimensions)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "open\n"
    try:
        with pytest.raises(IndexLocked):
            target.index.count()
        assert verify(target) == []
        DocumentStore(live.documents_path, writable=True).delete(["d1"])
        assert [fault.partition(" chunks")[0] for fault in verify(target)] == ["the index holds 6"]
        assert [path.name for path in live.folder.parent.glob("g*")] == [live.folder.name]
    finally:
        held.communicate("", timeout=30)
    assert target.index.count() == 6
    target.close()


@pytest.mark.slow
def test_the_command_line_applies_shows_verifies_and_deletes(tmp_path: Path, lend: Callable[[Path], Path]) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        environment = {**os.environ, "UNDERSTUDY_DATA__DIRECTORY": str(tmp_path / "data")}
        done = subprocess.run(
            [sys.executable, "-m", "ingest", *arguments], capture_output=True, text=True, env=environment, check=False
        )
        return done.returncode, done.stdout, done.stderr

    lend(tmp_path / "data")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nAlpha is first.", "utf-8")
    (tmp_path / "docs" / "b.md").write_text("", "utf-8")
    code, out, _ = run("apply", str(tmp_path / "docs"), "--domain", "d", "--json")
    result = json.loads(out)
    assert (code, result["new"], result["unreadable"][0]["reason"]) == (1, 1, "the file is empty")
    (tmp_path / "docs" / "b.md").unlink()
    code, out, _ = run("apply", str(tmp_path / "docs"), "--domain", "d")
    assert (code, out.split(";")[0]) == (0, "d: 0 new, 0 changed, 1 unchanged, 0 removed, 0 unreadable")
    assert [row["domain"] for row in json.loads(run("show", "--json")[1])] == ["d"]
    assert json.loads(run("verify", "--domain", "d", "--json")[1])["problems"] == []
    assert run("delete", "--domain", "d", "--document", "nowhere.md")[0] == 1
    assert run("delete", "--domain", "d", "--all")[0] == 0
    code, _, error = run("verify", "--domain", "d")
    assert (code, error.count("\n")) == (2, 1)
    assert "there is no domain 'd'" in error
    assert run("apply", str(tmp_path / "nowhere"), "--domain", "d")[0] == 2
