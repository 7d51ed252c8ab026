"""Whole domains copied: into a file and back, to a server and back; every vector as it was, nothing embedded."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from ingest.backup import Backup, write
from ingest.copying import Copied, fill, opened
from ingest.corpus import open_corpus
from ingest.generations import remove_elsewhere, tidy, utc_now
from ingest.progress import Progress
from ingest.run import apply
from ingest.target import OpenIndex, Target
from ingest.verifying import verify
from rag.adapters.qdrant_index import QdrantIndex
from rag.catalog import Catalog, Generation, Manifest
from rag.errors import CorpusError, IncompatibleIndex, InvalidBackup, StorageFull
from rag.protocols import Index, IndexedChunk
from rag.types import FieldType, Filter
from tests.fakes.domains import DIMENSIONS, open_edge, open_pipeline
from tests.fakes.embedder import HashedWords

TEXTS = {f"pump-{n}.md": f"# Pump {n}\n\n## Speed\n\nPump {n} runs at {n}00 rpm.\n" for n in range(1, 4)}
TEXTS["long.md"] = "---\narea: north\nheight: 4.0\n---\n# Long\n\n" + "\n\n".join(
    f"## Part {n}\n\n" + f"Part {n} of it says {n * 7}. " * 60 for n in range(5)
)
FIELDS = {"area": FieldType.KEYWORD}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    source = tmp_path / "docs"
    source.mkdir()
    for name, text in TEXTS.items():
        (source / name).write_text(text, "utf-8")
    with target_of(tmp_path / "data", HashedWords(dimensions=DIMENSIONS), fields=FIELDS) as target:
        apply(open_corpus(source), target)
    return tmp_path / "data"


@contextmanager
def target_of(
    data: Path,
    embedder: HashedWords | None = None,
    *,
    domain: str = "plant",
    open_index: OpenIndex = open_edge,
    backend: str = "edge",
    fields: dict[str, FieldType] | None = None,
    like: Manifest | None = None,
) -> Iterator[Target]:
    target = Target(
        domain,
        catalog=Catalog(data),
        embedder=embedder,
        open_index=open_index,
        backend=backend,
        create=True,
        fields=fields,
        like=like,
    )
    with closing(target):
        yield target


def shared(client: QdrantClient) -> OpenIndex:
    """Indexes on one server; closing one leaves the server's client open."""

    class Collection(QdrantIndex):
        def close(self) -> None:
            pass

    def open_index(generation: Generation, create: bool) -> Index:
        manifest = generation.manifest
        return Collection(
            client,
            domain=manifest.domain,
            generation=manifest.generation,
            identity=manifest.identity,
            dimensions=manifest.dimensions,
            fields=manifest.fields,
            create=create,
        )

    return open_index


def contents(data: Path, domain: str = "plant", open_index: OpenIndex = open_edge) -> dict[str, IndexedChunk]:
    """Every chunk of the live generation by document and offset, after a check of the whole domain."""
    with target_of(data, HashedWords(dimensions=DIMENSIONS), domain=domain, open_index=open_index) as target:
        assert verify(target) == []
    with opened(Catalog(data).live(domain), open_index) as source:
        return {f"{c.document_id}:{c.chunk.start}": c for _, chunks in source.read() for c in chunks}


def same(one: dict[str, IndexedChunk], other: dict[str, IndexedChunk]) -> bool:
    def told(chunk: IndexedChunk) -> tuple[object, ...]:
        return (chunk.document_id, chunk.title, chunk.text_sha256, chunk.chunk, chunk.metadata, chunk.search_text)

    return one.keys() == other.keys() and all(
        told(one[key]) == told(other[key]) and np.array_equal(one[key].vector, other[key].vector) for key in one
    )


def back_up(data: Path, out: Path, progress: Callable[[Progress], None] | None = None) -> None:
    with opened(Catalog(data).live("plant"), open_edge) as source:
        write(source, out, progress=progress)


def restore(data: Path, file: Path, domain: str = "plant") -> Copied:
    with closing(Backup(file)) as source, target_of(data, domain=domain, like=source.manifest) as target:
        return fill(target, source, purpose=f"restore/{source.digest}")


def names(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "domains" / "plant").iterdir() if path.is_dir())


def test_a_restored_domain_is_the_same_to_the_last_bit_and_nothing_was_embedded(data: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    back_up(data, tmp_path / "plant.tar", told.append)
    before = contents(data)
    assert (told[-1].documents, told[-1].total, told[-1].chunks) == (4, 4, len(before))
    done = restore(tmp_path / "elsewhere", tmp_path / "plant.tar")
    assert (done.generation, done.documents, done.chunks) == ("g000001", 4, len(before))
    after = contents(tmp_path / "elsewhere")
    assert same(before, after)
    assert {chunk.id for chunk in before.values()} == {chunk.id for chunk in after.values()}
    old, new = Catalog(data).live("plant").manifest, Catalog(tmp_path / "elsewhere").live("plant").manifest
    assert old.model_copy(update={"created": new.created, "identity": new.identity}) == new
    assert old.identity != new.identity
    assert names(data) == ["g000001"]


def test_the_next_ingestion_of_a_restored_domain_finds_everything_unchanged(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "plant.tar")
    restore(tmp_path / "other", tmp_path / "plant.tar", domain="copy")
    embedder = HashedWords(dimensions=DIMENSIONS)
    with target_of(tmp_path / "other", embedder, domain="copy", fields=FIELDS) as target:
        summary = apply(open_corpus(tmp_path / "docs"), target)
        assert target.index.count(Filter(documents=("long.md",))) > 1
    assert (summary.unchanged, summary.new, summary.changed, embedder.embedded) == (4, 0, 0, [])
    (tmp_path / "docs" / "long.md").rename(tmp_path / "docs" / "longer.md")
    with target_of(tmp_path / "other", embedder, domain="copy", fields=FIELDS) as target:
        summary = apply(open_corpus(tmp_path / "docs"), target, prune=True)
    assert (summary.moved, summary.chunks, embedder.embedded) == (1, 0, [])  # its chunks' ids are the new domain's


def test_a_restore_over_a_domain_keeps_what_was_there_to_go_back_to(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "plant.tar")
    before = contents(data)
    (tmp_path / "docs" / "pump-1.md").write_text("# Pump 1\n\nScrapped.", "utf-8")
    with target_of(data, HashedWords(dimensions=DIMENSIONS)) as target:
        apply(open_corpus(tmp_path / "docs"), target)
    assert not same(before, contents(data))
    assert restore(data, tmp_path / "plant.tar").generation == "g000003"
    assert same(before, contents(data))
    assert names(data) == ["g000001", "g000002", "g000003"]


def test_a_backup_is_made_while_a_service_answers(data: Path, tmp_path: Path) -> None:
    pipeline = open_pipeline(data)
    pipeline.domains()
    with closing(pipeline):
        pipeline._domains.get("plant")  # holds the embedded index open
        back_up(data, tmp_path / "plant.tar")
    restore(tmp_path / "elsewhere", tmp_path / "plant.tar")
    assert same(contents(data), contents(tmp_path / "elsewhere"))


def test_a_name_that_no_file_can_have_is_refused_in_a_sentence(data: Path, tmp_path: Path) -> None:
    for name in ("docs/long.md/x.tar", "n" * 300, "n" * 253):
        with pytest.raises(InvalidBackup, match="cannot write"):
            back_up(data, tmp_path / name)


def repacked(file: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    out = file.with_name("changed.tar")
    out.unlink(missing_ok=True)
    with tarfile.open(file) as old, tarfile.open(out, "w") as new:
        for member in old.getmembers():
            handle = old.extractfile(member)
            assert handle is not None
            if kept := change(member.name, handle.read()):
                info = tarfile.TarInfo(kept[0])
                info.size = len(kept[1])
                new.addfile(info, io.BytesIO(kept[1]))
    return out


def flipped(name: str, data: bytes) -> tuple[str, bytes]:
    return (name, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]) if name.endswith(".f32") else (name, data)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (flipped, r"part-000001.f32 is not what|do not fit"),
        (lambda name, data: (name, data.replace(b"rpm", b"rpn")), "part-000001.jsonl is not what|do not fit"),
        (lambda name, data: (name, data.replace(b'"chunks": ', b'"chunks": 1')), "backup.json is not what"),
        (lambda name, data: None if name.endswith(".f32") else (name, data), "its parts are not those"),
        (lambda name, data: None if name == "backup.json" else (name, data), "no backup, or one whose end is missing"),
        (lambda name, data: (f"../{name}", data), "is no backup: it holds '../part-000001.jsonl'"),
    ],
)
def test_an_altered_backup_restores_nothing(
    data: Path, tmp_path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None], told: str
) -> None:
    back_up(data, tmp_path / "plant.tar")
    with pytest.raises(InvalidBackup, match=told):
        restore(tmp_path / "elsewhere", repacked(tmp_path / "plant.tar", change))
    assert Catalog(tmp_path / "elsewhere").domains() == []
    assert not list((tmp_path / "elsewhere").glob("domains/*/g*"))
    assert not [path for path in tmp_path.parent.iterdir() if path.name.startswith("part-")]


def test_links_cut_off_files_and_other_files_are_no_backups(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "plant.tar")
    whole = (tmp_path / "plant.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar").write_text("not a tar")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("part-000001.jsonl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    for name in ("cut.tar", "text.tar", "link.tar", "missing.tar"):
        with pytest.raises(InvalidBackup):
            Backup(tmp_path / name)


def test_a_backup_of_another_format_or_embedder_is_refused_with_the_way_out(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "plant.tar")
    with closing(Backup(tmp_path / "plant.tar")) as source:
        source.check(HashedWords(dimensions=DIMENSIONS))
        with pytest.raises(IncompatibleIndex, match=r"made with embedder 'hashed-words'.*UNDERSTUDY_EMBEDDER__MODEL"):
            source.check(HashedWords(dimensions=DIMENSIONS, name="other"))


def test_no_backup_replaces_a_file_and_none_is_left_half_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "plant.tar"
    out.write_text("precious")
    with pytest.raises(InvalidBackup, match="there is something at"):
        back_up(data, out)
    assert out.read_text() == "precious"
    out.unlink()

    def full(state: Progress) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageFull, match="no space left"):
        back_up(data, out, full)
    with pytest.raises(InvalidBackup, match="cannot write"):
        back_up(data, tmp_path / "nowhere" / "plant.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "docs"]


def test_an_index_that_lost_a_chunk_is_not_backed_up_as_if_it_were_whole(data: Path, tmp_path: Path) -> None:
    with closing(open_edge(Catalog(data).live("plant"))) as index:
        index.delete_documents(["pump-2.md"])
    with pytest.raises(CorpusError, match=r"'pump-2.md' .* is damaged: its index lacks a chunk"):
        back_up(data, tmp_path / "plant.tar")
    assert not (tmp_path / "plant.tar").exists()


def migrate(data: Path, open_old: OpenIndex, open_new: OpenIndex, backend: str) -> Copied:
    live = Catalog(data).live("plant")
    with (
        target_of(data, open_index=open_new, backend=backend, like=live.manifest) as target,
        opened(live, open_old) as source,
    ):
        return fill(target, source, purpose="migrate")


def test_a_domain_moves_to_a_server_and_back_with_the_same_vectors_and_keeps_the_other_side(data: Path) -> None:
    client = QdrantClient(":memory:")
    server = shared(client)
    before = contents(data)
    done = migrate(data, open_edge, server, "server")
    live = Catalog(data).live("plant")
    assert (done.generation, live.manifest.backend, live.shard_path.exists()) == ("g000002", "server", False)
    assert same(before, contents(data, open_index=server))
    assert client.count(f"understudy_plant~g000002~{live.manifest.identity}").count == len(before)
    migrate(data, server, open_edge, "edge")
    assert same(before, contents(data))
    assert names(data) == ["g000001", "g000002", "g000003"]
    code, _, stderr = run(data, "migrate", "--domain", "plant", "--to", "embedded", "--remove-source")
    assert (code, "UNDERSTUDY_INDEX__URL" in stderr) == (2, True)  # what is on a server that is not named stays
    assert names(data) == ["g000001", "g000002", "g000003"]
    dropped: list[Generation] = []
    assert remove_elsewhere(Catalog(data), "plant", drop_index=dropped.append) == ["g000002"]
    assert [item.manifest.generation for item in dropped] == ["g000002"]
    assert names(data) == ["g000001", "g000003"]
    assert remove_elsewhere(Catalog(data), "plant", drop_index=dropped.append) == []


def test_what_a_migration_left_on_the_other_side_does_not_age(data: Path) -> None:
    server = shared(QdrantClient(":memory:"))
    migrate(data, open_edge, server, "server")
    live = Catalog(data).live("plant")
    for _ in range(2):
        with target_of(data, open_index=server, backend="server", like=live.manifest) as target:
            target.begin()
            target.change()
            target.promote()
    assert tidy(Catalog(data), "plant", days=30, keep=1, drop_index=lambda _: None, now=utc_now()) == ["g000002"]
    assert names(data) == ["g000001", "g000003", "g000004"]


class Interrupted(Exception):
    pass


def test_an_interrupted_copy_is_gone_on_with_by_the_same_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.copying.GROUP_CHUNKS", 1)
    server = shared(QdrantClient(":memory:"))
    live = Catalog(data).live("plant")
    before = contents(data)

    def stop(state: Progress) -> None:
        if state.documents == 2:
            raise Interrupted

    def copy(progress: Callable[[Progress], None] | None = None) -> None:
        with (
            target_of(data, open_index=server, backend="server", like=live.manifest) as target,
            opened(live, open_edge) as source,
        ):
            fill(target, source, purpose="copy", progress=progress)

    with pytest.raises(Interrupted):
        copy(stop)
    assert Catalog(data).live_name("plant") == "g000001"
    assert names(data) == ["g000001", "g000002"]
    copy()
    assert Catalog(data).live_name("plant") == "g000002"
    assert same(before, contents(data, open_index=server))


def run(data: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ingest", *arguments],
        env={**os.environ, "UNDERSTUDY_DATA__DIRECTORY": str(data), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_backs_up_and_refuses_in_one_sentence(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "plant.tar"
    code, stdout, _ = run(data, "backup", "--domain", "plant", "--out", str(out), "--json")
    assert code == 0
    assert json.loads(stdout) == {
        "domain": "plant",
        "generation": "g000001",
        "documents": 4,
        "chunks": len(contents(data)),
        "file": str(out),
        "bytes": out.stat().st_size,
    }
    refused = {
        ("backup", "--domain", "plant", "--out", str(out)): "there is something at",
        ("backup", "--domain", "nowhere", "--out", str(out)): "there is no domain 'nowhere'",
        ("restore", str(tmp_path / "docs" / "long.md")): "is no backup",
        ("restore", str(out), "--domain", "Not A Name"): "is no domain name",
        ("migrate", "--domain", "plant", "--to", "server"): "set UNDERSTUDY_INDEX__URL",
        ("migrate", "--domain", "nowhere", "--to", "embedded"): "there is no domain 'nowhere'",
    }
    for arguments, told in refused.items():
        code, stdout, stderr = run(data, *arguments)
        assert (code, stdout, stderr.count("\n")) == (2, "", 1)
        assert told in stderr
    assert names(data) == ["g000001"]


def test_a_migration_to_where_it_is_does_nothing_and_a_server_that_is_not_there_changes_nothing(data: Path) -> None:
    code, stdout, _ = run(data, "migrate", "--domain", "plant", "--to", "embedded")
    assert (code, stdout) == (0, "plant: g000001 is on embedded already\n")
    unreachable = {"UNDERSTUDY_INDEX__URL": "http://127.0.0.1:9"}
    code, _, stderr = run(data, "migrate", "--domain", "plant", "--to", "server", **unreachable)
    assert (code, "cannot be reached" in stderr) == (2, True)
    assert Catalog(data).live_name("plant") == "g000001"
    code, _, _ = run(data, "show", "--domain", "plant")
    assert code == 0
