"""Every format gives exact offsets; every bad file gets one plain reason and stops nothing."""

import json
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ingest.corpus import Found, Unreadable, open_corpus
from ingest.run import apply
from ingest.target import Target
from ingest.verifying import verify
from rag.adapters.edge_index import EdgeIndex
from rag.catalog import Catalog, Generation
from rag.errors import UnreadableDocument
from rag.types import Filter, RetrievalMode
from tests.fakes.embedder import HashedWords
from tests.fakes.office_files import FACT, write_code, write_docx, write_epub, write_mail, write_pptx, write_xlsx


def markdown(path: Path) -> None:
    path.write_text(f"---\ntitle: Valves\nrevision: 3\n---\n# Valves\r\n\r\n## Limits\r\n\r\n{FACT}\r\n", "utf-8")


def text(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + f"Valves\n\n{FACT} Naïve café.\x00\n".encode())


def latin(path: Path) -> None:
    path.write_bytes(f"Die Anlage läuft. {FACT} Größe, Öl, über, für, Prüfung.".encode("latin-1"))


def html(path: Path) -> None:
    path.write_text(
        "<html><head><title>Valves</title><style>x{}</style></head><body><nav>Home Login</nav><main><h2>Limits</h2>"
        f"<p>{FACT.replace('opens', '<b>opens</b>')}</p><table><tr><th>part</th><th>bar</th></tr>"
        "<tr><td>T-1042</td><td>3.5</td></tr></table></main><footer>Imprint</footer></body></html>",
        "utf-8",
    )


def pdf(path: Path, *, password: str = "") -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), encrypt=StandardEncryption(password) if password else None)
    for page in range(3):
        canvas.drawString(72, 800, "Plant handbook")
        canvas.drawString(72, 700, FACT if page == 1 else f"Body of chapter {'one' if page else 'three'}.")
        canvas.drawString(72, 40, f"Page {page + 1} of 3")
        canvas.showPage()
    canvas.save()


def table(path: Path) -> None:
    path.write_text(f'part;note\nT-1042;"{FACT}\nSecond line."\nT-7;none\n', "utf-8")


def rows(path: Path) -> None:
    path.write_text(json.dumps({"id": "v", "text": f"{FACT} \ud800 lone", "bar": 3.5}) + "\n", "utf-8")


def edge(generation: Generation, create: bool) -> EdgeIndex:
    manifest = generation.manifest
    return EdgeIndex(generation.shard_path, dimensions=manifest.dimensions, fields=manifest.fields, create=create)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.md", markdown), ("a.txt", text), ("b.txt", latin), ("a.html", html), ("a.pdf", pdf), ("a.docx", write_docx),
     ("a.pptx", write_pptx), ("a.xlsx", write_xlsx), ("a.epub", write_epub), ("a.eml", write_mail),
     ("a.py", write_code), ("a.csv", table), ("a.jsonl", rows)],
)  # fmt: skip
def test_a_passage_of_every_format_is_a_span_of_its_stored_text(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    embedder = HashedWords()
    target = Target(
        "f", catalog=Catalog(tmp_path / "data"), embedder=embedder, open_index=edge, backend="edge", create=True
    )
    summary = apply(open_corpus(tmp_path / name), target)
    assert summary.unreadable == []
    assert verify(target) == []
    [vector] = embedder.embed([FACT])
    found = target.index.search(vector=vector, text=FACT, limit=1, mode=RetrievalMode.BM25, filter=Filter())
    [document] = [target.store.get(passage.document_id) for passage in found]
    target.close()
    assert document is not None
    assert FACT in found[0].text
    assert document.text[found[0].start : found[0].end] == found[0].text
    assert not {"\x00", "\r", "\ud800"} & set(document.text)
    assert "Login" not in document.text
    assert "Plant handbook" not in document.text
    assert "Page 2 of 3" not in document.text


def one(path: Path) -> Found | Unreadable:
    [item] = open_corpus(path).documents()
    return item


def test_front_matter_is_metadata_and_headings_are_told(tmp_path: Path) -> None:
    markdown(tmp_path / "a.md")
    found = one(tmp_path / "a.md")
    assert isinstance(found, Found)
    document = found.read()
    assert (document.title, document.metadata) == ("Valves", {"revision": 3})
    assert document.text.startswith("# Valves\n\n## Limits\n\nValve")


def test_tables_come_out_as_rows_in_their_place(tmp_path: Path) -> None:
    write_docx(tmp_path / "a.docx")
    html(tmp_path / "a.html")
    word, page = one(tmp_path / "a.docx"), one(tmp_path / "a.html")
    assert isinstance(word, Found)
    assert isinstance(page, Found)
    assert word.read().text == f"# Valves\n\n## Limits\n\n{FACT}\n\n| T-1042 | 3.5 bar |\n\nAfter the table."
    assert page.read().text == f"## Limits\n\n{FACT}\n\n| part | bar |\n|---|---|\n| T-1042 | 3.5 |"


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    pdf(path)
    path.write_bytes(path.read_bytes()[:700])


def encrypted(path: Path) -> None:
    pdf(path, password="secret")


def renamed(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no document")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def controls(path: Path) -> None:
    path.write_bytes(bytes(range(128)) * 64)


def long_line(path: Path) -> None:
    path.write_bytes(b"x" * (17 * 1_048_576))


def huge_line(path: Path) -> None:
    with path.open("wb") as handle:
        for _ in range(201):
            handle.write(b"x" * 1_048_576)


BAD = {
    "empty.md": (empty, "the file is empty"),
    "truncated.pdf": (truncated, "damaged or truncated"),
    "encrypted.pdf": (encrypted, "encrypted and needs a password"),
    "renamed.docx": (renamed, "zip archive, but no DOCX"),
    "noise.docx": (binary, "no DOCX, or a damaged one"),
    "noise.txt": (binary, "no text in any known encoding"),
    "controls.md": (controls, "binary, not text"),
    "line.txt": (huge_line, "at most 209,715,200 are read"),
    "long.txt": (long_line, "longer than 16 Mi characters"),
    "program.xyz": (binary, "no reader for .xyz"),
}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("quotes.html", b"<a href='" * 50_000),
        ("hashes.md", b"# a" + b"# " * 200_000 + b"b"),
        ("field.md", b"---\na: b" + b" " * 200_000 + b"c\n---\nwords"),
        ("blank.html", b"<p>" + b"\n \n" * 200_000 + b"x"),
    ],
)
def test_hostile_files_are_read_or_refused_in_seconds(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    found = one(tmp_path / name)
    assert isinstance(found, Found)
    begin = time.process_time()
    with suppress(UnreadableDocument):
        found.read()
    assert time.process_time() - begin < 5


def test_bad_files_are_listed_with_their_reason_and_stop_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, (write, _) in BAD.items():
        write(folder / name)
    (folder / "good.md").write_text(f"# Good\n\n{FACT}", "utf-8")
    (folder / "invalid.txt").write_bytes(b"Valve T-1042 opens \xff\xfe at 3.5 bar.")
    huge_line(folder / "line.jsonl")
    with (folder / "line.jsonl").open("ab") as handle:
        handle.write(b'\n{"id": "after", "text": "After the line."}\n')
    target = Target(
        "b", catalog=Catalog(tmp_path / "data"), embedder=HashedWords(), open_index=edge, backend="edge", create=True
    )
    begin = time.process_time()
    summary = apply(open_corpus(folder), target)
    assert time.process_time() - begin < 30
    stored = {item.id for item in target.store.summaries()}
    target.close()
    reasons = {bad.source: bad.reason for bad in summary.unreadable}
    assert stored == {"good.md", "invalid.txt", "after"}
    assert {name for name in BAD if BAD[name][1] in reasons.get(name, "")} == set(BAD), reasons
    assert "longer than 16 MiB" in reasons["line.jsonl#1"]
    assert len(reasons) == len(BAD) + 1
