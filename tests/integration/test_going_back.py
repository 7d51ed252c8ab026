"""Which generation is built from, and which one is gone back to, whatever happened to the domain before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.corpus import open_corpus
from ingest.generations import previous, tidy
from ingest.run import apply
from ingest.verifying import verify
from rag.catalog import UNFINISHED, Catalog, Generation, Unfinished
from rag.errors import CorpusError
from tests.fakes.command_line import run, settle
from tests.fakes.domains import DIMENSIONS, opened
from tests.fakes.embedder import HashedWords


def ingest(data: Path, texts: dict[str, str]) -> str:
    """Apply a folder of these files with pruning; the generation."""
    source = data.parent / "docs"
    source.mkdir(exist_ok=True)
    for path in source.iterdir():
        path.unlink()
    for name, text in texts.items():
        (source / name).write_text(text, "utf-8")
    with opened(data) as target:
        return apply(open_corpus(source), target, prune=True).generation


def documents(data: Path) -> list[str]:
    with opened(data) as target:
        assert verify(target) == []
        return [item.id for item in target.summaries()]


def names(data: Path) -> list[str]:
    return [item.manifest.generation for item in Catalog(data).finished("plant")]


def test_a_rebuild_takes_what_became_live_while_its_embedder_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    ingest(data, {"a.md": "# A\n\nAlpha."})

    def slow_to_load(_: object) -> HashedWords:
        ingest(data, {"a.md": "# A\n\nAlpha.", "late.md": "# Late\n\nAcknowledged meanwhile."})
        return HashedWords(dimensions=DIMENSIONS)

    settle(data, monkeypatch)
    monkeypatch.setattr("rag.build.open_embedder", slow_to_load)
    assert run("rebuild", "--domain", "plant") == 0
    assert "g000003 is live" in capsys.readouterr().out
    assert documents(data) == ["a.md", "late.md"]


def test_what_was_gone_back_from_is_not_gone_back_to(tmp_path: Path) -> None:
    data = tmp_path / "data"
    catalog = Catalog(data)
    ingest(data, {"a.md": "# A\n\nGood."})
    ingest(data, {"a.md": "# A\n\nRejected."})
    catalog.promote(previous(catalog, "plant"))
    assert ingest(data, {"a.md": "# A\n\nBetter."}) == "g000003"
    assert previous(catalog, "plant").manifest.generation == "g000001"
    dropped: list[Generation] = []
    later = datetime.now(UTC) + timedelta(days=99)
    assert tidy(catalog, "plant", days=30, keep=3, drop_index=dropped.append, now=later) == ["g000002"]
    assert previous(catalog, "plant").manifest.generation == "g000001"
    catalog.promote(previous(catalog, "plant"))
    with pytest.raises(CorpusError, match="no earlier generation to go back to"):
        previous(catalog, "plant")


def test_a_domain_of_an_older_version_goes_back_to_the_newest_before(tmp_path: Path) -> None:
    data = tmp_path / "data"
    catalog = Catalog(data)
    for version in range(3):
        ingest(data, {"a.md": f"# A\n\nVersion {version}."})
    for generation in catalog.finished("plant"):
        manifest = generation.folder / "manifest.json"
        lines = [line for line in manifest.read_text("utf-8").splitlines(True) if '"base"' not in line]
        manifest.write_text("".join(lines), "utf-8")
    assert catalog.live("plant").manifest.base == ""
    assert previous(catalog, "plant").manifest.generation == "g000002"


def test_a_kill_just_after_a_generation_became_live_does_not_cost_it_later(tmp_path: Path) -> None:
    data = tmp_path / "data"
    catalog = Catalog(data)
    ingest(data, {"a.md": "# A\n\nOne."})
    ingest(data, {"a.md": "# A\n\nTwo."})
    # killed between the two last steps of `promote`: the name is written, the mark still there
    catalog.mark(catalog.live("plant"), Unfinished(base="g000001", purpose="p", filled=True))
    ingest(data, {"a.md": "# A\n\nThree."})
    ingest(data, {"a.md": "# A\n\nFour."})
    assert names(data) == ["g000001", "g000002", "g000003", "g000004"]
    catalog.mark(catalog.live("plant"), Unfinished(base="g000003", purpose="p", filled=True))
    catalog.promote(previous(catalog, "plant"))
    assert names(data)[-1] == "g000004"
    assert list((data / "domains").rglob(UNFINISHED)) == []


def test_what_the_live_one_was_made_of_is_kept_before_what_was_gone_back_from(tmp_path: Path) -> None:
    data = tmp_path / "data"
    catalog = Catalog(data)

    def bring(text: str) -> str:
        name = ingest(data, {"a.md": f"# A\n\n{text}"})
        tidy(catalog, "plant", days=0, keep=3, drop_index=lambda _: None, now=datetime.now(UTC))
        return name

    bring("One.")
    bring("Two.")
    for attempt in range(3):
        bring(f"Bad {attempt}.")
        catalog.promote(previous(catalog, "plant"))
    assert (bring("Three."), bring("Four.")) == ("g000006", "g000007")
    assert names(data) == ["g000001", "g000002", "g000006", "g000007"]
    for wanted in ("g000006", "g000002", "g000001"):
        catalog.promote(previous(catalog, "plant"))
        assert catalog.live("plant").manifest.generation == wanted


def test_where_what_it_was_made_of_is_kept_no_longer_another_is_gone_back_to_by_name_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    catalog = Catalog(data)
    for version in range(3):
        ingest(data, {"a.md": f"# A\n\nVersion {version}."})
    catalog.remove("plant", "g000002")
    with pytest.raises(CorpusError, match=r"no earlier generation to go back to; .*: g000001"):
        previous(catalog, "plant")
    assert previous(catalog, "plant", "g000001").manifest.generation == "g000001"
