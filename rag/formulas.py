"""What a question asks to be computed from financial statements: its formula, and the arithmetic. Pure.

"DPO is defined as: 365 * (average accounts payable between FY2016 and FY2017) / FY2017 COGS" says how; "COGS % margin",
"as a % of revenue", "3 year average", "year-over-year change" and "CAGR" are said without being defined; "year end
FY2018 accounts payable in USD millions" is a formula of one item. A small model can do none of these sums, code can.
What is no formula over known items (rag.statements) is none: then the question is read like any other.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag.lexical import STOP_WORDS
from rag.statements import ITEMS, PLAIN, Item, mentioned, years_of

_YEAR = r"(?:FY ?|fiscal (?:year )?|year )?((?:19|20)\d\d)"
_BODY = r".+?)(?=\.\s|\.$|[?;\n]|$)"
_NAME = r"[\w][\w /%&'’()-]{0,60}?"
_NAMED = re.compile(
    rf"(?P<name>{_NAME})(?: here)? (?:is|are)(?: here)? (?:defined|calculated|computed)(?: here)?(?: as)?:? "
    rf"(?P<body>{_BODY}|\bdefine (?P<other>{_NAME}) (?:as|to be):? (?P<text>{_BODY}",
    re.IGNORECASE,
)
_SPAN = re.compile(rf"{_YEAR} ?(?:-|–|—|to|through|and) ?{_YEAR}", re.IGNORECASE)
_BETWEEN = re.compile(
    r"(?P<how>average|mean|change|increase|growth|difference)(?: (?:of|in))? (?P<what>.{1,80}?) "
    rf"(?:between|from|for|over) {_YEAR} (?:and|to|through) {_YEAR}",
    re.IGNORECASE,
)
_SHARE = re.compile(r" as an? (?:%|percent(?:age)?) of ", re.IGNORECASE)
_MARGIN = re.compile(r"[- ](?:% margin|margin %|percent(?:age)? margin)", re.IGNORECASE)
_AVERAGE = re.compile(r"\b(?:(?:\d|two|three|four|five)[- ]year )?average\b", re.IGNORECASE)
_RELATIVE = re.compile(
    r"\byear[- ]over[- ]year (?:change|growth|increase)|\bYoY\b|\bgrowth rate\b|"
    r"\b(?:percent(?:age)?|%) (?:change|growth|increase|decrease)\b",
    re.IGNORECASE,
)
_DIFFERENCE = re.compile(r"\b(?:change|difference|increase|decrease) in\b", re.IGNORECASE)
_COMPOUND = re.compile(r"\bCAGR\b|\bcompound(?:ed)? annual growth", re.IGNORECASE)
_PART = re.compile(r"\bQ[1-4]\b|\bquarter|\bH[12]\b|\bhalf[- ]year|\bmonths?\b", re.IGNORECASE)
"""Of a year: statements of less than a year are not read."""
KNOWN = {
    "current ratio|working capital ratio": "total current assets / total current liabilities",
    "(?:net )?working capital": "total current assets - total current liabilities",
    "free cash flow|fcf": "cash from operations - capex",
    "ebitda": "operating income + depreciation and amortization",
    "gross (?:profit )?margin": "(revenue - cogs) / revenue",
    "operating (?:profit |income )?margin": "operating income / revenue",
    "net (?:profit |income )?margin": "net income / revenue",
}
"""What every textbook defines alike; the answer shows what was computed."""
_KNOWN_RATIO = re.compile(rf"\b(?:{'|'.join(KNOWN)})\b(?! margin)", re.IGNORECASE)
_ASKS = re.compile(
    r"^(?!.*\b(?:why|drove|drivers?|reasons?|improv\w+|explain|useful|compared?)\b)"
    r".*\b(?:what (?:is|was|were)|how (?:much|large|high)|calculate|compute)\b",
    re.IGNORECASE | re.DOTALL,
)
"""For the number itself."""
_QUALIFIED = re.compile(
    r"\b(?:adjusted|exclud\w+|organic\w*|constant[- ]currency|non-?gaap|pro[- ]forma|real|comparable|same[- ]store|"
    r"per[- ]share|segments?|divisions?|guidance|forecast\w*|expect\w*|project(?:ed|ions?)|budget\w*|discontinued)\b",
    re.IGNORECASE,
)
"""Other numbers than those of the statements."""
_UNIT = re.compile(r"\b(?:USD|US\$|\$|dollars?|EUR|euros?|GBP|in) ?(thousand|million|billion)s?\b", re.IGNORECASE)
_AMOUNT = re.compile(r"\bamount|\bUSD\b|\bhow much\b|\btotal\b|\byear[- ]end\b", re.IGNORECASE)
_PERCENT = re.compile(r"\bpercent|%", re.IGNORECASE)
_DECIMALS = re.compile(r"\b(no|one|two|three|four|[0-4]) decimal", re.IGNORECASE)
_COUNT = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4} | {str(count): count for count in range(5)}
_WORDS = (
    (re.compile(r"\s+divided by\s+", re.IGNORECASE), " / "),
    (re.compile(r"\s+(?:multiplied by|times)\s+", re.IGNORECASE), " * "),
    (re.compile(r"\s+(?:minus|less|subtracting)\s+", re.IGNORECASE), " - "),
    (re.compile(r"\s+plus\s+", re.IGNORECASE), " + "),
)
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>[()*/×÷+])|(?P<minus>[-−–](?=\s))|(?P<number>\d+(?:\.\d+)?%?(?=\s*(?:[()*/×÷+]|[-−–]\s|$))))"
)
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
}
_OWNER = re.compile(
    r"\b(?:of|for|at) ([a-z][\w&-]*[a-z])(?=\s*(?:[?.,(]|\b(?:in|for|as of)\b|FY|\d|$))|"
    r"\b(?:did|does) ([a-z][\w&-]*[a-z])\b"
)
_BRACKETS = re.compile(r"\([^)]*\)")
_CAPITAL = re.compile(r"(?<![\w.])(?!FY)[A-Z][\w&.-]*\w")
_COMMON = """
    usd eur gbp chf jpy us gaap ifrs non-gaap cagr ebitda ebit roa roe roi p&l fcf dpo dso dio ccc yoy sec form
    consolidated statement statements balance sheet income cash flow flows operations position earnings
    answer answers address assume based basing calculate compute consider considering according looking need please
    provide report round show take taking use using want
    january february march april may june july august september october november december
"""
_TERMS = frozenset(_COMMON.split())
"""Words with a capital that name nobody, and that questions begin with."""

DEEPEST = 20
"""Brackets within brackets, and definitions within definitions; a stranger's would exhaust the stack."""

MOST_PARTS = 200
"""Items and numbers of a formula: definitions that use one another twice would grow without end."""


@dataclass(frozen=True, slots=True)
class Term:
    """An item of a statement in one year."""

    item: Item
    year: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Two expressions and what is done with them; `symbol` is one of + - * / ^."""

    symbol: str
    left: Expression
    right: Expression


Expression = Term | Operation | float


@dataclass(frozen=True, slots=True)
class Formula:
    """What is asked for."""

    name: str
    expression: Expression
    percent: bool
    """whether the result is shown as one: it is a ratio, and asked for so"""
    amount: bool
    """whether the result is money"""
    decimals: int | None
    """None where the question names none"""
    unit: str
    """thousand, million, billion for an amount; empty where the question names none"""
    names: tuple[str, ...] = ()
    """words that are names, of whom or what the statements must be"""

    @property
    def terms(self) -> list[Term]:
        """Every item and year in it, once."""
        return list(dict.fromkeys(_terms(self.expression)))


def asked(question: str) -> Formula | None:
    """The formula that a question asks for, or None."""
    text = " ".join(question.split())
    defined = {
        (match["name"] or match["other"]).strip(): match["body"] or match["text"] for match in _NAMED.finditer(text)
    }
    said = _NAMED.sub(" ", text)
    years = years_of(said) or years_of(text)
    if not years or _PART.search(text) or _QUALIFIED.search(text):
        return None
    found = _defined(defined, years[-1]) if defined else _said(said, years)
    if found is None or not _terms(found[1]):
        return None
    name, expression = found
    decimals = _DECIMALS.search(text)
    unit = _UNIT.search(text)
    alone = isinstance(expression, Term)
    if alone and not (unit or _AMOUNT.search(said)):
        return None
    amount = _dimension(expression) == 1
    relative = bool(_PERCENT.search(text + name) or _COMPOUND.search(said) or _RELATIVE.search(said))
    relative |= name.endswith("margin")
    return Formula(
        name=name,
        expression=expression,
        percent=not amount and relative and 100.0 not in _numbers(expression),
        amount=amount,
        decimals=_COUNT[decimals[1].lower()] if decimals else None,
        unit=unit[1].lower() if unit and amount else "",
        names=_names_in(said, [name, *defined]),
    )


def _defined(bodies: Mapping[str, str], year: int) -> tuple[str, Expression] | None:
    """The definition that no other one uses; those that it uses are put into it."""
    known = {_last_words(name): body for name, body in bodies.items()}
    name = next((n for n in known if not any(_names(n, body) for m, body in known.items() if m != n)), None)
    expression = _Parser(known, year).parse(known[name]) if name else None
    return (name, expression) if name and expression is not None else None


def value(expression: Expression, known: Mapping[Term, float]) -> float:
    """The result. Raises ZeroDivisionError, also for a root of what is negative; KeyError for a term not known."""
    if isinstance(expression, Term):
        return known[expression]
    if isinstance(expression, float):
        return expression
    left, right = value(expression.left, known), value(expression.right, known)
    if expression.symbol == "^" and left <= 0:
        raise ZeroDivisionError("a root of what is not positive")
    return _ARITHMETIC[expression.symbol](left, right)


def told(expression: Expression, written: Mapping[Term, str]) -> str:
    """An expression with the numbers of its terms, as they are written."""
    if isinstance(expression, Term):
        return written[expression]
    if isinstance(expression, float):
        return f"{expression:g}"
    left, right = told(expression.left, written), told(expression.right, written)
    if isinstance(expression.left, Operation) and _binds(expression.left) < _binds(expression):
        left = f"({left})"
    if isinstance(expression.right, Operation) and _binds(expression.right) <= _binds(expression):
        right = f"({right})"
    return f"{left} {expression.symbol} {right}"


def _binds(part: Operation) -> int:
    return {"+": 1, "-": 1, "*": 2, "/": 2, "^": 3}[part.symbol]


def _terms(expression: Expression) -> list[Term]:
    if isinstance(expression, Term):
        return [expression]
    return [] if isinstance(expression, float) else [*_terms(expression.left), *_terms(expression.right)]


def _numbers(expression: Expression) -> list[float]:
    if isinstance(expression, Operation):
        return [*_numbers(expression.left), *_numbers(expression.right)]
    return [expression] if isinstance(expression, float) else []


def _dimension(expression: Expression) -> int:
    """1 for money, 0 for a ratio of it."""
    if isinstance(expression, Term):
        return 1
    if isinstance(expression, float):
        return 0
    left, right = _dimension(expression.left), _dimension(expression.right)
    match expression.symbol:
        case "*":
            return left + right
        case "/":
            return left - right
        case "^":
            return left
    return max(left, right)


# --- what is said without being defined ---


def _said(text: str, years: Sequence[int]) -> tuple[str, Expression] | None:
    """The name and formula of what the sentence with a year in it asks for."""
    sentence = _asking(_BRACKETS.sub(" ", text))
    each = sorted(set(years))
    if _SPAN.search(sentence) and len(each) == 2:
        each = list(range(each[0], each[1] + 1))
    if share := _SHARE.search(sentence):
        part, whole = mentioned(sentence[: share.start()])[-1:], mentioned(sentence[share.end() :])[:1]
        return _over_years(sentence, each, part, whole)
    if margin := _MARGIN.search(sentence):
        return _over_years(sentence, each, mentioned(sentence[: margin.start()])[-1:], mentioned("revenue"))
    if (ratio := _KNOWN_RATIO.search(sentence)) and _ASKS.search(sentence) and len(each) == 1:
        name = ratio[0].casefold()
        expression = _Parser({}, each[0]).parse(next(body for said, body in KNOWN.items() if re.fullmatch(said, name)))
        return (name, expression) if expression is not None else None
    item = _only(mentioned(sentence))
    return _of_one(sentence, item, each) if item is not None else None


def _of_one(sentence: str, item: Item, years: Sequence[int]) -> tuple[str, Expression] | None:
    """A line of a statement, or how it changed."""
    if len(years) == 1:
        return item.name, Term(item, years[0])
    first, last = Term(item, years[0]), Term(item, years[-1])
    ways: tuple[tuple[re.Pattern[str], str, Expression], ...] = (
        (
            _COMPOUND,
            "compound annual growth",
            Operation("-", Operation("^", Operation("/", last, first), 1.0 / (years[-1] - years[0])), 1.0),
        ),
        (_RELATIVE, "change", Operation("-", Operation("/", last, first), 1.0)),
        (_AVERAGE, "average", _average([Term(item, year) for year in years])),
        (_DIFFERENCE, "change", Operation("-", last, first)),
    )
    found = next(((how, expression) for said, how, expression in ways if said.search(sentence)), None)
    return (f"{item.name}, {found[0]}", found[1]) if found else None


def _over_years(
    sentence: str, years: Sequence[int], parts: Sequence[Item | None], wholes: Sequence[Item | None]
) -> tuple[str, Expression] | None:
    """One item as a share of another: of a year, the average of several, or the change between two."""
    part, whole = _only(parts), _only(wholes)
    if part is None or whole is None:
        return None
    shares: list[Expression] = [Operation("/", Term(part, year), Term(whole, year)) for year in years]
    name = f"{part.name} as % of {whole.name}"
    if len(shares) == 1:
        return name, shares[0]
    if _AVERAGE.search(sentence):
        return f"{name}, average", _average(shares)
    if _DIFFERENCE.search(sentence) or _RELATIVE.search(sentence):
        return f"{name}, change", Operation("-", shares[-1], shares[0])
    return None


def _average(parts: Sequence[Expression]) -> Expression:
    total = parts[0]
    for part in parts[1:]:
        total = Operation("+", total, part)
    return Operation("/", total, float(len(parts)))


# --- what is defined ---


class _Parser:
    """A definition in words and signs as an expression; products before sums, brackets first."""

    def __init__(self, known: Mapping[str, str], year: int, depth: int = 0, parts: Iterator[int] | None = None) -> None:
        """known: other definitions, by their names; year: of items named without one; parts: one for each to come."""
        self._known, self._year, self._depth = known, year, depth
        self._parts = iter(range(MOST_PARTS)) if parts is None else parts
        self._tokens: list[str] = []

    def parse(self, body: str) -> Expression | None:
        """The expression, or None where a part of it is no item of a statement."""
        if self._depth > DEEPEST:
            return None
        for pattern, sign in _WORDS:
            body = pattern.sub(sign, body)
        body = re.sub(rf"({_YEAR}) - (?={_YEAR})", r"\1 to ", body)
        if "between" in body.lower() or " from " in body.lower():
            body = re.sub(r"(between|from) (\S+ ?\S*?) and ", r"\1 \2 to ", body)
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
            if inside is None or not self._tokens or self._tokens.pop(0) != ")":
                return None
            return inside
        if part in "+-*/)":
            return None
        if re.fullmatch(r"\d+(?:\.\d+)?%?", part):
            return float(part.rstrip("%")) / (100 if part.endswith("%") else 1)
        return self._phrase(part)

    def _phrase(self, phrase: str) -> Expression | None:
        if between := _BETWEEN.search(phrase):
            if (item := _only(mentioned(between["what"]))) is None:
                return None
            first, last = (Term(item, int(year)) for year in between.groups()[2:4])
            return (
                _average([first, last])
                if between["how"].lower() in ("average", "mean")
                else Operation("-", last, first)
            )
        for name, body in self._known.items():
            if _names(name, phrase):
                rest = {n: b for n, b in self._known.items() if n != name}
                return _Parser(rest, self._year, self._depth + 1, self._parts).parse(body)
        item, years = _only(mentioned(phrase)), years_of(phrase)
        return Term(item, years[0] if years else self._year) if item is not None and len(years) < 2 else None


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


def _names_in(said: str, metrics: Sequence[str]) -> tuple[str, ...]:
    """Words with a capital, or after "of" and its like, that are no metric, item, unit or year."""
    metric = {word for name in metrics for word in re.findall(r"\w+", name.casefold())}
    known = metric | _TERMS | STOP_WORDS | PLAIN
    plain = _BRACKETS.sub(" ", said)
    for item in ITEMS:
        plain = item.asked.sub(" ", plain)
    asking = _asking(plain)
    beside = re.sub(r"(?:^|(?<=[.?!:] ))\W*\w+", " ", plain.replace(asking, " "))  # a sentence begins with a capital
    words = [match[0] for part in (asking, beside) for match in _CAPITAL.finditer(part)]
    words += [one or other for one, other in _OWNER.findall(asking)]
    found = [word.casefold().removesuffix("'s") for word in words]
    return tuple(dict.fromkeys(part for word in found if word not in known for part in re.findall(r"\w+", word)))


def _asking(text: str) -> str:
    """The first sentence that names a year; the whole text where none does."""
    return next((part for part in re.split(r"(?<=[.?!:])\s+", text) if years_of(part)), text)


def _only(items: Sequence[Item | None]) -> Item | None:
    """The one item that is named, if it is one and no part of it."""
    return items[0] if len(items) == 1 else None


def _names(name: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE))


def _last_words(name: str) -> str:
    """What is defined, without what leads to it ("Here's the question: ... DPO")."""
    return re.split(r"[.:?!,]\s+", name)[-1].strip()
