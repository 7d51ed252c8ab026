"""Prompt templates: text files that are loaded, checked, rendered and hashed. Knows no model.

A document is data: passages are only ever put into a user message, as text; which words of a prompt are
markers is decided by the chat template, never by the passages.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files

from rag.types import Message, Passage


@functools.cache
def load(name: str) -> str:
    """The text of `prompts/<name>.md`, without its last newline."""
    return files("rag").joinpath("prompts", f"{name}.md").read_text("utf-8").rstrip("\n")


def answer_messages(question: str, passages: Sequence[Passage], *, options: Sequence[str] = ()) -> tuple[Message, ...]:
    """The chat prompt of a grounded answer: the rule, then passages with their titles, then question and options."""
    shown = [f"{heading_line(passage)}\n{passage.text}" for passage in passages]
    asked = [f"Question: {question}", *([f"Options: {'; '.join(options)}"] if options else []), "Answer:"]
    content = "\n\n".join([*shown, "\n".join(asked)])
    return (Message(role="system", content=load("answer")), Message(role="user", content=content))


def heading_line(passage: Passage) -> str:
    """Title and headings of a passage on one line, the same words not twice."""
    parts = [part for part in (passage.title, passage.heading) if part]
    if len(parts) == 2 and parts[1].startswith(parts[0]):
        parts = parts[1:]
    return " > ".join(parts) or passage.document_id


def fingerprint(messages: Sequence[Message]) -> str:
    """Hex sha256 of the prompt as it is sent, before any chat template."""
    body = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=False)
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def seen_hash(question: str) -> str:
    """How a question is named in the card of an adapter that learned from it: 16 hex digits of its words' sha256."""
    return hashlib.sha256(" ".join(question.casefold().split()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
