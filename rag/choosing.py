"""Which of the given options the passages speak for: words of the passages decide, likelihood breaks ties. Pure.

An option of words scores what the best sentence gives it: the share of the option's words that the sentence (with its
title and headings) holds, plus half the sentence's cosine and half its coverage of the question: a sentence that says
the option but speaks of something else proves little. A yes-or-no question has no words to look for: there the share
of the best sentences, and of a short document's last ones, that negate speaks for "no" and the rest for "yes"; "maybe"
gets nothing. The model's likelihood
of each option, less what it gives the same option without the passages (its prior; Holtzman et al. 2021,
https://aclanthology.org/2021.emnlp-main.564), counts a little: docs/experiments.md says how little, and why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rag.grounding import coverage
from rag.lexical import content_words, words
from rag.lexical import sentences as split
from rag.prompt import heading_line
from rag.reading import Sentence
from rag.types import Passage

ABOUT_WEIGHT = 0.5
"""What cosine and coverage each count beside the share of an option's words (docs/experiments.md)."""

POLAR_SENTENCES = 3
"""Best sentences that are looked at for a negation; two of three say no."""
CONCLUSION_SENTENCES = 2
"""Last sentences of a short document, which sum it up: with the best two sentences beside them, two of four say no. On
152 PubMed questions outside any report that is right for 68% (three best sentences: 63), on 318 BioASQ ones for 74."""
SHORT_DOCUMENT = 4000
"""Characters; what a longer document ends with sums nothing up."""

AFFIRMATIVE = frozenset({"yes", "true", "correct"})
NEGATIVE = frozenset({"no", "false", "incorrect"})
UNDECIDED = frozenset({"maybe", "uncertain", "unclear", "unknown", "undecided", "perhaps", "possibly"})

NEGATION = re.compile(
    r"\b(?:not|no|without|lack\w*|neither|nor|fail\w*|absence|insufficient|unlikely|negative|cannot|unable|none)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Weighed:
    """An option, what speaks for it, and the sentence that does so most; score is comparable within one question."""

    option: str
    score: float
    sentence: Sentence
    further: tuple[Sentence, ...] = ()
    """others that speak for it as much: a yes or no rests on several"""


def weigh(
    question: str,
    options: Sequence[str],
    sentences: Sequence[Sentence],
    *,
    gains: Sequence[float] | None = None,
    gain_weight: float = 0.0,
    conclusion: Sequence[Sentence] = (),
) -> list[Weighed]:
    """Every option with its score, in the order given.

    sentences: of the passages, best first, at least one
    gains: mean log-likelihood a token of each option, less that without passages; None where the model tells none
    gain_weight: what one standard deviation of the gains, over the options, counts
    conclusion: what the best document ends with (`conclusion_of`); a yes or no looks at it too
    """
    weighed = _polar(question, options, sentences, conclusion) or [_worded(option, sentences) for option in options]
    if gains is None or gain_weight == 0.0:
        return weighed
    spread = np.asarray(gains, np.float64)
    deviation = float(spread.std())
    if deviation < 1e-9:
        return weighed
    extra = gain_weight * (spread - spread.mean()) / deviation
    return [replace(w, score=w.score + float(extra[i])) for i, w in enumerate(weighed)]


def is_polar(options: Sequence[str]) -> bool:
    """Whether the options are a yes and a no, and at most a maybe beside them."""
    said = [option.strip().casefold() for option in options]
    yes, no = (sum(word in kind for word in said) for kind in (AFFIRMATIVE, NEGATIVE))
    return yes == no == 1 and all(word in AFFIRMATIVE | NEGATIVE | UNDECIDED for word in said)


def _worded(option: str, sentences: Sequence[Sentence]) -> Weighed:
    told = content_words(option) or words(option)

    def speaks(sentence: Sentence) -> float:
        passage = sentence.passage
        held = frozenset(words(f"{heading_line(passage)}\n{passage.text[sentence.start : sentence.end]}"))
        share = coverage(told, held) if told else 0.0
        return share + ABOUT_WEIGHT * (sentence.cosine + sentence.coverage)

    scores = [speaks(sentence) for sentence in sentences]
    best = int(np.argmax(scores))
    return Weighed(option, scores[best], sentences[best])


def conclusion_of(passage: Passage, text: str) -> list[Sentence]:
    """The last sentences of the document that a passage is of, if its text is short; none of a long one's."""
    if len(text) > SHORT_DOCUMENT:
        return []
    whole = passage.model_copy(update={"text": text, "start": 0, "end": len(text)})
    return [Sentence(whole, start, end, 0.0, 0.0) for start, end in list(split(text))[-CONCLUSION_SENTENCES:]]


def _polar(
    question: str, options: Sequence[str], sentences: Sequence[Sentence], conclusion: Sequence[Sentence]
) -> list[Weighed]:
    if not is_polar(options):
        return []
    asked = bool(NEGATION.search(question))  # "is it not safe?": a sentence that negates says yes
    voting = [*sentences[: 2 if conclusion else POLAR_SENTENCES], *conclusion]
    negate = [bool(NEGATION.search(s.passage.text[s.start : s.end])) != asked for s in voting]
    against = [s for s, negates in zip(voting, negate, strict=True) if negates]
    agreeing = [s for s, negates in zip(voting, negate, strict=True) if not negates]
    share = len(against) / len(voting)
    share += 0.01 if share == 0.5 else 0.0  # two of four say no

    def one(option: str) -> Weighed:
        word = option.strip().casefold()
        if word in NEGATIVE:
            first, *further = against or voting
            return Weighed(option, share, first, tuple(further if against else ()))
        first, *further = agreeing or voting
        return Weighed(option, 1.0 - share if word in AFFIRMATIVE else 0.0, first, tuple(further if agreeing else ()))

    return [one(option) for option in options]
