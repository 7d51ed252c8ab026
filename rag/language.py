"""Which language a text is in, by script and by its commonest words. Pure; enough to say so, no more.

What is done with it: the default models read English. A question in another language is searched and asked all
the same, under the same check, so it gets exact words of a document or an abstention that names the language.
"""

from __future__ import annotations

import re

COMMON = {
    "en": "the of and to in is was what who which how when where for on does did are with many much long",
    "de": "der die das und ist wie was wer wo wann welche welcher ein eine im den dem nicht mit für von auf wird",
    "fr": "le la les des est que qui quoi quel quelle comment où quand pour dans une un du et sur combien",
    "es": "el la los las es qué que quién cuál cómo dónde cuándo por para en una un del y con cuánto",
    "it": "il lo la gli che chi quale come dove quando per di una un del della è e sono quanto nel",
    "pt": "o os as que quem qual como onde quando para de uma um do da é e são quanto no na em",
    "nl": "de het een en is wat wie welke hoe waar wanneer voor van op niet met zijn hoeveel in",
}
SCRIPTS = (
    ("ja", re.compile(r"[぀-ヿ]")),
    ("ko", re.compile(r"[가-힯]")),
    ("zh", re.compile(r"[一-鿿]")),
    ("ru", re.compile(r"[Ѐ-ӿ]")),
    ("el", re.compile(r"[Ͱ-Ͽ]")),
    ("ar", re.compile(r"[؀-ۿ]")),
    ("he", re.compile(r"[֐-׿]")),
    ("hi", re.compile(r"[ऀ-ॿ]")),
    ("th", re.compile(r"[฀-๿]")),
)
_WORDS = {code: frozenset(text.split()) for code, text in COMMON.items()}

NAMES = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch",
    "ja": "Japanese", "ko": "Korean", "zh": "Chinese", "ru": "Russian", "el": "Greek", "ar": "Arabic",
    "he": "Hebrew", "hi": "Hindi", "th": "Thai", "en": "English",
}  # fmt: skip


def detect(text: str) -> str:
    """ISO 639-1 code of the likeliest language, 'und' where nothing tells."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return "und"
    for code, script in SCRIPTS:
        if len(script.findall(text)) * 4 > len(letters):
            return code
    found = re.findall(r"[^\W\d_]+", text.casefold())
    scores = {code: sum(word in known for word in found) for code, known in _WORDS.items()}
    best = max(scores, key=lambda code: (scores[code], code == "en"))
    if scores[best] == 0:
        return "und"
    return best


def said_of(reason: str, language: str) -> str:
    """Why there is no answer, with the question's language where the default models do not read it."""
    if language in ("en", "und"):
        return reason
    return f"{reason}; the question seems to be in {NAMES[language]}, the default models read English"
