"""Which beginnings of prompts are kept evaluated, and in which sequence: the least recently used one goes. Pure.

A prompt's fixed beginning (markers, the rule, earlier turns) is evaluated once for each adapter and then shared.
Knows no model: who takes an entry out also frees its sequence there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

Key = tuple[str, tuple[int, ...]]
"""Adapter and tokens."""


@dataclass(slots=True)
class Prefix:
    """A kept beginning. `ready` once it is evaluated: until then whoever needs it waits for it."""

    key: Key
    sequence: int
    ready: bool = False

    @property
    def tokens(self) -> int:
        """Its length."""
        return len(self.key[1])


class Prefixes:
    """Beginnings within a budget of tokens and of sequences."""

    def __init__(self, sequences: Sequence[int], *, max_tokens: int) -> None:
        self._free = list(sequences)
        self._max_tokens = max_tokens
        self._kept: OrderedDict[Key, Prefix] = OrderedDict()
        self.hits = self.misses = 0

    @property
    def tokens(self) -> int:
        """Held by all of them."""
        return sum(prefix.tokens for prefix in self._kept.values())

    def find(self, key: Key) -> Prefix | None:
        """The entry of a beginning, now the most recently used."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def fits(self, key: Key) -> bool:
        """Whether a beginning may be kept at all: it has tokens, and no more than the budget."""
        return 0 < len(key[1]) <= self._max_tokens

    def add(self, key: Key) -> tuple[Prefix | None, list[int]]:
        """A new entry, not yet ready, and the sequences of those that had to go for it.

        No entry where everything that could go is still being evaluated. `fits` must hold.
        """
        gone: list[int] = []
        while not self._free or self.tokens + len(key[1]) > self._max_tokens:
            oldest = next((prefix for prefix in self._kept.values() if prefix.ready), None)
            if oldest is None:
                return None, gone
            gone.append(oldest.sequence)
            self.drop(oldest)
        entry = self._kept[key] = Prefix(key, self._free.pop())
        return entry, gone

    def drop(self, entry: Prefix) -> None:
        """Take an entry out; its sequence may be given to another."""
        if self._kept.get(entry.key) is entry:
            del self._kept[entry.key]
            self._free.append(entry.sequence)
