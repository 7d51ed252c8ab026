"""The header of a GGUF file: its key-value metadata, read without its tensors. Knows no model.

Source: the GGUF specification of ggml (docs/gguf.md), versions 2 and 3, little endian.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from rag.errors import ModelUnavailable

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_STRING = 16 << 20
_MAX_ITEMS = 1 << 24


def read_header(path: Path) -> dict[str, Any]:
    """The scalar and text metadata of a GGUF file by key; arrays are left out.

    Raises ModelUnavailable when the file is missing, is no GGUF, or ends too early.
    """
    try:
        with path.open("rb") as handle:
            return _read(handle)
    except OSError as error:
        raise ModelUnavailable(f"cannot read {path}: {error.strerror}; check UNDERSTUDY_MODEL__NAME") from error
    except (struct.error, ValueError, OverflowError, MemoryError) as error:
        raise ModelUnavailable(f"{path} is no GGUF file, or a truncated one ({error}): fetch it again") from error


def _read(handle: BinaryIO) -> dict[str, Any]:
    if handle.read(4) != b"GGUF":
        raise ValueError("its first bytes are not 'GGUF'")
    (version,) = _unpack(handle, "<I")
    if version not in (2, 3):
        raise ValueError(f"version {version} is not supported")
    _tensors, count = _unpack(handle, "<QQ")
    if count > _MAX_ITEMS:
        raise ValueError(f"{count} metadata entries")
    found: dict[str, Any] = {}
    for _ in range(count):
        key = _string(handle)
        (kind,) = _unpack(handle, "<I")
        value = _value(handle, kind)
        if value is not None:
            found[key] = value
    return found


def _value(handle: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(handle)
    if kind == _ARRAY:
        inner, count = _unpack(handle, "<IQ")
        if count > _MAX_ITEMS:
            raise ValueError(f"an array of {count} items")
        if inner in _SCALARS:
            handle.seek(count * struct.calcsize(_SCALARS[inner]), 1)
        else:
            for _ in range(count):
                _value(handle, inner)
        return None
    if kind not in _SCALARS:
        raise ValueError(f"unknown value type {kind}")
    return _unpack(handle, _SCALARS[kind])[0]


def _string(handle: BinaryIO) -> str:
    (length,) = _unpack(handle, "<Q")
    if length > _MAX_STRING:
        raise ValueError(f"a string of {length} bytes")
    data = handle.read(length)
    if len(data) < length:
        raise ValueError("it ends within a string")
    return data.decode("utf-8", "replace")


def _unpack(handle: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, handle.read(struct.calcsize(layout)))
