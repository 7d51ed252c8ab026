"""Names of the machine's world in a question: which it says, and which sentences stand in their definitions. Pure.

Options, settings, functions and files are written in one way alone (`--leak-check`, `RestartSec`, `gc.auto`,
`max_retries`, `fork()`), and manuals define each once, as a term with its description further in, as an item or under a
heading. A question that says such a name asks of its definition, however near other sentences are; and where no
passage says it, none can answer. Names in plain letters are none of these: they cannot be told from words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from rag import outline
from rag.lexical import sentences as split
from rag.reading import Sentence
from rag.types import Passage

TextOf = Callable[[str], str]
"""A document's whole stored text, by its id."""

LONGEST = 4000
"""Characters of a definition that are read."""

_MARKED = re.compile(
    r"(?<![\w-])--?[A-Za-z][\w-]*"  # an option; what it is set to is none of its name
    r"|\b[A-Za-z]\w*_\w+\b"
    r"|\b[A-Za-z]\w+(?=\(\)|=)"
    r"|(?<=`)[^`\s]+(?=`)"
)
_PLAIN = re.compile(r"\b[A-Za-z]\w*(?:\.[A-Za-z][\w-]+)+\b|\b(?=\w{4})\w*[a-z][A-Z]\w*\b")
"""`gc.auto`, `RestartSec`: Node.js and GitHub are written so too, and are in questions about anything."""
_DEFAULT = re.compile(
    r"\bdefault|\b(?:not|never) (?:set|given|specified|configured|named)\b|\b(?:unset|omitted|unspecified)\b", re.I
)
_IS_DEFAULT = re.compile(
    r"\bdefaults (?:to|is|are)\b|\bdefault(?: \w+){0,2}(?:\s+(?:is|are|of)\b|:|=)"
    r"|[\[(]default|\bby default\b|\b(?:is|are) the default\b",
    re.IGNORECASE,
)
"""Says which one it is; other sentences speak of a default."""
_MEANING = re.compile(
    r"what (?:does|do) (?:the )?K(?: \w+)? (?:do|mean|control|set|specify|configure|change)\b"
    r"|what (?:is|are) (?:the )?K(?: \w+)?(?: used)?(?: for| good for)?\W*$"
    r"|what(?:['’]s| is| are) the (?:purpose|meaning|effect|use) of (?:the )?K"
    r"|what happens .*K|(?:explain|describe) (?:the )?K",
    re.IGNORECASE,
)
"""K: a name"""
_ASKED_OF = re.compile(
    r"(?:default|value|setting|meaning)s? (?:(?:of|for|has|does) )(?:the )?K\b|how is (?:the )?K set\b", re.I
)
_CODE = re.compile(r"\S*(?:[-_=<\[(/]|[a-z][A-Z]|\w\.\w)")
"""A term that begins with something that is no word of prose."""
_NUMBERED = re.compile(r"^\d[\d.]*\s+")
_PARTED = re.compile(r",\s*|\s*\|\s*|\s+or\s+|\s+(?=-)")
_TERM_ENDS = re.compile(r"[^.!?:]{0,40}?(?::\s|\s[-–—]\s|\[default)", re.I)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_MARKUP = re.compile(r"(?:[-*+•–>#|]+\s+|\d{1,3}[.)]\s+|[*_`\"'“”]+)*")


def said(question: str) -> tuple[str, ...]:
    """The names that a question says, in order, each once; those that could be a product's only if it asks of them."""
    marked = [match.rstrip("-.") for match in _MARKED.findall(question)]
    plain = [name for name in _PLAIN.findall(question) if name not in marked and _is_subject(question, name)]
    return tuple(dict.fromkeys(sorted((*marked, *plain), key=question.index)))


def unknown(names: Sequence[str], passages: Sequence[Passage]) -> str:
    """The first of some names that no passage says however it is parted; nothing where all are said."""
    texts = [f"{passage.title}\n{passage.heading}\n{passage.text}" for passage in passages]
    return next((name for name in names if not any(_says_parted(text, name) for text in texts)), "")


def says(text: str, name: str) -> bool:
    """Whether a text says a name: whole, and not as a part of a longer one. Only of one letter the case counts."""
    flags = 0 if len(name.strip("-")) == 1 else re.IGNORECASE
    return bool(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, flags))


def definitions(question: str, names: Sequence[str], ranked: Sequence[Sentence], text_of: TextOf) -> list[Passage]:
    """What defines a name, whole, as far as some sentences stand in it; in their order.

    What stands under a term ends with its indentation, wherever the passage does; a section is the passage's part of
    it; an item is its sentence. Where a default is asked for and the term itself says it, that is all.
    """
    if not names:
        return []
    found: dict[tuple[str, int, int], Passage] = {}
    read = cache(text_of)
    for sentence in ranked:
        for start, end in _definition(question, names, sentence, read):
            passage = sentence.passage
            text = read(passage.document_id)[start:end]
            whole = passage.model_copy(update={"text": text, "start": start, "end": end})
            found.setdefault((passage.document_id, start, end), whole)
    return list(found.values())


def telling(question: str, ranked: Sequence[Sentence]) -> Sequence[Sentence]:
    """Of a definition's sentences those that say the default, where it is asked for and any does; else all."""
    if _DEFAULT.search(question):
        for says_it in (_IS_DEFAULT, _DEFAULT):
            if told := [each for each in ranked if says_it.search(_text(each))]:
                return told
    return ranked


def asks_meaning(question: str, names: Sequence[str]) -> bool:
    """Whether a question asks what a name is for: what its definition begins with."""
    return any(_MEANING.search(_with_k(question, name)) for name in names)


def first(question: str, names: Sequence[str], ranked: Sequence[Sentence]) -> Sentence:
    """What says what a name is for: the beginning of the definition that the best of some sentences stands in.

    Where the question sets it to a value (`--leak-check=full`), the first sentence of it that says the value.
    """
    best = ranked[0]
    text = best.passage.text
    values = [v for name in names for v in re.findall(rf"{re.escape(name)}=([\w.-]*\w)", question)]
    spans = list(split(text))
    worded = [(a, b) for a, b in spans if len(text[a:b].split()) > 1]  # one word is a section's number, or a label
    told = [(a, b) for a, b in worded if any(says(text[a:b], value) for value in values)]
    start, end = (told or worded or spans)[0]
    return replace(best, start=start, end=end, row=None)


def _definition(question: str, names: Sequence[str], sentence: Sentence, text_of: TextOf) -> Iterator[tuple[int, int]]:
    """Where a definition that a sentence stands in begins and ends in its document, if any does."""
    passage = sentence.passage
    whole = text_of(passage.document_id)
    if whole[passage.start : passage.end] != passage.text:
        return  # it changed under the passage
    last = passage.start + sentence.end - 1  # a sentence may begin with the term that the rest of it stands under
    under = outline.above(whole, [last])[0]
    term = next((t for t in reversed(under) if any(_is_term_of(t.words, name) for name in names)), None)
    heading = passage.heading.rpartition(" > ")[2]
    if term is not None:
        yield term.end, outline.end(whole, term, longest=LONGEST)
        if _DEFAULT.search(question) and _DEFAULT.search(term.words):
            yield term.start, term.end
    elif any(_heads(heading, name) for name in names):
        yield passage.start, passage.end
    elif any(_begins_with(_text(sentence), name) for name in names):
        yield passage.start + sentence.start, passage.start + sentence.end


def _is_subject(question: str, name: str) -> bool:
    plain = _with_k(question, name)
    return bool(_MEANING.search(plain) or _ASKED_OF.search(plain))


def _with_k(question: str, name: str) -> str:
    """A question with K for a name and for what it sets it to."""
    return re.sub(rf"[`'\"]?(?<![\w-]){re.escape(name)}(?![\w-])(?:=[\w.-]+|\(\)|=)?[`'\"]?", "K", question)


def _text(sentence: Sentence) -> str:
    return sentence.passage.text[sentence.start : sentence.end]


def _says_parted(text: str, name: str) -> bool:
    """Whether a text says a name, or its parts one after the other: "max retries" for `maxRetries`."""
    if len(name.strip("-")) < 4:
        return says(text, name)
    parts = _PART.findall(name)
    return bool(re.search(r"[\s_.-]?".join(map(re.escape, parts)), text, re.IGNORECASE))


def _is_term_of(term: str, name: str) -> bool:
    """Whether a term is a name, with what it takes and other ways to write it ("-o FILE, --output=FILE")."""
    term = _NUMBERED.sub("", term)
    if _heads(term, name) or re.search(rf"(?<![\w-]){re.escape(name)}\(", term, re.IGNORECASE):
        return True
    return bool(_CODE.match(term)) and any(_heads(part, name) for part in _PARTED.split(term))


def _heads(heading: str, name: str) -> bool:
    """Whether a section is about a name: its heading begins with it, its number and an article aside."""
    plain = _NUMBERED.sub("", heading)
    return bool(re.match(rf"\W*?(?:the )?\W*?{re.escape(name)}(?![\w-])", plain, re.IGNORECASE))


def _begins_with(text: str, name: str) -> bool:
    """Whether a text is an item or a term that says of a name: "`max_retries`: how often …"."""
    begun = _MARKUP.match(text)
    start = begun.end() if begun else 0
    end = start + len(name)
    return text[start:end].casefold() == name.casefold() and bool(_TERM_ENDS.match(text, end))
