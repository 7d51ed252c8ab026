"""E-mail (.eml) to text: who, to whom, when, and the words. Attachments are named, never opened. Knows no mailbox."""

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
_LONG = re.compile(rb"^content-(?:type|disposition):(?:[^\n]|\n[ \t]){16384}", re.MULTILINE | re.IGNORECASE)
"""The standard library's time for one such header grows with the square of its length: half a minute for 250 KB."""

_HEADER = re.compile(rb"^[!-9;-~]+:", re.MULTILINE)


def read_mail(path: Path) -> Extracted:
    """The headers that people read, then the body: its plain text, else its HTML. The subject is the title."""
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
    lines = [f"{name}: {value}" for name, value in told.items() if value]
    names = [_attached(part) for part in message.iter_attachments()] if message.is_multipart() else []
    if names:
        lines.append(f"Attachments: {', '.join(names)}")
        metadata["attachments"] = len(names)
    body = _body(message)
    if not body.strip():
        raise UnreadableDocument("the e-mail has no text of its own")
    return Extracted("\n".join(lines) + "\n\n" + body.strip() + "\n", _header(message, "Subject"), metadata)


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = message.get(name)
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError):  # of a broken address or date
        value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), None)
    return " ".join(clean(str(value)).split()) if value else ""


def _attached(part: EmailMessage) -> str:
    name = part.get_filename() or part.get_content_type()
    return " ".join(clean(str(name)).split())[:200]


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    raw = part.get_payload(decode=True)
    data = raw if isinstance(raw, bytes) else str(part.get_payload()).encode("utf-8", "surrogateescape")
    charset = part.get_content_charset("") or "utf-8"
    try:
        text = clean(data.decode(charset))
    except (LookupError, ValueError):
        text = decode(data)  # what the part says of itself is wrong
    return html_text(text, whole=True).text if part.get_content_type() == "text/html" else text
