"""The recipe of a stored document: how it was read, split, embedded and declared, in one line. Written and read back.

A document whose recipe would be another today is changed, whatever its file says. Knows no store.
"""

from __future__ import annotations

import re

from ingest.chunkers import CHUNKERS, Chunker, chunker_for

EMBEDDING = "title-heading-text-3"
"""How a chunk becomes the text that is embedded and indexed."""

_RECIPE = re.compile(
    rf"(?P<reading>.*?)/(?P<chunker>(?P<name>{'|'.join(CHUNKERS)})-\d+(?:/\d+)*)/title-heading-text-\d+/(?P<declared>.*)",
    re.DOTALL,
)
_ALL_BY_SECTIONS = "sections-1/"
"""Before there was a choice, this was said of source code and rows too."""


def recipe_of(reading: str, chunker: Chunker, declared: str) -> str:
    """reading: reader and what is declared of the file; declared: the domain's filterable fields."""
    return f"{reading}/{chunker.fingerprint}/{EMBEDDING}/{declared}"


def chunker_of(recipe: str, source: str) -> Chunker:
    """The chunker that a stored document was split by, in its present version."""
    found = _RECIPE.fullmatch(recipe)
    if found is None or found["chunker"].startswith(_ALL_BY_SECTIONS):
        return chunker_for(source)
    return CHUNKERS[found["name"]]


def embedded_as_today(recipe: str) -> bool:
    """Whether a document's chunks were embedded by the text that they would be embedded by today."""
    return f"/{EMBEDDING}/" in recipe


def renewed(recipe: str, source: str) -> str:
    """The recipe of a document that was read as before, and is split and embedded as today."""
    found = _RECIPE.fullmatch(recipe)
    reading, declared = (found["reading"], found["declared"]) if found else (recipe, "")
    return recipe_of(reading, chunker_of(recipe, source), declared)
