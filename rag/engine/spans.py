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
    worth: float = 0.0
    """of the best place, in nats"""

    @property
    def value(self) -> float:
        """What it is chosen by: its log-probability and what its place is worth."""
        return sum(self.logprobs) + self.worth


@dataclass(frozen=True, slots=True)
class _Text:
    data: bytes
    starts: tuple[int, ...]
    ends: frozenset[int]
    worth: Mapping[int, float]
    """of an answer that begins there, where it is not 0"""


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
    worth: float = 0.0
    """of the best place, in nats"""

    @property
    def value(self) -> float:
        """What it is followed for: its log-probability so far and what its place is worth."""
        return sum(self.logprobs) + self.worth


class Spans:
    """The automaton over some texts, for one vocabulary."""

    def __init__(
        self,
        texts: Sequence[str],
        alternatives: Sequence[str],
        vocabulary: Mapping[bytes, int],
        longest: int,
        worth: Sequence[Sequence[tuple[int, int, float]]] = (),
    ) -> None:
        """vocabulary: the bytes of a token to its id; longest: of them, in bytes.

        worth: for each text, stretches (start, end, nats) whose answers are worth more or less than 0
        """
        stretches = [*worth, *([()] * (len(texts) - len(worth)))]
        self._texts = [_open(text, told) for text, told in zip(texts, stretches, strict=True)]
        self._texts += [_fixed(text) for text in alternatives]
        self._vocabulary, self._longest = vocabulary, longest
        self._first = self._beginnings()

    def first(self, logprobs: npt.NDArray[np.float32]) -> list[Hypothesis]:
        """Every first token; a space before the first word is allowed, some tokenizers always write one."""
        return [
            Hypothesis(places, (float(logprobs[token]),), token, 0, self._worth(places))
            for token, places in self._first
        ]

    def _worth(self, places: Sequence[tuple[int, int, int]]) -> float:
        """Of the best of some places."""
        return max(self._texts[number].worth.get(start, 0.0) for number, start, _ in places)

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
            Hypothesis(tuple(places), (*before.logprobs, float(logprobs[token])), token, parent, self._worth(places))
            for token, places in following.items()
        ]

    def finished(self, hypothesis: Hypothesis, end: float) -> Found | None:
        """The answer that a hypothesis is if it ends here, `end` being the log-probability that it does."""
        ended = [place for place in hypothesis.places if place[2] in self._texts[place[0]].ends]
        if not ended:
            return None
        places = tuple(
            (number, len(self._texts[number].data[:start].decode()), len(self._texts[number].data[:now].decode()))
            for number, start, now in ended
        )
        return Found(places, (*hypothesis.logprobs, end), self._worth(ended))

    def _tokens(self, ahead: bytes) -> list[tuple[int, int]]:
        """(token, its bytes) for every token that the bytes begin with."""
        found = []
        for size in range(1, min(len(ahead), self._longest) + 1):
            token = self._vocabulary.get(ahead[:size])
            if token is not None:
                found.append((token, size))
        return found


def _open(text: str, worth: Sequence[tuple[int, int, float]]) -> _Text:
    """Any stretch of whole words of one line."""
    data = text.encode("utf-8", "replace")
    if len(data) == len(text):
        at: Sequence[int] = range(len(text) + 1)
    else:
        at = np.concatenate([[0], np.cumsum([len(c.encode("utf-8", "replace")) for c in text])]).tolist()
    starts = tuple(at[match.start()] for match in _START.finditer(text))
    told = [(at[start], at[end], nats) for start, end, nats in worth]
    known = {place: nats for start, end, nats in told for place in starts if start <= place < end}
    return _Text(data, starts, frozenset(at[match.start()] for match in _END.finditer(text)), known)


def _fixed(text: str) -> _Text:
    """All of it or nothing."""
    data = text.encode("utf-8", "replace")
    return _Text(data, (0,), frozenset([len(data)]), {})
