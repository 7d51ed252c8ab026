"""The catalog: one live generation a domain, swapped at once, deleted as files, refused where it does not fit."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from rag.catalog import FORMAT_VERSION, Catalog, Generation, Manifest, check_compatible, check_domain_name, new_manifest
from rag.errors import CorpusError, IncompatibleIndex, InvalidQuestion, UnknownDomain
from rag.types import FieldType


def manifest(domain: str = "plant", generation: str = "g000001", title: str = "") -> Manifest:
    return new_manifest(
        domain=domain,
        generation=generation,
        backend="edge",
        embedder="all-MiniLM-L6-v2",
        embedder_fingerprint="e" * 64,
        weights_sha256="a" * 64,
        dimensions=384,
        chunker_fingerprint="sentences-1",
        fields={"revision": FieldType.INTEGER},
        title=title,
    )


def stored(catalog: Catalog, **names: str) -> Generation:
    generation = catalog.create(manifest(**names))
    catalog.promote(generation)
    return generation


def test_nothing_stored_is_no_domain(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "absent")
    assert catalog.domains() == []
    assert catalog.generations("plant") == []
    assert catalog.next_generation("plant") == "g000001"


def test_an_unknown_domain_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UnknownDomain, match="no domain 'plant'; `understudy ingest apply PATH --domain plant`"):
        Catalog(tmp_path).live("plant")


def test_a_generation_is_listed_only_once_promoted(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    generation = catalog.create(manifest())
    assert catalog.domains() == []
    assert catalog.generations("plant") == ["g000001"]
    catalog.promote(generation)
    assert catalog.domains() == ["plant"]
    assert catalog.live("plant").manifest == generation.manifest


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    written = stored(catalog, title="Handbuch \u2013 Anlage").manifest
    assert Catalog(tmp_path).live("plant").manifest == written
    assert written.format_version == FORMAT_VERSION


def test_the_same_generation_is_not_made_twice(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.create(manifest())
    with pytest.raises(CorpusError, match="File exists"):
        catalog.create(manifest())


def test_a_new_generation_replaces_the_old_at_promotion_and_can_be_taken_back(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    old = stored(catalog)
    assert catalog.next_generation("plant") == "g000002"
    new = catalog.create(manifest(generation="g000002"))
    assert catalog.live("plant").manifest.generation == "g000001"
    catalog.promote(new)
    assert catalog.live("plant").manifest.generation == "g000002"
    assert catalog.generations("plant") == ["g000001", "g000002"]
    catalog.promote(old)
    assert catalog.live("plant").manifest.generation == "g000001"


def test_a_reader_sees_the_old_or_the_new_generation_and_never_half(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    generations = [stored(catalog), catalog.create(manifest(generation="g000002"))]
    done = threading.Event()
    failures: list[Exception] = []
    seen: set[str] = set()

    def read() -> None:
        reader = Catalog(tmp_path)
        while not done.is_set():
            try:
                seen.add(reader.live("plant").manifest.generation)
            except CorpusError as error:
                failures.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(200):
        catalog.promote(generations[turn % 2])
    done.set()
    thread.join()
    assert failures == []
    assert seen <= {"g000001", "g000002"}
    assert seen


def test_a_crash_while_writing_leaves_the_live_generation(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    stored(catalog)
    (tmp_path / "domains" / "plant" / "current.new").write_text("g0000")
    assert catalog.live("plant").manifest.generation == "g000001"
    catalog.promote(catalog.create(manifest(generation="g000002")))
    assert catalog.live("plant").manifest.generation == "g000002"


def test_an_update_keeps_the_folder_and_replaces_the_manifest(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    generation = stored(catalog)
    changed = generation.manifest.model_copy(update={"title": "Second edition"})
    assert catalog.update(generation, changed).folder == generation.folder
    assert catalog.live("plant").manifest.title == "Second edition"


def test_delete_removes_every_file_of_one_domain_alone(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    stored(catalog).documents_path.write_bytes(b"x")
    stored(catalog, domain="model-choice")
    assert catalog.delete("plant") is True
    assert catalog.domains() == ["model-choice"]
    assert not (tmp_path / "domains" / "plant").exists()
    assert catalog.delete("plant") is False


def test_delete_clears_what_an_unfinished_build_left(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.create(manifest())
    assert catalog.delete("plant") is False
    assert not (tmp_path / "domains" / "plant").exists()


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, None, "1"])
def test_another_format_is_refused_with_the_way_out(tmp_path: Path, version: object) -> None:
    catalog = Catalog(tmp_path)
    path = stored(catalog).folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": version}))
    with pytest.raises(IncompatibleIndex, match=f"format {version!r}.*reads format {FORMAT_VERSION}: `understudy"):
        catalog.live("plant")


@pytest.mark.parametrize("content", ["", "{", "[]x"])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    catalog = Catalog(tmp_path)
    (stored(catalog).folder / "manifest.json").write_text(content)
    with pytest.raises(CorpusError, match=r"manifest\.json is damaged"):
        catalog.live("plant")


def test_a_manifest_with_a_bad_field_is_named(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    path = stored(catalog).folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dimensions": 0}))
    with pytest.raises(CorpusError, match=r"damaged \(1 bad fields\)"):
        catalog.live("plant")


def test_a_generation_that_has_gone_is_told(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    (stored(catalog).folder / "manifest.json").unlink()
    with pytest.raises(CorpusError, match="no generation 'g000001' on disk"):
        catalog.live("plant")


@pytest.mark.parametrize("name", ["a", "plant", "nq_evouna", "model-choice", "v1.2", "0" * 63])
def test_a_name_that_is_a_folder_and_a_collection_is_taken(name: str) -> None:
    assert check_domain_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a..b", "/etc", "Plant", "-a", "a-", "a b", "a\n", "0" * 64, "\u00fc"]
)
def test_a_name_that_could_leave_the_folder_is_refused_everywhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    catalog = Catalog(tmp_path / "data")
    for use in (catalog.live, catalog.delete, catalog.generations, catalog.next_generation):
        with pytest.raises(InvalidQuestion, match="is no domain name"):
            use(name)
    with pytest.raises(InvalidQuestion):
        catalog.create(manifest(domain=name))
    assert (tmp_path / "x").is_dir()
    assert not (tmp_path / "data").exists()


def test_a_very_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidQuestion) as caught:
        check_domain_name("x" * 10_000)
    assert len(str(caught.value)) < 300


def test_the_embedder_and_chunker_of_the_manifest_fit_themselves() -> None:
    check_compatible(
        manifest(),
        embedder="all-MiniLM-L6-v2",
        embedder_fingerprint="e" * 64,
        chunker_fingerprint="sentences-1",
    )


def test_another_embedder_is_refused_by_both_names() -> None:
    with pytest.raises(IncompatibleIndex, match=r"'all-MiniLM-L6-v2' .*uses 'bge' .*UNDERSTUDY_EMBEDDER__MODEL"):
        check_compatible(manifest(), embedder="bge", embedder_fingerprint="f" * 64, chunker_fingerprint=None)


def test_another_chunker_matters_to_a_writer_alone() -> None:
    check_compatible(manifest(), embedder="x", embedder_fingerprint="e" * 64, chunker_fingerprint=None)
    with pytest.raises(IncompatibleIndex, match=r"'sentences-1'.*'sentences-2'"):
        check_compatible(manifest(), embedder="x", embedder_fingerprint="e" * 64, chunker_fingerprint="sentences-2")


def test_a_folder_that_cannot_be_written_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("a file in the way")
    with pytest.raises(CorpusError, match=r"cannot write .*Not a directory"):
        Catalog(tmp_path).create(manifest())
