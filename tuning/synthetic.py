"""Questions made from a corpus without a large model, so that one without labels can tune. Pure.

Four kinds, each with the exact words that answer it and the document they stand in: a definition ("X is a Y" asks what
X is), a number or a name taken out of a sentence (cloze, as in Lewis, Denoyer & Riedel 2019, "Unsupervised Question
Answering by Cloze Translation"), and a table row. Unanswerables are made of them by `tuning.examples`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence

from rag.lexical import content_words, sentences
from rag.types import Document
from tuning.examples import Labelled

MAX_A_DOCUMENT = 4
"""Questions of one document: a long one must not drown the others."""

DEFINITION = re.compile(
    r"^(?:The |An? )?(?P<what>[A-Z][\w\-’' ]{2,50}?) (?:is|are|was|were) (?P<answer>(?:an? |the )[^,.;:()]{6,80})[,.;]"
)
NUMBER = re.compile(
    r"(?<![\w.,])(?P<answer>[$€£]?\d[\d.,]*\d|\d)(?P<unit> ?(?:%|°C|[a-zA-Zµ]+(?:[/²³][a-zA-Z]*)?))?(?![\w])"
)
NAME = re.compile(r"(?<=[a-z,] )(?P<answer>[A-Z][\w\-’]+(?: (?:of |the |de |van )?[A-Z][\w\-’]+){0,3})")
ROW = re.compile(r"^\|\s*(?P<what>[^|]{3,60}?)\s*\|\s*(?P<answer>[^|]{1,60}?)\s*\|\s*$", re.MULTILINE)


def questions(documents: Sequence[Document], *, limit: int, seed: int) -> list[Labelled]:
    """At most `limit` questions over some documents, spread evenly, in an order drawn by seed."""
    rng = random.Random(seed)  # noqa: S311  # a repeatable draw, no secret
    rounds: list[list[Labelled]] = [[] for _ in range(MAX_A_DOCUMENT)]
    for document in documents:
        made = list(_of(document))
        rng.shuffle(made)
        for place, question in enumerate(made[:MAX_A_DOCUMENT]):
            rounds[place].append(question)
    for part in rounds:
        rng.shuffle(part)
    found: dict[str, Labelled] = {}
    for question in (question for part in rounds for question in part):
        found.setdefault(question.question, question)
    return list(found.values())[:limit]


def _of(document: Document) -> Iterator[Labelled]:
    text = document.text
    for row in ROW.finditer(text):
        what, answer = row["what"], row["answer"]
        if any(c.isalnum() for c in answer) and content_words(what) and set(answer) - set("-: "):
            yield _labelled(document, f"What is given for {_lower(what)} in {document.title}?", answer)
    for start, end in sentences(text):
        sentence = " ".join(text[start:end].split())
        if not 30 <= len(sentence) <= 300 or "|" in sentence:
            continue
        if match := DEFINITION.match(sentence):
            yield _labelled(document, f"What is {_lower(match['what'])}?", match["answer"].strip())
        if match := NUMBER.search(sentence):
            answer = match["answer"] + (match["unit"] or "")
            yield _labelled(document, _cloze(sentence, match.start(), match.start() + len(answer), "how many"), answer)
        if match := NAME.search(sentence):
            yield _labelled(document, _cloze(sentence, match.start(), match.end(), "which name"), match["answer"])


def _cloze(sentence: str, start: int, end: int, asked: str) -> str:
    """The sentence as a question: what stood between start and end is asked for, in few of its words."""
    before = sentence[:start].split()[-12:]
    after = sentence[end:].rstrip(" .;").split()[:12]
    return f"{' '.join([*before, asked, *after])}?"


def _labelled(document: Document, question: str, answer: str) -> Labelled:
    name = hashlib.sha256(f"{document.id}\x1f{question}".encode()).hexdigest()[:16]
    return Labelled(id=f"made:{name}", question=question, answers=(answer,), gold=(document.id,))


def _lower(words: str) -> str:
    """Without a capital that only began a sentence."""
    return words if len(words) < 2 or words[1].isupper() or " " not in words else words[0].lower() + words[1:]
