"""The wire between the service and its generator process: length-prefixed JSON frames. Knows no model.

A frame is a 4-byte big-endian length and that many bytes of ASCII JSON (an object). Both ends are ours, so a
malformed frame is a broken pipe, not an input to be tolerated.

Requests, to the child                               Replies, each with the request's `id`
    load      first frame: path and options              ready | failed
    count     texts to count tokens of                   counted
    generate  segments, limits                           started, piece …, finished | failed | cancelled
    score     segments, continuations                    started, scored | failed | cancelled
    extract   segments, texts, alternatives, limit       started, extracted | failed | cancelled
    cancel    `id` of one of these three                 (none of its own)
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")
MAX_FRAME = 64 * 1024 * 1024
"""Bytes; a prompt is thousands of times smaller."""

Frame = dict[str, Any]


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    """Write one frame and flush. Raises OSError when the other end is gone."""
    body = json.dumps(frame, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame, or None when the stream ended (also in mid-frame: the other end died)."""
    header = stream.read(LENGTH.size)
    if header is None or len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    if length > MAX_FRAME:
        return None
    body = stream.read(length)
    if body is None or len(body) < length:
        return None
    frame = json.loads(body)
    return frame if isinstance(frame, dict) else None
