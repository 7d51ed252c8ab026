"""The header of a GGUF file: its key-value metadata, read without its tensors. Knows no model.

Source: the GGUF specification in the ggml repository, versions 2 and 3, little endian. A file comes from anywhere, so
every length is checked before it is believed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rag.errors import ModelUnavailable

Scalar = str | int | float | bool

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_STRING = 16 << 20
_MAX_ITEMS = 1 << 24
_MAX_ENTRIES = 1 << 16

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}  # fmt: skip
"""Names of `general.file_type` (enum llama_ftype of llama.cpp)."""

_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2),
}  # fmt: skip
"""(items, bytes) of a block of the common tensor formats (ggml_type: F32, F16, Q4_0 ... Q8_0, Q2_K ... Q6_K, BF16)."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What is told of a GGUF without loading it; empty or 0 where the file does not say."""

    architecture: str
    name: str
    licence: str
    file_type: str
    """For example 'Q4_1'."""
    context_tokens: int
    """The longest context the model was made for."""
    chat_template: str
    """Jinja, as its maker wrote it."""


def read_header(path: Path) -> GgufHeader:
    """What the header of a GGUF file says; about 30 ms, nearly all for passing over a vocabulary of 50,000.

    Raises ModelUnavailable when the file is missing, is no GGUF, ends too early, or holds no language model.
    """
    try:
        with path.open("rb") as handle:
            found, tensors = _read(handle)
            wanted = _end_of_tensors(handle, tensors, _number(found, "general.alignment", missing=32))
        size = path.stat().st_size
    except OSError as error:
        raise ModelUnavailable(f"cannot read {path}: {error.strerror}; check UNDERSTUDY_MODEL__NAME") from error
    except (struct.error, ValueError) as error:
        cause = "it ends within its header" if isinstance(error, struct.error) else str(error)
        raise ModelUnavailable(f"{path} is no GGUF file, or a damaged one ({cause}): fetch it again") from error
    if size < wanted:
        raise ModelUnavailable(f"{path} is cut off: it has {size} bytes of at least {wanted}; fetch it again")
    architecture = _text(found, "general.architecture")
    if not architecture:
        raise ModelUnavailable(f"{path} names no architecture, so it holds no language model: give another file")
    return GgufHeader(
        architecture=architecture,
        name=_text(found, "general.name"),
        licence=_text(found, "general.license"),
        file_type=FILE_TYPES.get(_number(found, "general.file_type", missing=-1), ""),
        context_tokens=max(0, _number(found, f"{architecture}.context_length", missing=0)),
        chat_template=_text(found, "tokenizer.chat_template"),
    )


def _text(found: dict[str, Scalar], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _number(found: dict[str, Scalar], key: str, *, missing: int) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else missing


def _read(handle: BinaryIO) -> tuple[dict[str, Scalar], int]:
    """The scalar and text metadata by key, arrays passed over, and the number of tensors."""
    if handle.read(4) != b"GGUF":
        raise ValueError("its first bytes are not 'GGUF'")
    version, tensors, count = struct.unpack("<IQQ", handle.read(20))
    if version not in (2, 3):
        raise ValueError(f"version {version} is not supported")
    if count > _MAX_ENTRIES:
        raise ValueError(f"{count} metadata entries")
    found: dict[str, Scalar] = {}
    for _ in range(count):
        key = _string(handle)
        (kind,) = struct.unpack("<I", handle.read(4))
        if kind == _ARRAY:
            _pass_over_array(handle)
        elif kind == _STRING:
            found[key] = _string(handle)
        elif kind in _SCALARS:
            layout = _SCALARS[kind]
            (found[key],) = struct.unpack(layout, handle.read(struct.calcsize(layout)))
        else:
            raise ValueError(f"unknown value type {kind}")
    return found, tensors


def _end_of_tensors(handle: BinaryIO, tensors: int, alignment: int) -> int:
    """The least size in bytes that a file with these tensors has; exact where the last one's format is known."""
    if tensors > _MAX_ENTRIES or not 0 < alignment <= 1 << 16:
        raise ValueError(f"{tensors} tensors aligned to {alignment} bytes")
    end = 0
    for _ in range(tensors):
        _string(handle)
        (dimensions,) = struct.unpack("<I", handle.read(4))
        if dimensions > 4:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        *shape, kind, offset = struct.unpack(f"<{dimensions}QIQ", handle.read(8 * dimensions + 12))
        items, size = _BLOCKS.get(kind, (1, 0))
        end = max(end, offset + math.prod(shape) // items * size)
    return end and -(-handle.tell() // alignment) * alignment + end


def _pass_over_array(handle: BinaryIO) -> None:
    inner, count = struct.unpack("<IQ", handle.read(12))
    if count > _MAX_ITEMS:
        raise ValueError(f"an array of {count} items")
    if inner in _SCALARS:
        handle.seek(count * struct.calcsize(_SCALARS[inner]), 1)
    elif inner == _STRING:
        read, unpack = handle.read, struct.Struct("<Q").unpack  # as _string, without its calls: twice as fast
        for _ in range(count):
            (length,) = unpack(read(8))
            if length > _MAX_STRING:
                raise ValueError(f"a string of {length} bytes")
            read(length)
    else:
        raise ValueError(f"an array of items of type {inner}")  # llama.cpp reads no arrays of arrays either


def _string(handle: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", handle.read(8))
    if length > _MAX_STRING:
        raise ValueError(f"a string of {length} bytes")
    data = handle.read(length)
    if len(data) < length:
        raise ValueError("it ends within a string")
    return data.decode("utf-8", "replace")
