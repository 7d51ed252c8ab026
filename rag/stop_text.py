"""Ends a streamed text before the first of some stop strings, wherever a piece is cut. Knows no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StopText:
    """Passes text through until a stop string appears; holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """The part that is certain to stand before any stop string."""
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.found = True
            out, self._held = self._held[: min(places)], ""
            return out
        keep = max(
            (
                n
                for stop in self._stops
                for n in range(1, min(len(stop), len(self._held)) + 1)
                if self._held.endswith(stop[:n])
            ),
            default=0,
        )
        out, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return out

    def rest(self) -> str:
        """What was held back, once generation has ended."""
        out, self._held = self._held, ""
        return out
