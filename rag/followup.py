"""Makes a follow-up question stand alone for retrieval, by rule. Pure; what it did is shown in the trace.

A rule, not the model: 135 million parameters rewrite a question less reliably than they answer one, and a rule
costs nothing and can be shown. A question that points back ("it", "that pump", "and the second?") or has hardly
any words of its own gets the words that carry meaning from the turn before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.lexical import content_words, has_digit
from rag.types import Turn

POINTS_BACK = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|there|then|former|latter|"
    r"the same|such|one|ones)\b|^\s*(?:and|or|but|so|what about|how about|why|also)\b",
    re.IGNORECASE,
)
MAX_CARRIED = 8
"""Words carried over; more would drown the question's own."""


def standalone(question: str, earlier: Sequence[Turn]) -> str:
    """The question itself, or with the words it leans on from the turn before in brackets behind it."""
    if not earlier:
        return question
    own = content_words(question)
    if len(own) >= 3 and not POINTS_BACK.search(question):
        return question
    last = earlier[-1]
    names = [w for w in content_words(last.answer) if has_digit(w)] if len(last.answer) < 400 else []
    carried = [word for word in dict.fromkeys([*content_words(last.question), *names]) if word not in own]
    return f"{question} ({' '.join(carried[:MAX_CARRIED])})" if carried else question
