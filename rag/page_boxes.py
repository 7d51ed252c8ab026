"""Where stretches of a stored text stand on the pages of its file. Pure; knows no document."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class PlacedText(NamedTuple):
    """A stretch of a text and where it stands, in points (1/72 inch) from the upper left corner of the shown page."""

    start: int
    end: int
    page: int
    """Counted from 1."""
    left: float
    top: float
    right: float
    bottom: float


class Box(BaseModel):
    """A rectangle on a page of a document's file, in points from the upper left corner of the page as it is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: PositiveInt = Field(description="counted from 1")
    left: float
    top: float
    right: float
    bottom: float


def boxes(layout: Sequence[PlacedText], start: int, end: int) -> tuple[Box, ...]:
    """A box for each line, or cell of a table, that holds some of `text[start:end]`, in order.

    layout: of the whole text, in order.
    """
    first = max(0, bisect_right(layout, start, key=lambda placed: placed.start) - 1)
    found = []
    for placed in layout[first:]:
        if placed.start >= end:
            break
        if placed.end > start:
            found.append(
                Box(page=placed.page, left=placed.left, top=placed.top, right=placed.right, bottom=placed.bottom)
            )
    return tuple(found)
