"""The same formats under other names are read, and other office files get a reason that says what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ingest.chunkers import chunker_for
from ingest.readers import reader_for
from rag.errors import UnreadableDocument
from tests.fakes.office_files import FACT, write_docx, write_pptx, write_xlsx

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
DECK = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"


@pytest.mark.parametrize(
    ("name", "plain", "kind"),
    [
        ("a.docm", WORD, "application/vnd.ms-word.document.macroEnabled.main+xml"),
        ("a.dotx", WORD, WORD.replace("document.main", "template.main")),
        ("a.dotm", WORD, "application/vnd.ms-word.template.macroEnabledTemplate.main+xml"),
        ("a.pptm", DECK, "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml"),
        ("a.ppsx", DECK, DECK.replace("presentation.main", "slideshow.main")),
        ("a.ppsm", DECK, "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml"),
        ("a.potx", DECK, DECK.replace("presentation.main", "template.main")),
        ("a.potm", DECK, "application/vnd.ms-powerpoint.template.macroEnabled.main+xml"),
        ("a.xlsm", BOOK, "application/vnd.ms-excel.sheet.macroEnabled.main+xml"),
        ("a.xltx", BOOK, BOOK.replace("sheet.main", "template.main")),
        ("a.xltm", BOOK, "application/vnd.ms-excel.template.macroEnabled.main+xml"),
    ],
)
def test_the_same_format_under_another_name_is_read(tmp_path: Path, name: str, plain: str, kind: str) -> None:
    {WORD: write_docx, DECK: write_pptx, BOOK: write_xlsx}[plain](tmp_path / "plain")
    changed = 0
    with zipfile.ZipFile(tmp_path / "plain") as source, zipfile.ZipFile(tmp_path / name, "w") as target:
        for part in source.namelist():
            data = source.read(part)
            changed += data.count(plain.encode())
            target.writestr(part, data.replace(plain.encode(), kind.encode()))
    assert changed == 1
    assert FACT in reader_for(tmp_path / name).read(tmp_path / name).text
    assert chunker_for(name).name == ("rows" if plain == BOOK else "sections")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.odt", b"PK\x03\x04....", ".odt is not read: save it as .docx, or as a PDF"),
        ("a.doc", b"{\\rtf1 words}", ".doc is not read: save it as .docx, or as a PDF"),
        ("a.PPT", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".ppt is not read: save it as .pptx, or as a PDF"),
        ("a.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".msg is not read: save it as .eml, or as a PDF"),
        ("a.dot", b"digraph { a -> b }", "there is no reader for .dot"),
        ("a.docm", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "the file is encrypted and needs a password, or is of an old"),
    ],
)
def test_a_format_that_none_reads_is_refused_with_what_to_do(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableDocument, match=reason):
        reader_for(tmp_path / name).read(tmp_path / name)
