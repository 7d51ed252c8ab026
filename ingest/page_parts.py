"""What a page is made of: pieces of text, lines, and blocks of lines; in points from the upper left corner."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True)
class Piece:
    """Words that stand together on one line."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    sizes: list[float] = field(default_factory=list)
    """The type size of each word, about; what stands higher or lower than the others makes none larger."""
    bold: bool = False
    """Whether all of its words are."""

    def __post_init__(self) -> None:
        """A word whose type size nobody knows is as high as it is."""
        if not self.sizes:
            self.sizes = [self.height]

    @property
    def height(self) -> float:
        """About the type size, a little more."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Of its height."""
        return (self.top + self.bottom) / 2

    def beside(self, other: Piece) -> bool:
        """Whether both stand on one line."""
        shared = min(self.bottom, other.bottom) - max(self.top, other.top)
        return shared > 0.5 * min(self.height, other.height)


@dataclass(slots=True)
class Line:
    """Pieces of one line, in reading order; `cells` of a row of a table."""

    pieces: list[Piece]
    cells: list[list[Piece]] = field(default_factory=list)
    """Empty for a line of prose."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        parts = self.pieces
        return (
            min(p.left for p in parts),
            min(p.top for p in parts),
            max(p.right for p in parts),
            max(p.bottom for p in parts),
        )

    @property
    def height(self) -> float:
        """Of its tallest piece."""
        return max(piece.height for piece in self.pieces)

    @property
    def size(self) -> float:
        """The type size of most of its words, about."""
        return median(size for piece in self.pieces for size in piece.sizes)

    @property
    def bold(self) -> bool:
        """Whether all of its words are."""
        return all(piece.bold for piece in self.pieces)

    @property
    def text(self) -> str:
        """Its words."""
        return " ".join(piece.text for piece in self.pieces)


@dataclass(slots=True)
class Block:
    """Lines that are read one after the other: a table, or what stands in one column between two gaps."""

    lines: list[Line]
    table: bool = False
    box: tuple[float, float, float, float] = field(init=False)
    """Left, top, right, bottom; found once, as it is asked for again and again."""

    def __post_init__(self) -> None:
        """Find the box."""
        boxes = [line.box for line in self.lines]
        self.box = (
            min(box[0] for box in boxes),
            min(box[1] for box in boxes),
            max(box[2] for box in boxes),
            max(box[3] for box in boxes),
        )
