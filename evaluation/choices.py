"""What an answer decides: a refusal, an option, a yes or a no. Pure; knows no gold answer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evaluation.answers import healed, sentences, squashed, tokens

_REFUSAL = re.compile(
    r"\bi(?:'m| am) (?:sorry|unable|not (?:sure|able|aware|certain|familiar))"
    r"|\bi (?:do not|don't|cannot|can't|could not|couldn't|am not able to|would need)\b(?! (?:believe|think)\b)"
    r"|\b(?:does|do|did)(?: not|n't) (?:\w+ly )?(?:provide|contain|include|specify|mention|disclose|state|"
    r"have (?:any|enough|specific|access))"
    r"|\b(?:is|are|was|were) not (?:\w+ly )?(?:provided|specified|mentioned|available|given|included|disclosed|"
    r"stated|known|clear|possible to)"
    r"|\b(?:isn't|aren't) (?:provided|specified|mentioned|available|given|included|clear)"
    r"|\b(?:can|could)(?: ?not|n't) (?:be )?"
    r"(?:determined?|calculated?|answer(?:ed)?|provided?|ascertain(?:ed)?|found|find)"
    r"|\bunable to (?:determine|provide|answer|find|calculate|locate|access|give)"
    r"|\b(?:no|not (?:have|contain|provide) (?:enough|sufficient)) (?:\w+ )?"
    r"(?:information|answer|data|mention|evidence)\b"
    r"|\bnot enough information|\binsufficient information|\bit is unclear"
    r"|\bthere is no (?:specific|definitive|clear|one|single|character|known|mention)\b"
    r"|\b(?:you|we|i) would need\b|\b(?:additional|more) (?:context|information|data) (?:is|are|would be)\b"
    r"|\bplease (?:refer|check|provide|consult)\b"
    r"|\bcan you (?:please )?(?:provide|clarify|give)"
    r"|\bno answer\b|\bunanswerable\b|\bunknown\b|\bnot in the (?:context|passage|document)",
    re.IGNORECASE,
)


def refusals(text: str) -> int:
    """How many phrases of the text decline to answer; an empty answer declines once."""
    return len(_REFUSAL.findall(healed(text))) if text.strip() else 1


_LETTER = re.compile(
    r"^\W*(?:option\s*)?\(?([A-Z])\)?(?:$|[\s).:,;-])"
    r"|\b(?:answer|option|choice)(?:_choice)?\W{1,4}(?:is\W{1,3})?\(?([A-Z])\b",
    re.IGNORECASE,
)


def choice(text: str, options: Mapping[str, str]) -> str | None:
    """The letter of the option an answer names, by its letter or by its exact text; None when it names none or two.

    options: letter -> text. A letter counts at the start ("B) …") or after "answer", "option" or "choice".
    The text of an option counts when it is the whole answer, or the only option whose text the answer contains.
    """
    stripped = text.strip()
    by_text = {squashed(option): letter for letter, option in options.items()}
    if (whole := by_text.get(squashed(stripped))) is not None and squashed(stripped):
        return whole
    for match in _LETTER.finditer(stripped):
        letter = (match[1] or match[2]).upper()
        upper_case = (match[1] or match[2]).isupper()
        if letter in options and (upper_case or len(stripped) <= 2):
            return letter
    return _only_option(stripped, options)


def _only_option(text: str, options: Mapping[str, str]) -> str | None:
    padded = f" {' '.join(tokens(text))} "
    held = {letter: f" {' '.join(tokens(option))} " for letter, option in options.items()}
    named = [letter for letter, option in held.items() if option.strip() and option in padded]
    longest = [  # an option that lies within another named one says nothing of its own
        letter for letter in named if not any(o != letter and held[letter] in held[o] for o in named)
    ]
    return longest[0] if len(longest) == 1 else None


_YES_NO = re.compile(r"\b(yes|no|maybe|yeah|nope|uncertain|perhaps|possibly|unclear|true|false)\b", re.IGNORECASE)
_VERDICTS = {"yes": "yes", "yeah": "yes", "true": "yes", "no": "no", "nope": "no", "false": "no"}


def yes_no(text: str) -> str | None:
    """ "yes", "no" or "maybe", by the first such word of the answer or the one after "answer:"; None without one."""
    named = re.search(r"answer(?:_choice)?\W{1,4}(?:is\W{1,3})?(yes|no|maybe)\b", text, re.IGNORECASE)
    match = named or _YES_NO.search(sentences(text)[0])
    return _VERDICTS.get(match[1].lower(), "maybe") if match else None
