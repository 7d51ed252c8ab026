"""Side generations on the real embedded index: nothing half seen, nothing copied in vain, and a way back."""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.comparison import Comparison
from ingest.corpus import open_corpus
from ingest.generations import previous, stored, tidy
from ingest.plan import plan
from ingest.progress import Meter, Progress
from ingest.rebuilding import rebuild
from ingest.removal import matching, remove
from ingest.run import apply
from ingest.target import Target
from ingest.verifying import verify
from ingest.writing import write as write_documents
from rag.catalog import Catalog, Generation
from rag.errors import Cancelled, CorpusError, IncompatibleIndex, IndexUnavailable, StorageFull
from rag.folder_copy import copy_shard
from rag.open_domains import OpenDomains
from rag.protocols import Vectors
from rag.types import Question
from tests.fakes.domains import DIMENSIONS, open_edge, open_pipeline, opened
from tests.fakes.embedder import HashedWords


def write(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def ingest(data: Path, source: Path, *, prune: bool = False, embedder: HashedWords | None = None) -> str:
    with opened(data, embedder) as target:
        return apply(open_corpus(source), target, prune=prune).generation


PUMPS = {f"pump-{n}.md": f"# Pump {n}\n\nPump {n} runs at {n}00 rpm." for n in range(1, 4)}


def names(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "domains" / "plant").iterdir() if path.is_dir())


def documents(data: Path) -> list[str]:
    with opened(data) as target:
        assert verify(target) == []
        return [item.id for item in target.summaries()]


def test_what_changes_is_a_new_generation_and_what_does_not_is_none(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    assert ingest(data, source) == "g000001"
    assert ingest(data, source) == "g000001"
    assert names(data) == ["g000001"]
    write(source, {"pump-1.md": "# Pump 1\n\nPump 1 was scrapped."})
    assert ingest(data, source) == "g000002"
    assert names(data) == ["g000001", "g000002"]


def test_the_live_generation_is_not_written_while_it_is_copied_and_changed(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)
    live = data / "domains" / "plant" / "g000001"
    before = {path: path.read_bytes() for path in live.rglob("*") if path.is_file()}
    write(source, {"pump-4.md": "# Pump 4\n\nPump 4 is new."})
    ingest(data, source)
    assert {path: path.read_bytes() for path in live.rglob("*") if path.is_file()} == before


def test_a_copy_keeps_the_holes_of_its_files(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)
    write(source, {"pump-4.md": "# Pump 4\n\nPump 4 is new."})
    ingest(data, source)
    first, second = stored(Catalog(data), "plant")
    assert (first.live, second.live, second.documents) == (False, True, 4)
    assert second.bytes < first.bytes * 1.2 < 10_000_000


def test_a_moved_file_keeps_its_vectors_and_a_copy_of_it_is_a_document_of_its_own(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)
    (source / "old").mkdir()
    (source / "pump-1.md").rename(source / "old" / "pump-1.md")
    write(source, {"twin.md": PUMPS["pump-2.md"]})
    embedder = HashedWords(dimensions=DIMENSIONS)
    with opened(data, embedder) as target:
        summary = apply(open_corpus(source), target, prune=True)
        assert verify(target) == []
        found = [item.id for item in target.summaries()]
    assert (summary.moved, summary.new, summary.removed, summary.chunks, summary.reused) == (1, 1, 0, 0, 2)
    assert embedder.embedded == []
    assert found == ["old/pump-1.md", "pump-2.md", "pump-3.md", "twin.md"]
    with opened(data) as target:
        assert remove(target, ["pump-2.md"]).chunks == 1
    assert documents(data) == ["old/pump-1.md", "pump-3.md", "twin.md"]


def test_of_a_changed_document_only_the_changed_chunks_are_embedded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    sections = [f"## Part {n}\n\n{f'Sentence of part {n}. ' * 60}" for n in range(6)]
    source = write(tmp_path / "docs", {"book.md": "# Book\n\n" + "\n\n".join(sections)})
    ingest(data, source)
    sections[3] = "## Part 3\n\nRewritten."
    write(source, {"book.md": "# Book\n\n" + "\n\n".join(sections)})
    embedder = HashedWords(dimensions=DIMENSIONS)
    with opened(data, embedder) as target:
        told = plan(open_corpus(source), target)
        sampled = len(embedder.embedded)
        summary = apply(open_corpus(source), target)
        assert verify(target) == []
    assert embedder.embedded[sampled:] == ["Book\nPart 3\nRewritten."]
    assert (told.chunks, told.reused) == (summary.chunks, summary.reused)


def test_a_plan_is_what_apply_then_does(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)
    (source / "pump-3.md").unlink()
    (source / "pump-2.md").rename(source / "second.md")
    write(source, {"pump-1.md": "# Pump 1\n\nChanged.", "pump-9.md": "# Pump 9\n\nNew.", "empty.md": ""})
    with opened(data) as target:
        told = plan(open_corpus(source), target, prune=True)
        assert names(data) == ["g000001"]
        summary = apply(open_corpus(source), target, prune=True)
    assert (told.new, told.changed, told.moved, told.gone) == (
        ["pump-9.md"],
        ["pump-1.md"],
        [("pump-2.md", "second.md")],
        ["pump-3.md"],
    )
    assert (told.unchanged, [item.source for item in told.unreadable]) == (0, ["empty.md"])
    assert (summary.new, summary.changed, summary.moved, summary.removed) == (1, 1, 1, 1)
    assert (summary.chunks, summary.reused) == (told.chunks, told.reused) == (2, 1)


def test_going_back_makes_the_earlier_documents_live_again(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    catalog = Catalog(data)
    ingest(data, source)
    with pytest.raises(CorpusError, match=r"no earlier generation to go back to; .*\(g000001\): none"):
        previous(catalog, "plant")
    (source / "pump-1.md").unlink()
    ingest(data, source, prune=True)
    catalog.promote(previous(catalog, "plant"))
    assert documents(data) == ["pump-1.md", "pump-2.md", "pump-3.md"]
    assert previous(catalog, "plant", "g000002").manifest.generation == "g000002"
    assert ingest(data, source, prune=True) == "g000003"
    assert documents(data) == ["pump-2.md", "pump-3.md"]


def test_superseded_generations_go_by_number_and_age_but_never_the_previous_one(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "docs"
    catalog = Catalog(data)
    for turn in range(5):
        ingest(data, write(source, {"a.md": f"# A\n\nVersion {turn}."}))
    dropped: list[Generation] = []
    now = datetime.now(UTC)
    assert tidy(catalog, "plant", days=30, keep=3, drop_index=dropped.append, now=now) == ["g000001"]
    assert [item.manifest.generation for item in dropped] == ["g000001"]
    later = now + timedelta(days=31)
    assert tidy(catalog, "plant", days=30, keep=3, drop_index=dropped.append, now=later) == ["g000003", "g000002"]
    assert names(data) == ["g000004", "g000005"]


@pytest.mark.parametrize("when", ["before anything is written", "when all is written"])
def test_a_cancelled_run_leaves_nothing_behind(tmp_path: Path, when: str) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    made: list[list[str]] = []
    with opened(data) as target:

        def stop(state: Progress) -> None:
            made.append(Catalog(data).generations("plant"))
            if made[-1] if when == "when all is written" else state.chunks:
                raise Cancelled("enough")

        with pytest.raises(Cancelled):
            apply(open_corpus(source), target, progress=stop)
    assert bool(made[-1]) == (when == "when all is written")
    assert not (data / "domains" / "plant").exists() or names(data) == []
    assert Catalog(data).domains() == []


def test_a_disk_that_is_full_during_the_copy_leaves_the_live_generation_alone(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)

    def full(old: Generation, new: Generation) -> None:
        copy_shard(old, new)
        raise StorageFull("no space left")

    write(source, {"pump-4.md": "# Pump 4\n\nNew."})
    with opened(data) as target:
        target._copy_index = full
        with pytest.raises(StorageFull):
            apply(open_corpus(source), target)
    assert names(data) == ["g000001"]
    assert documents(data) == sorted(PUMPS)


def test_what_another_run_left_is_removed_and_what_the_same_left_is_gone_on_with(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    other = write(tmp_path / "other", {"x.md": "# X\n\nOther."})
    ingest(data, source)
    with opened(data) as target:
        target.begin(f"{open_corpus(source).identity()}/False")
        target.delete(["pump-1.md"])
    assert names(data) == ["g000001", "g000002"]
    ingest(data, other)
    assert documents(data) == [*sorted(PUMPS), "x.md"]


def test_what_an_interrupted_run_wrote_and_the_source_lost_since_never_becomes_live(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    with opened(data) as target:
        target.begin(f"{open_corpus(source).identity()}/False")
        comparison = Comparison([], {})
        found = [ready for found in open_corpus(source).documents() if (ready := comparison.take(found))]
        write_documents(found, target, Meter({}, None))
    (source / "pump-1.md").unlink()
    embedder = HashedWords(dimensions=DIMENSIONS)
    ingest(data, source, embedder=embedder)
    assert documents(data) == ["pump-2.md", "pump-3.md"]
    assert embedder.embedded == []


def test_index_and_documents_that_disagree_are_never_made_live(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)
    with opened(data) as target:
        target.begin()
        target.change()
        target.index.delete_documents(["pump-1.md"])
        with pytest.raises(CorpusError, match="2 chunks in its index and 3 in its documents"):
            target.promote()
    assert documents(data) == sorted(PUMPS)


def test_a_rebuild_embeds_the_stored_texts_anew_without_their_source_and_can_be_undone(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    catalog = Catalog(data)
    ingest(data, source)
    other = HashedWords(dimensions=64, name="other")
    with pytest.raises(IncompatibleIndex, match="understudy ingest rebuild --domain plant"):
        ingest(data, source, embedder=other)

    def afresh(embedder: HashedWords) -> Target:
        return Target(
            "plant",
            catalog=catalog,
            embedder=embedder,
            open_index=open_edge,
            backend="edge",
            create=False,
            afresh=True,
        )

    class Failing(HashedWords):
        def embed(self, texts: Sequence[str]) -> Vectors:
            raise IndexUnavailable("gone")

    with closing(afresh(Failing(dimensions=64, name="other"))) as target, pytest.raises(IndexUnavailable):
        rebuild(target)
    assert documents(data) == sorted(PUMPS)
    for path in source.iterdir():
        path.unlink()
    with closing(afresh(other)) as target:
        done = rebuild(target)
        assert verify(target) == []
    assert (done.generation, done.changed, done.chunks) == ("g000002", 3, 3)
    assert len(other.embedded) == 3
    write(source, PUMPS)
    assert ingest(data, source, embedder=other) == "g000002"
    catalog.promote(previous(catalog, "plant"))
    assert documents(data) == sorted(PUMPS)


def test_documents_go_by_what_their_metadata_say(tmp_path: Path) -> None:
    data = tmp_path / "data"
    source = write(
        tmp_path / "docs",
        {
            "a.md": "---\narea: north\ndraft: true\n---\n# A\n\nAlpha.",
            "b.md": "---\narea: north\ndraft: false\n---\n# B\n\nBeta.",
            "c.md": "# C\n\nGamma.",
        },
    )
    ingest(data, source)
    with opened(data) as target:
        assert matching(target, {"area": "north"}) == ["a.md", "b.md"]
        assert matching(target, {"area": "north", "draft": "true"}) == ["a.md"]
        assert matching(target, {"height": "1"}) == []
        result = remove(target, [*matching(target, {"draft": "true"}), "nowhere.md"])
    assert (result.documents, result.chunks, result.unknown) == (1, 1, ["nowhere.md"])
    assert documents(data) == ["b.md", "c.md"]


def test_an_answer_ends_on_the_generation_that_it_began_with(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)
    domains = OpenDomains(Catalog(data), HashedWords(dimensions=DIMENSIONS), open_edge)
    old = domains.get("plant")
    write(source, {"pump-4.md": "# Pump 4\n\nNew."})
    ingest(data, source)
    new = domains.get("plant")
    assert (old.documents.counts(), new.documents.counts()) == ((3, 3), (4, 4))
    assert (old.index.count(), new.index.count()) == (3, 4)
    store = old.documents
    del old
    with pytest.raises(CorpusError, match="closed database"):
        store.counts()
    domains.close()


def test_eight_askers_see_the_old_or_the_new_and_never_an_error(tmp_path: Path) -> None:
    """Each generation holds one version of twenty documents: an answer that mixes versions would show two."""
    data, source = tmp_path / "data", tmp_path / "docs"

    def version(number: int) -> Path:
        return write(source, {f"d{n}.md": f"# Valve {n}\n\nValve {n} is at version v{number}." for n in range(20)})

    ingest(data, version(0))
    pipeline = open_pipeline(data, scope=False)
    failures: list[Exception] = []
    seen: list[set[str]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                found = pipeline.passages(Question(text="valve version", domain="plant", max_passages=20))
            except Exception as error:  # noqa: BLE001  # any of them is what the test is about
                failures.append(error)
                return
            seen.append({passage.text.split()[-1] for passage in found} | {str(len(found))})

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        ingest(data, version(number))
    done.set()
    for thread in threads:
        thread.join()
    newest = pipeline.passages(Question(text="valve version", domain="plant"))
    pipeline.close()
    assert failures == []
    assert all(len(answer) == 2 and "20" in answer for answer in seen)
    assert len({frozenset(answer) for answer in seen}) > 1
    assert {passage.text.split()[-1] for passage in newest} == {"v5."}


def test_a_live_generation_is_one_sqlite_file_that_is_only_read(tmp_path: Path) -> None:
    data, source = tmp_path / "data", write(tmp_path / "docs", PUMPS)
    ingest(data, source)
    folder = data / "domains" / "plant" / "g000001"
    pipeline = open_pipeline(data)
    pipeline.passages(Question(text="pump", domain="plant"))
    assert [path.name for path in folder.iterdir() if "sqlite" in path.name] == ["documents.sqlite"]
    pipeline.close()
    with sqlite3.connect(folder / "documents.sqlite") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
