"""What each reader makes of its format: order, tables, titles, metadata, and what it refuses."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from ingest.readers import reader_for
from ingest.splitting_code import split_code
from rag.errors import UnreadableDocument
from rag.outline import above, path
from tests.fakes.office_files import (
    CONTAINER,
    FACT,
    PACKAGE,
    write_code,
    write_epub,
    write_mail,
    write_pptx,
    write_xlsx,
)


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableDocument) as caught:
        reader_for(path).read(path)
    return str(caught.value)


def test_slides_give_title_texts_tables_and_notes(tmp_path: Path) -> None:
    write_pptx(tmp_path / "a.pptx")
    found = reader_for(tmp_path / "a.pptx").read(tmp_path / "a.pptx")
    assert found.text == (
        f"## Valves\n\n- {FACT}\n- Close it first.\n\n"
        "| part | bar |\n|---|---|\n| T-1042 | 3.5 |\n\nNotes: Say it slowly."
    )
    assert (found.title, found.metadata["author"]) == ("Valves", "Ann Berg")


def test_every_row_of_a_sheet_stands_under_its_header(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx")
    found = reader_for(tmp_path / "a.xlsx").read(tmp_path / "a.xlsx")
    sections = found.text.split("## ")[1:]
    assert sections[0] == "Parts\n\nPrice list\n\n"
    assert sections[1].startswith("Parts, rows 3 to ")
    assert all("| part | bar | note |\n| T-" in section for section in sections[1:-1])
    assert sum(section.count("| T-") for section in sections) == 60
    assert "| T-1000 | 4 | opens" in sections[1]
    assert sections[-1] == f"Parts\n\n{FACT}"
    assert "hidden" not in found.text


def test_chapters_come_in_the_order_of_the_spine(tmp_path: Path) -> None:
    write_epub(tmp_path / "a.epub")
    found = reader_for(tmp_path / "a.epub").read(tmp_path / "a.epub")
    assert found.text == f"# One\n\nFirst.\n\n# Two\n\n{FACT}"
    assert (found.title, found.metadata) == ("Valve book", {"author": "Ann Berg"})


def test_a_book_has_all_its_authors_and_its_chapters_all_their_parts(tmp_path: Path) -> None:
    chapter = (
        "<html><body><h1>One</h1><p>Text<a epub:type='noteref' href='#n'><sup>1</sup></a>.</p><article>A box of words."
        "</article><p>After.</p><aside epub:type='footnote' id='n'><p>1. Only in 2023.</p></aside></body></html>"
    )
    authors = "".join(f"<dc:creator>{name}</dc:creator>" for name in ("Ann Berg", "Ben", "Ann Berg"))
    with zipfile.ZipFile(tmp_path / "a.epub", "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OEBPS/c.opf", PACKAGE.replace("<dc:creator>Ann Berg</dc:creator>", authors))
        archive.writestr("OEBPS/one.xhtml", chapter)
    found = reader_for(tmp_path / "a.epub").read(tmp_path / "a.epub")
    assert found.metadata["author"] == "Ann Berg, Ben"
    assert found.text == "# One\n\nText[1].\n\nA box of words.\n\nAfter.\n\n1. Only in 2023."


def test_a_message_gives_headers_and_words_and_names_attachments(tmp_path: Path) -> None:
    write_mail(tmp_path / "a.eml")
    found = reader_for(tmp_path / "a.eml").read(tmp_path / "a.eml")
    head, _, body = found.text.partition("\n\n")
    assert head.splitlines() == [
        "From: Ann Berg <ann@example.org>",
        "To: Ben <ben@example.org>",
        "Date: Tue, 02 Jan 2024 10:00:00 +0100",
        "Attachments: plan.pdf",
    ]
    assert body == f"{FACT}\n"
    assert found.title == "Ventil T-1042 öffnet"
    assert found.metadata["date"] == "2024-01-02T10:00:00+01:00"
    assert "secret" not in found.text


def test_code_keeps_its_words_and_is_cut_at_definitions(tmp_path: Path) -> None:
    write_code(tmp_path / "a.py")
    found = reader_for(tmp_path / "a.py").read(tmp_path / "a.py")
    assert (found.title, found.metadata) == ("a.py", {"language": "python"})
    chunks = list(split_code(found.text))
    assert all(found.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert len(chunks) > 3
    assert all(chunk.text.startswith("def step_") for chunk in chunks[1:])
    assert {chunk.heading for chunk in chunks[1:]} == {"class Round"}
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(found.text.split())


def test_a_file_of_another_kind_than_its_name_is_told_so(tmp_path: Path) -> None:
    for name, data, said in (
        ("a.txt", b"%PDF-1.7\n...", "a PDF by its content, not what .txt says"),
        ("a.pdf", b"PK\x03\x04....", "a zip archive (or an office file) by its content"),
        ("a.md", b"\x89PNG\r\n\x1a\n", "an image (PNG)"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted and needs a password, or is of an old office"),
        ("Makefile", b"\x7fELF\x02", "a program by its content, not what its name says"),
    ):
        (tmp_path / name).write_bytes(data)
        assert said in refusal(tmp_path / name)


def test_a_missing_library_is_told_with_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_xlsx(tmp_path / "a.xlsx")
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    assert refusal(tmp_path / "a.xlsx") == (
        "reading .xlsx needs python_calamine: `pip install 'understudy[office]'` brings it"
    )


def test_an_archive_that_grows_too_much_is_refused_unopened(tmp_path: Path) -> None:
    for name, part in (
        ("a.docx", "word/document.xml"),
        ("a.pptx", "ppt/presentation.xml"),
        ("a.xlsx", "xl/workbook.xml"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(part, b"<a>" + b" " * 8_000_000 + b"</a>")
        assert "unpacks to more than 200 times its size" in refusal(tmp_path / name)


def test_a_book_with_locked_chapters_is_refused_by_reason(tmp_path: Path) -> None:
    write_epub(tmp_path / "a.epub")
    locked = "".join(f'<CipherReference URI="OEBPS/{name}"/>' for name in ("one.xhtml", "chapter%202.xhtml"))
    with zipfile.ZipFile(tmp_path / "a.epub", "a") as archive:
        archive.writestr("META-INF/encryption.xml", f"<encryption>{locked}</encryption>")
    assert "encrypted (DRM)" in refusal(tmp_path / "a.epub")


def test_a_message_with_a_broken_address_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b'From: Ann Brg <\nTo: Ben <"\n\nValve T-1042 opens.\n')
    found = reader_for(tmp_path / "a.eml").read(tmp_path / "a.eml")
    assert found.text == 'From: Ann Brg <\nTo: Ben <"\n\nValve T-1042 opens.\n'


def test_a_message_that_lies_of_its_charset_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"From: Ann\nContent-Type: text/plain; charset=ut\x00f8\n\nValve T-1042 opens.\n")
    assert "Valve T-1042 opens." in reader_for(tmp_path / "a.eml").read(tmp_path / "a.eml").text


def test_a_message_with_an_endless_header_is_refused(tmp_path: Path) -> None:
    header = b"Content-Type: text/plain" + b";\n a=b" * 40_000
    (tmp_path / "a.eml").write_bytes(b"From: Ann\n" + header + b"\n\nValve T-1042 opens.\n")
    assert "one of its headers has over 16 KB" in refusal(tmp_path / "a.eml")


def test_a_cell_within_a_cell_is_said_once(tmp_path: Path) -> None:
    cells = "".join(f"<td>cell {number}<div>" for number in range(300))
    (tmp_path / "a.html").write_text(f"<table><tr>{cells}</tr></table><p>Valve T-1042 opens.</p>", "utf-8")
    found = reader_for(tmp_path / "a.html").read(tmp_path / "a.html").text
    assert found.count("cell 299") == 1
    assert "Valve T-1042 opens." in found


def test_a_picture_that_is_what_its_name_says_is_not_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    assert "rename" not in refusal(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    assert "an image (PNG) by its content, not what .txt says: rename it" in refusal(tmp_path / "a.txt")


def test_what_stands_further_in_on_a_page_does_so_in_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<h1>Groups</h1><dl><dt>dialout</dt>"
        "<dd><p>Full access to serial ports.</p><p>Members <b>may</b>\n dial.</p></dd>"
        "<dt>lp</dt><dd>Printers.</dd></dl>"
        "<ul><li>Backups<ul><li>nightly<br>kept for 30 days</li></ul></li><li>Files</li></ul>"
        "<p>Then run:</p><pre># as root\nserver:\n\tport:  80\n</pre><p>Done.</p>",
        "utf-8",
    )
    text = reader_for(tmp_path / "a.html").read(tmp_path / "a.html").text
    assert text == (
        "# Groups\n\ndialout\n\n    Full access to serial ports.\n\n    Members may dial.\n\nlp\n\n    Printers.\n\n"
        "- Backups\n\n  - nightly\n    kept for 30 days\n\n- Files\n\nThen run:\n\n"
        "    # as root\n    server:\n            port:  80\n\nDone."
    )
    for words, term in (
        ("Members", "dialout"),
        ("Printers", "lp"),
        ("kept", "Backups"),
        ("port: ", "Then run: > server:"),
    ):
        assert path(above(text, [text.index(words)])[0]) == term


def test_pages_nested_without_end_are_refused_or_read_in_bounded_size(tmp_path: Path) -> None:
    for tag in ("dd", "li"):
        (tmp_path / "deep.html").write_text(f"<{tag}>" * 150 + "word " * 2000, "utf-8")
        text = reader_for(tmp_path / "deep.html").read(tmp_path / "deep.html").text
        assert len(text) < 3 * 10000


def test_long_runs_of_blanks_in_preformatted_lines_are_kept_or_dropped_in_one_pass(tmp_path: Path) -> None:
    run = " " * 400_000
    (tmp_path / "a.html").write_text(f"<pre>valve{run}T-1042{run}\nopens</pre>", "utf-8")
    text = reader_for(tmp_path / "a.html").read(tmp_path / "a.html").text
    assert text == f"valve{run}T-1042\n    opens"


def test_front_matter_is_metadata_and_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(
        b"---\r\ntitle: 1.10\r\ntags:\r\n  - hr\r\n  - travel\r\n---\r\n\r\n# Head\r\n\r\nWords."
    )
    found = reader_for(tmp_path / "a.md").read(tmp_path / "a.md")
    assert (found.text, found.title, found.metadata) == ("# Head\n\nWords.", "1.10", {"tags": "hr, travel"})
