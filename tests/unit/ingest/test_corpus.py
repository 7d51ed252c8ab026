"""What a path is, which files belong to it, and what is refused with the file, the key and the way out."""

from pathlib import Path

import pytest

from ingest.comparison import Comparison
from ingest.corpus import Found, Unreadable, open_corpus
from ingest.rows import Mapping
from rag.errors import InvalidCorpus


def found(path: Path, mapping: Mapping | None = None) -> list[Found]:
    items = list(open_corpus(path, mapping=mapping).documents())
    assert all(isinstance(item, Found) for item in items), items
    return [item for item in items if isinstance(item, Found)]


def bad(path: Path) -> dict[str, str]:
    return {item.source: item.reason for item in open_corpus(path).documents() if isinstance(item, Unreadable)}


def test_ids_are_paths_below_the_folder_sorted_and_hidden_files_stay_out(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("z.md", "b/a.txt", ".hidden.md", ".git/x.md"):
        (tmp_path / name).write_text("words", "utf-8")
    assert [item.id for item in found(tmp_path)] == ["b/a.txt", "z.md"]


def test_a_single_file_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# Title\n\nwords", "utf-8")
    [item] = found(tmp_path / "one.md")
    assert (item.id, item.read().title) == ("one.md", "Title")


def test_links_out_of_the_folder_and_loops_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.md").write_text("secret", "utf-8")
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside" / "x.md").write_text("secret", "utf-8")
    (root / "out.md").symlink_to(tmp_path / "secret.md")
    (root / "beside.md").symlink_to(tmp_path / "root-beside" / "x.md")
    (root / "loop.md").symlink_to(root / "loop.md")
    (root / "again").symlink_to(root)
    (root / "a.md").write_text("words", "utf-8")
    (root / "same.md").symlink_to(root / "a.md")
    refused = bad(root)
    assert set(refused) == {"out.md", "beside.md", "loop.md", "again"}
    assert refused["out.md"] == "it is a link out of the corpus"


def test_a_suite_gives_its_rows_with_the_other_plain_fields_as_metadata(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(
        '{"doc_id":"x","title":"T","text":"words","year":2020,"tags":["a"]}\n', "utf-8"
    )
    (tmp_path / "questions.jsonl").write_text('{"id":"q","text":"never"}\n', "utf-8")
    [item] = found(tmp_path)
    document = item.read()
    assert (document.id, document.title, document.text, document.metadata, document.source) == (
        "x", "T", "words", {"year": 2020, "tags": "a"}, "corpus.jsonl#1",
    )  # fmt: skip


def test_a_csv_without_mapping_becomes_lines_of_column_and_value(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("part,bar\nT-1,3.5\nT-2,\n", "utf-8")
    assert [(item.id, item.read().text) for item in found(tmp_path)] == [
        ("p.csv#1", "part: T-1\nbar: 3.5"),
        ("p.csv#2", "part: T-2"),
    ]


def test_fields_are_mapped_as_told(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"key":7,"name":"Valve","body":"opens","extra":1}\n', "utf-8")
    [item] = found(tmp_path / "p.jsonl", Mapping(id="key", title="name", text=("body",)))
    document = item.read()
    assert (document.id, document.title, document.text) == ("7", "Valve", "opens")


def test_bad_rows_are_told_by_number(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id":"a","text":"words"}\nno json\n[1]\n{"id":"b","text":""}\n', "utf-8")
    refused = bad(tmp_path / "p.jsonl")
    assert set(refused) == {"p.jsonl#2", "p.jsonl#3", "p.jsonl#4"}
    assert refused["p.jsonl#3"] == "the row is no object with fields"


def corpus(folder: Path, toml: str) -> Path:
    (folder / "documents").mkdir()
    (folder / "documents" / "a.md").write_text("words", "utf-8")
    (folder / "corpus.toml").write_text(toml, "utf-8")
    return folder


def test_two_tables_that_count_from_one_are_both_read_where_one_says_it_has_no_id(tmp_path: Path) -> None:
    corpus(tmp_path, '[[rows]]\npath = "b.csv"\nid = false\n')
    for name in ("a.csv", "b.csv"):
        (tmp_path / "documents" / name).write_text(f"id,name\n1,{name}\n2,Ben\n", "utf-8")
    assert [item.id for item in found(tmp_path)] == ["1", "2", "a.md", "b.csv#1", "b.csv#2"]
    (tmp_path / "corpus.toml").write_text("", "utf-8")
    comparison = Comparison([], {})
    for item in open_corpus(tmp_path).documents():
        comparison.take(item)
    assert [(item.source, "`id = false` under [[rows]]" in item.reason) for item in comparison.unreadable] == [
        ("b.csv#1", True),
        ("b.csv#2", True),
    ]


def test_declared_metadata_goes_to_its_document(tmp_path: Path) -> None:
    [item] = found(corpus(tmp_path, '[metadata."a.md"]\nrevision = 4\n'))
    assert item.read().metadata == {"revision": 4}


def test_a_change_of_declared_metadata_changes_the_recipe_and_nothing_else_does(tmp_path: Path) -> None:
    [first] = found(corpus(tmp_path, '[metadata."a.md"]\nrevision = 4\n'))
    [same] = found(tmp_path)
    (tmp_path / "corpus.toml").write_text('[metadata."a.md"]\nrevision = 5\n', "utf-8")
    [changed] = found(tmp_path)
    assert first.recipe == same.recipe != changed.recipe
    assert first.file_sha256 == changed.file_sha256


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[corpus", "corpus.toml is no TOML"),
        ("[corpus]\nnmae = 'x'\n", "corpus.nmae"),
        ("[filterable]\nyear = 'number'\n", "filterable.year"),
        ("[metadata.'b.md']\nx = 1\n", "'b.md', which is not in"),
        ("[[rows]]\npath = 'c.csv'\n", "'c.csv', which is not in"),
        ("[[rows]]\npath = 'a.md'\nid = true\n", "rows.0.id"),
    ],
)
def test_a_corpus_toml_that_makes_no_sense_is_refused_by_key(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(InvalidCorpus) as raised:
        open_corpus(corpus(tmp_path, toml))
    assert said in str(raised.value)
    assert "corpus.toml" in str(raised.value)


def test_a_path_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCorpus, match="give a folder or a file"):
        open_corpus(tmp_path / "nowhere")
    with pytest.raises(InvalidCorpus, match="holds no file"):
        open_corpus(tmp_path)
