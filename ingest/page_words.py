"""Characters on a page to words, with their superscripts marked. Pure. Knows no file format."""

from __future__ import annotations

from typing import NamedTuple

from ingest.page_parts import Piece

LIKE = 0.85
"""Of a word's type size: what is smaller than that, or a word than it, may be a superscript or a subscript."""
RAISED = 0.15
"""Of the type size: what stands higher than that is a superscript, what stands lower a subscript."""
LEAST_RAISED = 0.4
"""Of the type size: smaller type beside it is text beside a large initial."""
TOUCHING = 0.1
"""Of the type size: what is no farther apart belongs to one word."""


class Character(NamedTuple):
    """One character, its number on the page, and its box in points from the upper left corner."""

    said: str
    at: int
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        """About the type size, a little more."""
        return self.bottom - self.top


class Word:
    """A word that grows character by character."""

    def __init__(self, first: Character, *, bold: bool = False) -> None:
        self._said = [first.said]
        self._left, self._top, self._right, self._bottom = first[2:]
        self._size = first.height
        self.at = first.at
        """Of its largest character."""
        self._bold = bold
        self._raised = False
        """Whether its last character is part of a superscript."""

    def alike(self, other: Character) -> bool:
        """Whether a character is in type of its size."""
        return LIKE * self._size <= other.height <= self._size / LIKE

    def ends(self, other: Character, up: float, *, line_ended: bool) -> bool:
        """Whether a character that follows is of another word.

        up: by how many points it stands higher than the word. line_ended: PDFium said so; it does after superscripts.
        """
        if abs(other.bottom - self._bottom) > 0.7 * (self._bottom - self._top) + 1:
            return True
        mark = other.height > self._size and up < -RAISED * self._size  # the number before a footnote
        return mark or (line_ended and abs(other.left - self._right) > TOUCHING * self._size)

    def add(self, other: Character, up: float) -> None:
        """A number that is raised is written as in 1,250^3: joined it would be another number.

        The box becomes no higher by what stands higher or lower than the word.
        """
        raised = up > RAISED * self._size and other.height > LEAST_RAISED * self._size
        if raised and not self._raised and (other.said.isdecimal() or other.said in "+-\u2212\u2013(["):
            self._said.append("^")
        self._raised = raised
        self._said.append(other.said)
        self._left, self._right = min(self._left, other.left), max(self._right, other.right)
        if raised or up < -RAISED * self._size:
            return
        self._top, self._bottom = min(self._top, other.top), max(self._bottom, other.bottom)
        if other.height > self._size:
            self._size, self.at = other.height, other.at

    def piece(self) -> Piece:
        """As it is put in order."""
        said = "".join(self._said).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return Piece(said, self._left, self._top, self._right, self._bottom, [self._size], self._bold)
