"""What an answer says, made comparable: its words. Knows no gold answer and no judge.

Everything here is a pure function of one text, applied alike to gold answers and to every system's answers.
Recorded answers carry scars of their recording, which are healed first: footnote marks glued to the last word
("Nixon123", "19791"), words glued together ("byCyndi"), and "nan" turned into "null" inside words ("Brennull").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_SUPERSCRIPT = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_FOOTNOTE = re.compile(r"\[\^?\d+\^?\]|(?<=[a-z]{3})\d{1,4}(?=[.,;:)]|\s+[A-Z]|\s*$)")
_GLUED = re.compile(r"(?<=[a-z]{2})(?=[A-Z][a-z])|(?<=[a-z]{2})(?=\d)")
_NULL = re.compile(r"(?<=[A-Za-z])null|null(?=[A-Za-z])")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "\xa0": " "})

WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+", re.UNICODE)
"""A number with its inner separators, or a run of letters."""

_COMMON = """
    a an the and or of in on at by for from to into onto with as is are was were be been being it its he his she
    her they their them this that these those there which who whom whose what when where why how do does did has
    have had will would can could may might also s t not no so than then but if about after before during over
    under up down out i we you my our your me us all any some most more very around approximately roughly circa
    c ca usually called known name named
"""
STOP_WORDS = frozenset(_COMMON.split())

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_UNITS += " seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
_ORDINALS += " fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
_TEN_ORDINALS = "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth"
ORDINALS = tuple(_ORDINALS.split())
NUMBER_WORDS: Mapping[str, int] = {
    **{word: value for value, word in enumerate(_UNITS.split())},
    **{word: value for value, word in enumerate(_ORDINALS.split())},
    **{word: 10 * value for value, word in enumerate(_TENS.split(), start=2)},
    **{word: 10 * value for value, word in enumerate(_TEN_ORDINALS.split(), start=2)},
    "once": 1,
    "twice": 2,
    "dozen": 12,
}
ROMAN: Mapping[str, int] = {
    numeral: value
    for value, numeral in enumerate(
        [
            "I",
            "II",
            "III",
            "IV",
            "V",
            "VI",
            "VII",
            "VIII",
            "IX",
            "X",
            "XI",
            "XII",
            "XIII",
            "XIV",
            "XV",
            "XVI",
            "XVII",
            "XVIII",
            "XIX",
            "XX",
            "XXI",
            "XXII",
            "XXIII",
            "XXIV",
            "XXV",
        ],
        start=1,
    )
    if len(numeral) > 1  # a single I, V or X is a pronoun or an initial far more often than a number
}

_DEMONYMS = """american:america americans:america british:britain english:england scottish:scotland welsh:wales
    irish:ireland french:france german:germany germans:germany italian:italy spanish:spain portuguese:portugal
    dutch:netherlands holland:netherlands belgian:belgium swiss:switzerland austrian:austria greek:greece
    roman:rome turkish:turkey ottoman:turkey russian:russia soviet:russia ussr:russia polish:poland czech:czechia
    hungarian:hungary romanian:romania bulgarian:bulgaria serbian:serbia croatian:croatia danish:denmark
    swedish:sweden norwegian:norway finnish:finland icelandic:iceland canadian:canada mexican:mexico cuban:cuba
    brazilian:brazil argentine:argentina argentinian:argentina chilean:chile peruvian:peru colombian:colombia
    venezuelan:venezuela chinese:china japanese:japan korean:korea indian:india pakistani:pakistan
    bangladeshi:bangladesh vietnamese:vietnam thai:thailand indonesian:indonesia malaysian:malaysia
    filipino:philippines philippine:philippines australian:australia egyptian:egypt nigerian:nigeria kenyan:kenya
    ethiopian:ethiopia african:africa asian:asia european:europe israeli:israel iranian:iran persian:iran
    iraqi:iraq syrian:syria lebanese:lebanon arab:arabia arabian:arabia saudi:arabia jewish:jew jews:jew
    runner:2 catholic:catholicism christian:christianity muslim:islam islamic:islam hindu:hinduism
    buddhist:buddhism
    parisian:paris hawaiian:hawaii californian:california texan:texas venetian:venice uk:britain us:america
    usa:america mom:mother dad:father movie:film tv:television"""
_SAME: Mapping[str, str] = dict(pair.split(":") for pair in _DEMONYMS.split())
_PHRASES = (
    (re.compile(r"\b[Uu]nited [Ss]tates(?: of [Aa]merica)?\b|\bU\. ?S\.(?: ?A\.)?"), "America"),
    (re.compile(r"\b[Uu]nited [Kk]ingdom\b|\b[Gg]reat [Bb]ritain\b|\bU\. ?K\."), "Britain"),
    (re.compile(r"\bNYC\b"), "New York City"),
    (re.compile(r"\bWWII\b|\bWW2\b|\b[Ww]orld [Ww]ar (?:2|[Tt]wo)\b"), "World War II"),
    (re.compile(r"\bWWI\b|\b[Ww]orld [Ww]ar (?:1|[Oo]ne)\b"), "World War 1"),
    (re.compile(r"%"), " percent "),
    (re.compile(r"(?<=\d)(?:st|nd|rd|th)\b"), ""),
    (re.compile(r"(?<![a-z])(?:kms?|kilomet(?:er|re)s?)\b", re.IGNORECASE), " kilometre "),
    (re.compile(r"(?<![A-Za-z])(?:Mbit/s|Mbps|Mb/s)\b", re.IGNORECASE), " mbps "),
    (re.compile(r"\bmph\b", re.IGNORECASE), " mile per hour "),
    (re.compile(r"&"), " and "),
    (re.compile(r"\b(?:[A-Z]\.\s?){2,}(?=\s|$|[A-Z(])"), lambda match: match[0].replace(".", " ")),
)
_SUFFIXES = (
    "ational", "ization", "isation", "fulness", "ousness", "iveness", "ations", "ation", "ments", "ment", "ities",
    "ity", "ical", "ally", "ings", "ing", "ies", "ied", "ism", "ist", "ers", "ors", "ion", "ors", "ous", "ive", "ian",
    "ial", "al", "ly", "ed", "es", "er", "or", "ic", "s", "y", "e",
)  # fmt: skip


def healed(text: str) -> str:
    """The text without the scars of recording; quotes, dashes and spaces of one kind each."""
    text = unicodedata.normalize("NFC", text).translate(_QUOTES)
    text = _SUPERSCRIPT.sub("", text)
    text = unicodedata.normalize("NFKC", text)
    text = _FOOTNOTE.sub("", text)
    return _NULL.sub("nan", _GLUED.sub(" ", text))


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word's stem for comparison: endings off while four letters stay; names of countries for their adjectives."""
    if word in _SAME:
        return _SAME[word]
    for ending in _SUFFIXES:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _unaccented(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _number(word: str) -> str:
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", word).rstrip(".,")
    if re.fullmatch(r"(?:1[5-9]\d\d|20[0-2]\d)[1-9]\d?", plain):  # a year with a footnote mark: 19791
        plain = plain[:4]
    plain = re.sub(r"^0+(?=\d)", "", plain)
    return re.sub(r"(\.\d*?)0+$", r"\1", plain).rstrip(".") if "." in plain else plain


@lru_cache(maxsize=16384)
def tokens(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared: case, accents and articles gone, numbers as digits, words stemmed.

    "the Sixth Series" and "season 6" share "6"; "American" and "the United States" are one word.
    """
    text = healed(text)
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    found: list[str] = []
    for match in WORD.finditer(text):
        word = match[0]
        if word[0].isdigit():
            found.append(_number(word))
            continue
        if word in ROMAN:
            found.append(str(ROMAN[word]))
            continue
        low = _unaccented(word.casefold())
        if low in NUMBER_WORDS:
            value = NUMBER_WORDS[low]
            if found and value < 10 and found[-1] in {"20", "30", "40", "50", "60", "70", "80", "90"} and value:
                found[-1] = str(int(found[-1]) + value)  # twenty-one
            else:
                found.append(str(value))
        elif low not in {"a", "an", "the"}:
            found.append(stem(low))
    return tuple(found)


@lru_cache(maxsize=16384)
def content(text: str) -> tuple[str, ...]:
    """The comparable words that carry meaning, in order; all of them where none does."""
    every = tokens(text)
    kept = tuple(word for word in every if word not in _STOP_STEMS)
    return kept or every


_STOP_STEMS = frozenset(STOP_WORDS | {stem(word) for word in STOP_WORDS})


def squashed(text: str) -> str:
    """Letters and digits alone, case and accents gone: "P. V. Sindhu" and "PV Sindhu" are the same."""
    return re.sub(r"[^a-z0-9]", "", _unaccented(healed(text).casefold()))


def sentences(text: str) -> list[str]:
    """The sentences of an answer, as far as full stops, line breaks and list marks tell; at least one."""
    parts = re.split(r"(?<=[a-z0-9)\"'\]][.!?])\s+(?=[A-Z\"'(\[])|\n+", healed(text))
    return [part.strip() for part in parts if part.strip()] or [""]
