"""Which formula over financial statements a question asks for, if any. Pure.

"DPO is defined as: 365 * (average accounts payable between FY2016 and FY2017) / FY2017 COGS" says how; "COGS % margin",
"as a % of revenue", "3 year average", "year-over-year change" and "CAGR" are said without being defined; "year end
FY2018 accounts payable in USD millions" is a formula of one item. A wrong number is worse than none: every word of what
is asked must be of the formula or of everyday asking, and what is left must be a name that the statements' document
bears ("revenue from advertising", "target margin" and "Tesla" where there is no Tesla leave the question to the model).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from rag import formulas
from rag.formula_names import ALLOWED, KNOWN, MARGIN, RATIO, WORD, YEAR, bare, names, narrowed, spelled
from rag.formulas import Expression, Formula, Operation, Term
from rag.statement_items import Item, mentioned, years_of

_BODY = r".+?)(?=\.\s|\.$|[?;\n]|$)"
_NAME = r"[\w][\w /%&'’()-]{0,60}?"
_NAMED = re.compile(
    rf"(?P<name>{_NAME})(?: here)? (?:is|are)(?: here)? (?:defined|calculated|computed)(?: here)?(?: as)?:? "
    rf"(?P<body>{_BODY}|\bdefine (?P<other>{_NAME}) (?:as|to be):? (?P<text>{_BODY}",
    re.IGNORECASE,
)
_SPAN = re.compile(rf"{YEAR} ?(?:-|–|—|to|through) ?{YEAR}|\bbetween {YEAR} and {YEAR}", re.IGNORECASE)
_BETWEEN = re.compile(
    r"(?:the )?(?P<how>average|mean|change|increase|growth|difference)(?: (?:of|in))? (?P<what>.{1,80}?) "
    rf"(?:between|from|for|over) {YEAR} (?:and|to|through) {YEAR}",
    re.IGNORECASE,
)
_SHARE = re.compile(r" as an? (?:%|percent(?:age)?) of ", re.IGNORECASE)
_AVERAGE = re.compile(r"\baverage\b", re.IGNORECASE)
_RELATIVE = re.compile(
    r"\byear[- ]over[- ]year (?:change|growth|increase)|\byoy\b|\bgrowth rate\b|"
    r"\b(?:percent(?:age)?|%) (?:change|growth|increase|decrease)\b",
    re.IGNORECASE,
)
_DIFFERENCE = re.compile(r"\b(?:change|difference|increase|decrease) in\b", re.IGNORECASE)
_COMPOUND = re.compile(r"\bcagr\b|\bcompound(?:ed)? annual growth", re.IGNORECASE)
_MOVES = re.compile(
    r"\b(?:chang\w+|grow\w*|increas\w+|decreas\w+|difference|average|mean|cagr|yoy|year[- ]over)", re.IGNORECASE
)
_OTHER = re.compile(
    r"\b(?:adjusted|exclud\w+|organic\w*|constant[- ]currency|non-?gaap|pro[- ]forma|real|comparable|same[- ]store|"
    r"segments?|divisions?|guidance|forecast\w*|expect\w*|project(?:ed|ions?)|budget\w*|discontinued|quarter\w*|Q[1-4]|"
    r"H[12]|half[- ]year|months?|year[- ]to[- ]date|average (?:annual|year|growth)|"
    r"(?<!compound )(?<!compounded )annual(?:ized|ised)? growth)\b",
    re.IGNORECASE,
)
"""Other numbers than a statement's for a whole year."""
_VAGUE = re.compile(
    r"\b(?:before|after|until|since|prior|previous|last|next|per|why|when|where|who|must|should|"
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december) (?:19|20)\d\d)\b|"
    r"(?:19|20)\d\d ?[-/–] ?\d\d(?!\d)",
    re.IGNORECASE,
)
"""In what is asked itself: another year, or no number at all."""
_UNIT = re.compile(
    r"\b(?:usd|us\$|dollars?|eur|euros?|gbp|in) ?(thousand|million|billion)s?\b|\$ ?(thousand|million|billion)s?\b",
    re.IGNORECASE | re.ASCII,
)
_CURRENCY = {"USD": r"\busd\b|\bus\$|\$|\bdollars?\b", "EUR": r"\beur\b|€|\beuros?\b", "GBP": r"\bgbp\b|£|\bpounds?\b"}
_AMOUNT = re.compile(r"\bamount|\busd\b|\bhow much\b|\btotal\b|\byear[- ]end\b", re.IGNORECASE)
_PERCENT = re.compile(r"\bpercent|%", re.IGNORECASE)
_DECIMALS = re.compile(r"\b(no|one|two|three|four|[0-4]) decimal", re.IGNORECASE | re.ASCII)
_COUNT = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4} | {str(count): count for count in range(5)}
_SIGNS = (
    (re.compile(r"\s+divided by\s+", re.IGNORECASE), " / "),
    (re.compile(r"\s+(?:multiplied by|times)\s+", re.IGNORECASE), " * "),
    (re.compile(r"\s+(?:minus|less|subtracting)\s+", re.IGNORECASE), " - "),
    (re.compile(r"\s+plus\s+", re.IGNORECASE), " + "),
)
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>[()*/×÷+])|(?P<minus>[-−–](?=\s))|(?P<number>\d+(?:\.\d+)?%?(?=\s*(?:[()*/×÷+]|[-−–]\s|$))))"
)
_ASKED = re.compile(r"\b(?:what|how (?:much|large|high|many)|calculate|compute|give|tell)\b", re.IGNORECASE)
_BRACKETS = re.compile(r"\(([^)]*)\)")

DEEPEST = 20
"""Brackets within brackets, and definitions within definitions; a stranger's would exhaust the stack."""

MOST_PARTS = 200
"""Items and numbers of a formula: definitions that use one another twice would grow without end."""


def asked(question: str) -> Formula | None:
    """The formula that a question asks for, or None."""
    text = re.sub(r"\bFY ?['’]?(\d\d)\b", r"FY20\1", " ".join(question.split()))
    defined = {
        _last_words((match["name"] or match["other"]).strip()): match["body"] or match["text"]
        for match in _NAMED.finditer(text)
    }
    said = _NAMED.sub(" ", text)
    asking, beside = _clause(said)
    years = _years(asking) or years_of(beside)
    if (
        not years
        or mentioned(beside.partition(" . ")[0])
        or _OTHER.search(said)
        or _VAGUE.search(asking)
        or (not defined and narrowed(asking))
        or any(_OTHER.search(body) for body in defined.values())
    ):
        return None
    if defined:
        found = _defined(defined, asking, years)
    else:
        found = _said(_BRACKETS.sub(" ", asking), years, known=not re.search(r"\bdefin|\bwhere\b|=", text))
    if found is None or not formulas.terms(found[1]) or (size := formulas.dimension(found[1])) is None:
        return None
    name, expression = found
    unit, decimals = _UNIT.search(text), _DECIMALS.search(text)
    if (isinstance(expression, Term) and not (unit or _AMOUNT.search(asking))) or (unit and size == 0 and not defined):
        return None
    relative = any(pattern.search(text + name) for pattern in (_PERCENT, _COMPOUND, _RELATIVE)) or name.endswith(
        "margin"
    )
    return Formula(
        name=name,
        expression=expression,
        percent=size != 1 and relative and 100.0 not in formulas.numbers(expression),
        amount=size == 1,
        decimals=_COUNT[decimals[1].lower()] if decimals else None,
        unit=(unit[1] or unit[2]).lower() if unit and size == 1 else "",
        currency=next((name for name, said in _CURRENCY.items() if re.search(said, text, re.IGNORECASE)), ""),
        names=names(asking, beside, defined),
    )


def _clause(text: str) -> tuple[str, str]:
    """What is asked, from the last "what", "how much" and their like of the first sentence with a year; what else."""
    sentences = re.split(r"(?<=[.?!:])\s+", text)
    sentence = next((part for part in sentences if years_of(part)), text)
    starts = [match.start() for match in _ASKED.finditer(sentence)]
    start = starts[-1] if starts else 0
    return sentence[start:], f"{sentence[:start]} . {text.replace(sentence, ' . ', 1)}"


def _years(asking: str) -> list[int]:
    """The years that are asked for: of a span both and those between them."""
    if span := _SPAN.search(asking):
        first, last = sorted(int(year) for year in span.groups() if year)
        return list(range(first, last + 1)) if last - first < MOST_PARTS else []
    return sorted(years_of(asking))


# --- what is said without being defined ---


def _said(asking: str, years: Sequence[int], *, known: bool) -> tuple[str, Expression] | None:
    """known: whether a ratio may be meant as textbooks define it."""
    if share := _SHARE.search(asking):
        return _over_years(asking, years, mentioned(asking[: share.start()]), mentioned(asking[share.end() :]))
    if margin := MARGIN.search(asking):
        return _over_years(asking, years, mentioned(asking[: margin.start()]), mentioned("revenue"))
    if len(years) == 1 and _MOVES.search(asking):
        return None
    if ratio := RATIO.search(asking):
        if len(RATIO.findall(asking)) > 1 or mentioned(RATIO.sub(" . ", asking)):
            return None
        body = next((body for said, body in KNOWN.items() if re.fullmatch(said, ratio[0], re.IGNORECASE)), "")
        expression = _Parser({}, years[0]).parse(body) if known and len(years) == 1 else None
        return (ratio[0].casefold(), expression) if expression is not None else None
    item = _only(mentioned(asking))
    return _of_one(asking, item, years) if item is not None else None


def _of_one(asking: str, item: Item, years: Sequence[int]) -> tuple[str, Expression] | None:
    """A line of a statement, or how it changed."""
    first, last = Term(item, years[0]), Term(item, years[-1])
    if len(years) == 1:
        return item.name, first
    moved = sum(bool(said.search(asking)) for said in (_COMPOUND, _RELATIVE, _DIFFERENCE))
    several = len(years) > 2 and re.search(r"year[- ]over[- ]year|yoy", asking, re.IGNORECASE)
    if several or (moved and _AVERAGE.search(asking)) or (_AVERAGE.search(asking) and re.search("growth", asking)):
        return None
    root = 1.0 / (years[-1] - years[0])
    ways: tuple[tuple[re.Pattern[str], str, Expression], ...] = (
        (_COMPOUND, "compound annual growth", Operation("-", Operation("^", Operation("/", last, first), root), 1.0)),
        (_RELATIVE, "change", Operation("growth", last, first)),
        (_AVERAGE, "average", formulas.average([Term(item, year) for year in years])),
        (_DIFFERENCE, "change", Operation("-", last, first)),
    )
    found = next(((how, expression) for said, how, expression in ways if said.search(asking)), None)
    return (f"{item.name}, {found[0]}", found[1]) if found else None


def _over_years(
    asking: str, years: Sequence[int], parts: Sequence[Item | None], wholes: Sequence[Item | None]
) -> tuple[str, Expression] | None:
    """One item as a share of another: of a year, the average of several, or the change between two."""
    part, whole = _only(parts), _only(wholes)
    if part is None or whole is None or (len(years) == 1 and _MOVES.search(asking)):
        return None
    shares: list[Expression] = [Operation("/", Term(part, year), Term(whole, year)) for year in years]
    name = f"{part.name} as % of {whole.name}"
    if len(shares) == 1:
        return name, shares[0]
    if _AVERAGE.search(asking):
        return f"{name}, average", formulas.average(shares)
    if _DIFFERENCE.search(asking) or _RELATIVE.search(asking):
        return f"{name}, change", Operation("-", shares[-1], shares[0])
    return None


def _only(items: Sequence[Item | None]) -> Item | None:
    """The one item that is named, if it is one and no part of it."""
    return items[0] if len(items) == 1 else None


# --- what is defined ---


def _defined(bodies: Mapping[str, str], asking: str, years: Sequence[int]) -> tuple[str, Expression] | None:
    """The one definition that no other uses, and that is asked for, of one year; those it uses are put into it."""
    roots = [name for name in bodies if not any(_says(name, body) for other, body in bodies.items() if other != name)]
    if len(roots) != 1 or len(years) != 1:
        return None
    if not (_says(roots[0], asking) or spelled(roots[0], asking) or roots[0].casefold() in ("it", "this")):
        return None
    if _MOVES.search(re.sub(re.escape(roots[0]), " ", asking, flags=re.IGNORECASE)):
        return None
    expression = _Parser(bodies, years[0]).parse(bodies[roots[0]])
    return (roots[0], expression) if expression is not None else None


class _Parser:
    """A definition in words and signs as an expression; products before sums, brackets first."""

    def __init__(self, known: Mapping[str, str], year: int, depth: int = 0, parts: Iterator[int] | None = None) -> None:
        """known: other definitions, by their names; year: of items named without one; parts: one for each to come."""
        self._known, self._year, self._depth = known, year, depth
        self._parts = iter(range(MOST_PARTS)) if parts is None else parts
        self._tokens: list[str] = []

    def parse(self, body: str) -> Expression | None:
        """The expression, or None where a part of it is more or less than an item of a statement."""
        if self._depth > DEEPEST:
            return None
        for pattern, sign in _SIGNS:
            body = pattern.sub(sign, body)
        body = re.sub(rf"({YEAR}) - (?={YEAR})", r"\1 to ", body)
        self._tokens = _tokens(body)
        found = self._sum()
        return found if not self._tokens else None

    def _sum(self) -> Expression | None:
        left = self._product()
        while left is not None and self._tokens and self._tokens[0] in "+-":
            symbol = self._tokens.pop(0)
            right = self._product()
            left = None if right is None else Operation(symbol, left, right)
        return left

    def _product(self) -> Expression | None:
        left = self._operand()
        while left is not None and self._tokens and self._tokens[0] in "*/":
            symbol = self._tokens.pop(0)
            right = self._operand()
            left = None if right is None else Operation(symbol, left, right)
        return left

    def _operand(self) -> Expression | None:
        if not self._tokens or next(self._parts, None) is None:
            return None
        part = self._tokens.pop(0)
        if part == "(":
            self._depth += 1
            inside = self._sum() if self._depth <= DEEPEST else None
            self._depth -= 1
            closed = bool(self._tokens) and self._tokens.pop(0) == ")"
            return inside if closed else None
        if part in "+-*/)":
            return None
        if re.fullmatch(r"\d+(?:\.\d+)?%?", part):
            return float(part.rstrip("%")) / (100 if part.endswith("%") else 1)
        return self._phrase(part)

    def _phrase(self, phrase: str) -> Expression | None:
        if between := _BETWEEN.fullmatch(phrase):
            if (item := _only(mentioned(between["what"]))) is None or _left(between["what"]):
                return None
            ends: list[Expression] = [Term(item, int(year)) for year in between.groups()[2:4]]
            mean = between["how"].lower() in ("average", "mean")
            return formulas.average(ends) if mean else Operation("-", ends[1], ends[0])
        years = years_of(phrase)
        if len(years) > 1:
            return None
        year = years[0] if years else self._year
        bare = re.sub(rf"\bthe\b|\bin\b|\bFY\b|{YEAR}", " ", phrase, flags=re.IGNORECASE)
        for name, body in self._known.items():
            if " ".join(bare.split()).casefold() == name.casefold():
                rest = {n: b for n, b in self._known.items() if n != name}
                return _Parser(rest, year, self._depth + 1, self._parts).parse(body)
        item = _only(mentioned(phrase))
        return Term(item, year) if item is not None and not _left(phrase) else None


def _left(phrase: str) -> bool:
    """Whether a phrase says more than an item and its year: "average total assets", "prior year revenue"."""
    return bool(_MOVES.search(phrase)) or any(word.casefold() not in ALLOWED for word in WORD.findall(bare(phrase)))


def _tokens(body: str) -> list[str]:
    """Signs, numbers and the phrases between them."""
    found: list[str] = []
    start = at = 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None or (match["number"] and body[start:at].strip()):
            at += 1
            continue
        if phrase := body[start:at].strip(" ,"):
            found.append(phrase)
        sign = match["sign"] or match["number"] or "-"
        found.append({"×": "*", "÷": "/"}.get(sign, sign))
        start = at = match.end()
    if phrase := body[start:].strip(" ,."):
        found.append(phrase)
    return found


def _says(name: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE))


def _last_words(name: str) -> str:
    """What is defined, without what leads to it ("Here's the question: ... DPO")."""
    return re.sub(r"^(?:the|an?) ", "", re.split(r"[.:?!,]\s+", name)[-1].strip(), flags=re.IGNORECASE)
