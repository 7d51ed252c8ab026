"""What a path tells of its document, as corpus.toml declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.corpus import Found, open_corpus
from ingest.path_patterns import PathPattern, told
from rag.errors import InvalidCorpus
from rag.types import FieldType


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("policies/{valid_from}/*", "policies/2023-05/travel.md", {"valid_from": "2023-05"}),
        ("policies/{valid_from}/*", "policies/2023-05/more/travel.md", {}),
        ("**/*-rev-{revision}", "pumps/big/pump-rev-B.pdf", {"revision": "B"}),
        ("**/*-rev-{revision}", "pump-rev-3.pdf", {"revision": "3"}),
        ("{area}/**", "melting/a/b.md", {"area": "melting"}),
        ("{year}/{area}-*.md", "2024/yard-x.md", {"year": "2024", "area": "yard"}),
        ("a.b/{x}", "aXb/1.md", {}),
    ],
)
def test_a_pattern_reads_fields_from_a_path(pattern: str, path: str, found: dict[str, str]) -> None:
    assert told(path, [PathPattern(pattern=pattern)]) == found


def corpus(folder: Path, toml: str) -> Path:
    for name in ("policies/2023-05/travel.md", "policies/2024-01/travel.md", "other.md"):
        path = folder / "documents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\narea: office\n---\nWords.", "utf-8")
    (folder / "corpus.toml").write_text(toml, "utf-8")
    return folder


def test_patterns_tell_typed_metadata_below_what_a_file_is_declared_to_be(tmp_path: Path) -> None:
    toml = (
        '[[paths]]\npattern = "policies/{valid_from}/*"\nmetadata = { area = "travel", binding = true }\n'
        '[metadata."policies/2024-01/travel.md"]\nvalid_from = "2024-02-01"\n'
    )
    found = open_corpus(corpus(tmp_path, toml))
    assert found.declaration.filterable == {"valid_from": FieldType.DATETIME}
    documents = [item.read() for item in found.documents() if isinstance(item, Found)]
    assert {document.id: document.metadata for document in documents} == {
        "other.md": {"area": "office"},
        "policies/2023-05/travel.md": {"area": "travel", "binding": True, "valid_from": "2023-05"},
        "policies/2024-01/travel.md": {"area": "travel", "binding": True, "valid_from": "2024-02-01"},
    }


@pytest.mark.parametrize("pattern", ["{a}/{a}", "{a-b}/*", "x}/*"])
def test_a_pattern_that_makes_no_sense_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InvalidCorpus, match="paths"):
        open_corpus(corpus(tmp_path, f'[[paths]]\npattern = "{pattern}"\n'))
