"""Fits passages into a token budget, counted by the model's own tokenizer. Pure but for that counter.

Nothing overlong ever reaches the engine: passages that do not fit are left out, the first one is cut at a
sentence's end instead. A shortened passage keeps true offsets. Overlapping and repeated texts are shown once, and so
are those that differ by a few words of no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rag.lexical import sentences
from rag.likeness import Words, alike, words_of
from rag.prompt import heading_line
from rag.types import Passage

CountTokens = Callable[[Sequence[str]], list[int]]

SEPARATOR_TOKENS = 4
"""Tokens that the line breaks around a passage may take."""


def fit(passages: Sequence[Passage], *, budget: int, count_tokens: CountTokens) -> list[Passage]:
    """The passages, best first, whose texts and headings take at most `budget` tokens together."""
    distinct: list[Passage] = []
    words: list[Words] = []
    for passage in passages:
        said = words_of(f"{passage.title}\n{passage.text}")  # the same words are said of one pump, and of another
        if not any(_repeats(passage, said, *other) for other in zip(distinct, words, strict=True)):
            distinct.append(passage)
            words.append(said)
    costs = count_tokens([f"{heading_line(passage)}\n{passage.text}" for passage in distinct])
    chosen: list[Passage] = []
    left = budget
    for passage, cost in zip(distinct, costs, strict=True):
        if cost + SEPARATOR_TOKENS <= left:
            chosen.append(passage)
            left -= cost + SEPARATOR_TOKENS
        elif not chosen:
            if short := shorten(passage, budget=left - SEPARATOR_TOKENS, count_tokens=count_tokens):
                chosen.append(short)
            break
    return chosen


def shorten(passage: Passage, *, budget: int, count_tokens: CountTokens) -> Passage | None:
    """The longest beginning of whole sentences that fits, or of characters where not even one sentence does."""
    ends = [end for _, end in sentences(passage.text)] or [len(passage.text)]
    best = _longest(passage, ends, budget, count_tokens)
    if best == 0:
        best = _longest(passage, list(range(1, ends[0] + 1)), budget, count_tokens)
    if best == 0:
        return None
    return passage.model_copy(update={"text": passage.text[:best], "end": passage.start + best})


def _longest(passage: Passage, ends: Sequence[int], budget: int, count_tokens: CountTokens) -> int:
    """The greatest of the ascending `ends` that fits, by bisection; 0 when none does."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        text = f"{heading_line(passage)}\n{passage.text[: ends[middle]]}"
        if count_tokens([text])[0] <= budget:
            low = middle + 1
        else:
            high = middle
    return ends[low - 1] if low else 0


def _repeats(passage: Passage, said: Words, other: Passage, its: Words) -> bool:
    if passage.document_id == other.document_id:
        return passage.start < other.end and other.start < passage.end and passage.text in other.text
    return passage.text == other.text or alike(said, its)
