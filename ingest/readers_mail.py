"""E-mail (.eml) to text: who, to whom, when, and the words, those of forwarded messages too. Knows no mailbox.

Attachments are named, never opened; a message within a message is none.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

from ingest.cleaning import clean, decode
from ingest.readers import Extracted
from ingest.readers_html import html_text
from rag.errors import UnreadableDocument
from rag.types import MetadataValue

_TOLD = ("From", "To", "Cc", "Date")
MAX_DEPTH = 20
"""Parts within parts, and messages within messages; deeper ones are left out."""
MAX_FORWARDED = 100
"""Messages within one; further ones are left out."""
_LONG = re.compile(rb"^content-(?:type|disposition):(?:[^\n]|\n[ \t]){16384}", re.MULTILINE | re.IGNORECASE)
"""The standard library's time for one such header grows with the square of its length: half a minute for 250 KB."""

_HEADER = re.compile(rb"^[!-9;-~]+:", re.MULTILINE)


def read_mail(path: Path) -> Extracted:
    """The headers that people read, then the words: plain text, else HTML. The subject is the title."""
    data = path.read_bytes()
    if not _HEADER.match(data.lstrip()):
        raise UnreadableDocument("the file is no e-mail: it does not begin with a header")
    if _LONG.search(data):
        raise UnreadableDocument("the file is no e-mail that a program wrote: one of its headers has over 16 KB")
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101  # the policy's own class
    told = {name: _header(message, name) for name in _TOLD}
    metadata: dict[str, MetadataValue] = {name.lower(): value for name, value in told.items() if value}
    if told["Date"]:
        with suppress(ArithmeticError, IndexError, TypeError, ValueError):  # it stays as it was written
            metadata["date"] = email.utils.parsedate_to_datetime(told["Date"]).isoformat()
    names = _attachments(message)
    if names:
        metadata["attachments"] = len(names)
    body = "\n\n".join(_Words().of(message, 0))
    if not body:
        raise UnreadableDocument("the e-mail has no text of its own")
    return Extracted(f"{_head(told, names)}\n\n{body}\n", _header(message, "Subject"), metadata)


class _Words:
    """Collects what a message says, part after part."""

    def __init__(self) -> None:
        self.forwarded = 0

    def of(self, part: EmailMessage, depth: int) -> list[str]:
        """The texts of a part in their order, none blank, without white space around them."""
        kind = part.get_content_type()
        if depth > MAX_DEPTH:
            return []
        if kind in ("text/plain", "text/html"):
            text = "" if part.is_attachment() else _text(part).strip()
            return [text] if text else []
        parts = _parts(part)
        if kind in ("multipart/alternative", "multipart/related"):
            if kind == "multipart/alternative":  # the plain text, unless it is empty; then what stands last, the best
                parts.reverse()
                parts.sort(key=lambda each: each.get_content_type() != "text/plain")
            return next(filter(None, (self.of(each, depth + 1) for each in parts)), [])
        if kind == "message/rfc822":
            return [text for message in parts for text in self.message(message, depth + 1)]
        return [text for each in parts for text in self.of(each, depth + 1)]

    def message(self, message: EmailMessage, depth: int) -> list[str]:
        """A forwarded message with its headers."""
        self.forwarded += 1
        if self.forwarded > MAX_FORWARDED:
            return []
        told = {name: _header(message, name) for name in (*_TOLD, "Subject")}
        return [*filter(None, [_head(told, _attachments(message))]), *self.of(message, depth)]


def _parts(part: EmailMessage) -> list[EmailMessage]:
    return [each for each in part.iter_parts() if isinstance(each, EmailMessage)]


def _head(told: dict[str, str], attachments: list[str]) -> str:
    lines = [f"{name}: {value}" for name, value in told.items() if value]
    return "\n".join([*lines, f"Attachments: {', '.join(attachments)}"] if attachments else lines)


def _attachments(message: EmailMessage) -> list[str]:
    """The names of the parts that are not read."""
    if not message.is_multipart() or message.get_content_maintype() != "multipart":
        return []
    return [_attached(part) for part in message.iter_attachments() if not _is_read(part)]


def _is_read(part: EmailMessage) -> bool:
    words = part.get_content_type() in ("text/plain", "text/html") and not part.is_attachment()
    return words or part.get_content_type() == "message/rfc822" or part.get_content_maintype() == "multipart"


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = message.get(name)
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError):  # of a broken address or date
        value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), None)
    return " ".join(clean(str(value)).split()) if value else ""


def _attached(part: EmailMessage) -> str:
    name = part.get_filename() or part.get_content_type()
    return " ".join(clean(str(name)).split())[:200]


def _text(part: EmailMessage) -> str:
    raw = part.get_payload(decode=True)
    data = raw if isinstance(raw, bytes) else str(part.get_payload()).encode("utf-8", "surrogateescape")
    charset = part.get_content_charset("") or "utf-8"
    try:
        text = clean(data.decode(charset))
    except (LookupError, ValueError):
        text = decode(data)  # what the part says of itself is wrong
    return html_text(text, whole=True).text if part.get_content_type() == "text/html" else text
