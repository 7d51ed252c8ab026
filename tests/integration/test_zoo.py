"""The whole zoo is read or listed with a reason: no crash, no hang, bounded memory, exact offsets.

`ZOO_TINY=100000` has it with a hundred thousand tiny files; without, there are a thousand.
"""

from __future__ import annotations

import os
import resource
import time
from contextlib import closing
from pathlib import Path

import pytest

from ingest.chunkers import chunks_of
from ingest.corpus import Found, Unreadable, open_corpus
from ingest.reading_process import ReadingProcess
from rag.errors import UnreadableDocument
from rag.types import Document
from tests.fakes import zoo

SECONDS, MEGABYTES = 20, 1024
"""For one file."""
MINE = 700
"""Megabytes that the reading side may grow by: texts pass through it, parsers do not."""
TINY = int(os.environ.get("ZOO_TINY", "1000"))

Seen = tuple[dict[str, Document], dict[str, str], list[str]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The documents and the reasons, by source, and the names of the files; the zoo is gone with its folder."""
    root = tmp_path_factory.mktemp("zoo")
    names = zoo.build(root, tiny=TINY)
    assert len(names) >= 200
    documents: dict[str, Document] = {}
    reasons: dict[str, str] = {}
    before, begin = peak(), time.monotonic()
    with closing(ReadingProcess(seconds=SECONDS, megabytes=MEGABYTES)) as reading:
        for item in open_corpus(root, reading=reading).documents():
            if isinstance(item, Unreadable):
                reasons[item.source] = item.reason
                continue
            assert isinstance(item, Found)
            try:
                document = item.read()
            except UnreadableDocument as error:
                reasons[item.source] = str(error)
            else:
                documents.setdefault(item.source, document)
                check(document)
    assert time.monotonic() - begin < 60 + TINY / 500
    assert peak() - before < MINE
    return documents, reasons, names


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check(document: Document) -> None:
    """What is stored is clean, and every chunk is a span of it."""
    assert not {"\x00", "\r", "\ud800"} & set(document.text[:100_000])
    assert document.text.strip()
    if len(document.text) < 1_000_000:
        for chunk in chunks_of(document):
            assert document.text[chunk.start : chunk.end] == chunk.text


def test_every_file_is_a_document_or_has_a_reason(seen: Seen) -> None:
    documents, reasons, names = seen
    named = {source.split("#")[0] for source in (*documents, *reasons)}
    missing = [name for name in names if name not in named]
    assert missing == []
    assert all(len(reason) > 10 for reason in reasons.values())
    assert len(documents) + len(reasons) > 200 + TINY


def test_none_hangs_and_none_kills_its_reader(seen: Seen) -> None:
    _, reasons, _ = seen
    assert [source for source, reason in reasons.items() if "took longer" in reason] == []
    assert [source for source, reason in reasons.items() if "crashed" in reason] == []
    assert [source for source, reason in reasons.items() if "its reader failed" in reason] == []


@pytest.mark.parametrize("name", [f"sound{suffix}" for suffix in zoo.samples()])
def test_what_is_sound_is_read(seen: Seen, name: str) -> None:
    documents, _, _ = seen
    found = [document.text for source, document in documents.items() if source.split("#")[0] == name]
    assert any(zoo.FACT in " ".join(text.split()) or "Close valve V-17" in text for text in found)


@pytest.mark.parametrize("encoding", [name for name in zoo.ENCODED if name != "utf-7"])
def test_text_is_read_in_its_encoding(seen: Seen, encoding: str) -> None:
    documents, reasons, _ = seen
    name = f"encoded/{encoding}.txt"
    text = documents[name].text if name in documents else reasons[name]
    assert zoo.ENCODED[encoding] in text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pdf/password.pdf", "encrypted and needs a password"),
        ("bombs/grows.docx", "unpacks to more than 200 times its size"),
        ("bombs/grows.epub", "unpacks to more than 200 times its size"),
        ("bombs/parts.pptx", "21,001 parts"),
        ("damaged/short-part.docx", "the DOCX is damaged: "),
        ("damaged/short-part.pptx", "the PPTX is damaged: "),
        ("bombs/password.xlsx", "encrypted and needs a password"),
        ("misnamed/pdf.docx", "a PDF by its content"),
        ("misnamed/txt.pdf", "damaged"),
        ("misnamed/docx.xlsx", r"no spreadsheet .*xl/workbook\.xml"),
        ("misnamed/locked.docx", "encrypted and needs a password, or is of an old office format"),
        ("misnamed/txt.xyz", "no reader for .xyz"),
        ("misnamed/picture.txt", "an image"),
        ("links/loop", "links to folders are not followed"),
        ("links/out.md", "a link out of the corpus"),
        ("links/gone.md", "no regular file"),
        ("links/pipe.md", "no regular file"),
        ("names/new\nline.md", "rename it"),
        ("sparse.txt", "at most 209,715,200 are read"),
        ("bombs/line.txt", "longer than 16 Mi characters"),
        ("bombs/line.jsonl#1", "longer than 16 MiB"),
        ("sheets/corners.xlsx", "1,048,576 rows and 16,384 columns"),
        ("sheets/beyond-row.xlsx", "a cell lies beyond any row or column"),
        ("sheets/beyond-column.xlsx", "a cell lies beyond any row or column"),
        ("sheets/corners-in-capitals.xlsx", "1,048,576 rows and 16,384 columns"),
        ("sheets/texts.xlsx", "more texts than bytes"),
        ("sheets/corners.ods", "more than 2,000,000 cells"),
        ("sheets/square.ods", "more than 2,000,000 cells"),
        ("sheets/beyond-column.ods", "a cell lies beyond any row or column"),
        ("sheets/beyond-row.ods", "a cell lies beyond any row or column"),
        ("sheets/no-number.ods", "the spreadsheet is damaged"),
        ("sheets/unended.ods", "the spreadsheet is damaged"),
        ("sheets/corners.xlsb", "1,048,576 rows and 16,384 columns"),
        ("sheets/beyond-column.xlsb", "a cell lies beyond any row or column"),
        ("sheets/short-record.xlsb", "a record ends too early"),
        ("sheets/no-text.xlsb", "its parts are shorter than they say"),
        ("sheets/corners.xls", "more than 2,000,000 cells"),
        ("odd/deep.json", "no JSON"),
        ("odd/words.eml", "no e-mail"),
        ("pdf/strings.pdf", "at most 200,000 are read"),
    ],
)
def test_the_reason_says_what_is_wrong(seen: Seen, name: str, reason: str) -> None:
    import re

    _, reasons, _ = seen
    assert re.search(reason, reasons[name]), reasons[name]


def test_nothing_from_outside_comes_in(seen: Seen) -> None:
    documents, _, _ = seen
    outside = Path("/etc/hostname").read_text("utf-8").strip()
    assert outside
    assert [source for source, document in documents.items() if outside in document.text] == []
    assert max(len(document.text) for source, document in documents.items() if "laughs" in source) < 100_000
