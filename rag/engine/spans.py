"""Decoding held to the words of some texts: which tokens may come next, and where in the texts they stand. Pure.

An automaton over bytes, so that any tokenizer fits: a hypothesis is the bytes written so far and every place where they
stand in a text; a token may follow if its bytes do, at one of the places. An answer begins and ends at word boundaries
and never inside a number. An alternative (a refusal, say) is a text that is written as a whole or not at all.
Method: constrained decoding as in De Cao et al., "Autoregressive Entity Retrieval" (2021), over spans in place of a
trie of names. Knows no model: rag.engine.llama evaluates the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_START = re.compile(r"(?<![^\W_])(?<!\d[.,:])(?<!\w['’])[^\W_]|(?<!\S)[$€£¥<>~±+\-−#@(\"“'‘]")
"""Where an answer may begin: a word's first character (no number's middle), or a sign that belongs to the next word."""
_END = re.compile(r"(?<=\w)(?!\w)(?![.,:]\d)|(?<=[%)\"”'’°+])(?!\w)|(?<=[\s.(][A-Z]\.)(?!\w)")
"""Where an answer may end: after a word's last character, not inside a number, or after a sign that closes it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A way to write an answer, and where its words stand."""

    places: tuple[tuple[int, int, int], ...]
    """(text, start, end) in code points, in the order of the texts"""
    logprobs: tuple[float, ...]
    """natural log-probability of every token, the end of the answer last"""

    @property
    def logprob(self) -> float:
        """Of the whole answer."""
        return sum(self.logprobs)


@dataclass(frozen=True, slots=True)
class _Text:
    data: bytes
    starts: tuple[int, ...]
    ends: frozenset[int]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What has been written so far."""

    places: tuple[tuple[int, int, int], ...]
    """(text, start, now) in bytes"""
    logprobs: tuple[float, ...]
    token: int
    """the last token, yet to be evaluated"""
    parent: int
    """its parent's place in the last step's beam"""

    @property
    def logprob(self) -> float:
        """Of what has been written."""
        return sum(self.logprobs)


class Spans:
    """The automaton over some texts, for one vocabulary."""

    def __init__(
        self, texts: Sequence[str], alternatives: Sequence[str], vocabulary: Mapping[bytes, int], longest: int
    ) -> None:
        """vocabulary: the bytes of a token to its id; longest: of them, in bytes."""
        self._texts = [_open(text) for text in texts] + [_fixed(text) for text in alternatives]
        self._vocabulary, self._longest = vocabulary, longest
        self._first = self._beginnings()

    def first(self, logprobs: npt.NDArray[np.float32]) -> list[Hypothesis]:
        """Every first token; a space before the first word is allowed, some tokenizers always write one."""
        return [Hypothesis(places, (float(logprobs[token]),), token, 0) for token, places in self._first]

    def _beginnings(self) -> list[tuple[int, tuple[tuple[int, int, int], ...]]]:
        """Every first token and where it stands: milliseconds of work that need no model, done when it is made."""
        following: dict[int, list[tuple[int, int, int]]] = {}
        for number, text in enumerate(self._texts):
            for start in text.starts:
                ahead = text.data[start : start + self._longest]
                for lead in (b"", b" "):
                    for token, size in self._tokens(lead + ahead):
                        following.setdefault(token, []).append((number, start, start + size - len(lead)))
        return [
            (token, tuple(places))
            for token, places in following.items()
            if all(now > start for _, start, now in places)
        ]

    def next(self, before: Hypothesis, parent: int, logprobs: npt.NDArray[np.float32]) -> list[Hypothesis]:
        """Every token that may follow a hypothesis."""
        following: dict[int, list[tuple[int, int, int]]] = {}
        for number, start, now in before.places:
            for token, size in self._tokens(self._texts[number].data[now : now + self._longest]):
                following.setdefault(token, []).append((number, start, now + size))
        return [
            Hypothesis(tuple(places), (*before.logprobs, float(logprobs[token])), token, parent)
            for token, places in following.items()
        ]

    def finished(self, hypothesis: Hypothesis, end: float) -> Found | None:
        """The answer that a hypothesis is if it ends here, `end` being the log-probability that it does."""
        places = tuple(
            (number, len(text.data[:start].decode()), len(text.data[:now].decode()))
            for number, start, now in hypothesis.places
            if now in (text := self._texts[number]).ends
        )
        return Found(places, (*hypothesis.logprobs, end)) if places else None

    def _tokens(self, ahead: bytes) -> list[tuple[int, int]]:
        """(token, its bytes) for every token that the bytes begin with."""
        found = []
        for size in range(1, min(len(ahead), self._longest) + 1):
            token = self._vocabulary.get(ahead[:size])
            if token is not None:
                found.append((token, size))
        return found


def _open(text: str) -> _Text:
    """Any stretch of whole words of one line."""
    data = text.encode("utf-8", "replace")
    if len(data) == len(text):
        at: Sequence[int] = range(len(text) + 1)
    else:
        at = np.concatenate([[0], np.cumsum([len(c.encode("utf-8", "replace")) for c in text])]).tolist()
    starts = tuple(at[match.start()] for match in _START.finditer(text))
    return _Text(data, starts, frozenset(at[match.start()] for match in _END.finditer(text)))


def _fixed(text: str) -> _Text:
    """All of it or nothing."""
    data = text.encode("utf-8", "replace")
    return _Text(data, (0,), frozenset([len(data)]))
