"""The header of a GGUF is read as the `gguf` package wrote it, and no malformed file gets further than a sentence."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.adapters.gguf_header import _BLOCKS, FILE_TYPES, read_header
from rag.errors import ModelUnavailable
from tests.fakes.gguf_files import RECIPES, write_gguf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Path:
    write_gguf(folder / "tiny.gguf", "qwen3", context=777)
    return folder / "tiny.gguf"


def test_what_was_written_is_read(tiny: Path) -> None:
    header = read_header(tiny)
    assert (header.architecture, header.name, header.licence) == ("qwen3", "Tiny qwen3", "apache-2.0")
    assert (header.file_type, header.context_tokens) == ("F32", 777)
    assert header.chat_template == RECIPES["qwen3"].jinja


def test_the_size_of_a_file_is_known_from_its_header(tiny: Path, folder: Path) -> None:
    whole = tiny.read_bytes()
    cut = folder / "cut.gguf"
    cut.write_bytes(whole[:-1])
    with pytest.raises(ModelUnavailable, match=f"it has {len(whole) - 1} bytes of at least {len(whole)}"):
        read_header(cut)


def test_sizes_and_names_of_formats_are_ggml_s() -> None:
    assert {kind: tuple(gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]) for kind in _BLOCKS} == _BLOCKS
    known = {int(one): one.name for one in gguf.LlamaFileType}
    assert {kind: known[kind].split("_", 1)[1] for kind in FILE_TYPES} == FILE_TYPES | {0: "F32"}


def refuses_or_reads(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with contextlib.suppress(ModelUnavailable):
        read_header(path)


@settings(max_examples=400, deadline=None)
@given(content=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(folder: Path, content: bytes) -> None:
    refuses_or_reads(folder / "any.gguf", content)
    refuses_or_reads(folder / "any.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + content)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_bytes_changed_in_a_real_header_are_read_or_refused(folder: Path, tiny: Path, data: st.DataObject) -> None:
    content = bytearray(tiny.read_bytes()[:9000])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    refuses_or_reads(folder / "changed.gguf", bytes(content))


@pytest.mark.parametrize("kind", [0, 5, 6, 7, 8, 9, 10, 12, 13])
def test_a_value_of_the_wrong_type_is_as_none(kind: int, folder: Path) -> None:
    """The context length as any type: `int()` of none of them may raise."""
    value = {8: struct.pack("<Q", 1) + b"x", 9: struct.pack("<IQ", 4, 0)}.get(kind, b"\xff" * 8)
    size = {0: 1, 5: 4, 6: 4, 7: 1}.get(kind, 8)
    value = value if kind in (8, 9) else value[:size]

    def key(name: str) -> bytes:
        return struct.pack("<Q", len(name)) + name.encode()

    path = folder / "odd.gguf"
    architecture = key("general.architecture") + struct.pack("<I", 8) + key("llama")
    path.write_bytes(
        b"GGUF"
        + struct.pack("<IQQ", 3, 0, 2)
        + architecture
        + key("llama.context_length")
        + struct.pack("<I", kind)
        + value
    )
    if kind == 13:
        with pytest.raises(ModelUnavailable, match="unknown value type 13"):
            read_header(path)
    else:
        assert read_header(path).context_tokens in (0, 255, 2**64 - 1)
