"""What an upload may be called and how large it may be, and that its bytes arrive as they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.uploads import Receiver, document_id
from ingest.corpus import readable_suffixes
from rag.errors import InvalidUpload, UploadTooLarge, UploadTooSlow
from rag.settings import UploadsSettings

SUFFIXES = readable_suffixes()
BOUNDARY = "b0"


def part(filename: str, data: bytes, *, name: str = "files") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode("utf-8", "surrogateescape") + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def receive(folder: Path, body: bytes, *, size: int = 7, **limits: object) -> list[str]:
    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, len(body), size):
            yield body[first : first + size]

    receiver = Receiver(folder, BOUNDARY, UploadsSettings.model_validate(limits), SUFFIXES)
    return asyncio.run(receiver.receive(pieces()))


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_files_arrive_as_they_were_sent_however_they_are_cut(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * 40 + b"\r\n--b\r\n--\r\n-"
    body = part("a.md", data) + part("sub/folder/b.TXT", b"x") + END
    assert receive(tmp_path, body, size=size) == ["a.md", "sub/folder/b.TXT"]
    assert (tmp_path / "a.md").read_bytes() == data
    assert (tmp_path / "sub" / "folder" / "b.TXT").read_bytes() == b"x"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.md",
        "a/../../evil.md",
        "/etc/evil.md",
        "C:/evil.md",
        "..\\evil.md",
        "a\\b.md",
        ".hidden.md",
        "a/.git/b.md",
        "a//b.md",
        "./a.md",
        "a/",
        "",
        " a.md",
        "a .md/ b.md",
        "a\nb.md",
        "a\x00.md",
        "a\x7f.md",
        "a\u202eb.md",
        "x" * 201 + ".md",
        "/".join(["y" * 100] * 6) + ".md",
        "noformat",
        "program.exe",
        "corpus.toml",
        "a.md.exe",
    ],
)
def test_a_hostile_name_is_refused_and_never_repeated_whole(name: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        document_id(name, SUFFIXES)
    message = str(caught.value)
    assert len(message) < 500
    assert message.isprintable()


@pytest.mark.parametrize(
    "name", ["a.md", "handbook/kapitel 1/\u00fcbersicht.pdf", "..a.md"[2:], "a..b.md", "A.PDF", "rows.jsonl"]
)
def test_a_plain_relative_name_is_the_id(name: str) -> None:
    assert document_id(name, SUFFIXES) == name


def test_two_spellings_of_a_letter_are_one_name() -> None:
    assert document_id("u\u0308.md", SUFFIXES) == "\u00fc.md"


@pytest.mark.parametrize(
    ("body", "limits", "said"),
    [
        (part("a.md", b"x" * 100) + END, {"max_file_bytes": 99}, "more than 99 bytes"),
        (part("a.md", b"x" * 60) + part("b.md", b"x" * 60) + END, {"max_bytes": 100}, "100 bytes came at once"),
        (part("a.md", b"x") + part("b.md", b"x") + part("c.md", b"x") + END, {"max_files": 2}, "at most 2 files"),
        (part("a" * 5000 + ".md", b"x") + END, {}, "each with a head of at most"),
    ],
)
def test_more_than_is_taken_is_refused_by_its_limit(
    tmp_path: Path, body: bytes, limits: dict[str, int], said: str
) -> None:
    with pytest.raises(UploadTooLarge, match=said):
        receive(tmp_path, body, **limits)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no multipart/form-data|no file"),
        (END, "no file"),
        (b"\x00\xff" * 1000, "no multipart/form-data"),
        (part("a.md", b"x"), "breaks off"),
        (part("a.md", b"x", name="file") + END, "part named 'files'"),
        (part("a.md", b"x") + part("a.md", b"y") + END, "comes twice"),
        (part("a.md", b"x") + part("a.md/b.md", b"y") + END, "comes twice"),
    ],
)
def test_a_body_that_is_no_upload_is_refused(tmp_path: Path, body: bytes, said: str) -> None:
    with pytest.raises(InvalidUpload, match=said):
        receive(tmp_path, body)


def test_an_upload_whose_bytes_stop_is_given_up(tmp_path: Path) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield part("a.md", b"x")
        await asyncio.sleep(30)

    receiver = Receiver(tmp_path, BOUNDARY, UploadsSettings(idle_seconds=0.05), SUFFIXES)
    with pytest.raises(UploadTooSlow, match=r"nothing came for 0\.05 s"):
        asyncio.run(receiver.receive(stalls()))
