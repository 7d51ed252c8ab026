"""Expressions over the lines of financial statements: what they are made of, their value, and how they are told. Pure.

Which one a question asks for is rag.formula_questions'; where the numbers stand is rag.statements'.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rag.statement_items import Item


@dataclass(frozen=True, slots=True)
class Term:
    """An item of a statement in one year."""

    item: Item
    year: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Two expressions and what is done with them; `symbol` is one of + - * / ^, or growth: left / right - 1."""

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
    currency: str = ""
    """USD, EUR or GBP where the question names one"""
    names: tuple[str, ...] = ()
    """every word, or words side by side, that is neither of the formula nor of everyday asking: whose statements"""

    @property
    def terms(self) -> list[Term]:
        """Every item and year in it, once."""
        return list(dict.fromkeys(terms(self.expression)))


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    "growth": lambda last, first: last / first - 1,
}
_BINDS = {"+": 1, "-": 1, "growth": 1, "*": 2, "/": 2, "^": 3}


def value(expression: Expression, known: Mapping[Term, float]) -> float:
    """The result. Raises ZeroDivisionError, also for a root of or a growth from what is not positive; KeyError."""
    if isinstance(expression, Term):
        return known[expression]
    if isinstance(expression, float):
        return expression
    left, right = value(expression.left, known), value(expression.right, known)
    if (expression.symbol == "^" and left <= 0) or (expression.symbol == "growth" and right <= 0):
        raise ZeroDivisionError("it begins with what is not positive")
    return _ARITHMETIC[expression.symbol](left, right)


def told(expression: Expression, written: Mapping[Term, str]) -> str:
    """An expression with the numbers of its terms, as they are written."""
    if isinstance(expression, Term):
        return written[expression]
    if isinstance(expression, float):
        return f"{expression:g}"
    left, right = told(expression.left, written), told(expression.right, written)
    if expression.symbol == "growth":
        return f"{left} / {right} - 1"
    if isinstance(expression.left, Operation) and _BINDS[expression.left.symbol] < _BINDS[expression.symbol]:
        left = f"({left})"
    if isinstance(expression.right, Operation) and _BINDS[expression.right.symbol] <= _BINDS[expression.symbol]:
        right = f"({right})"
    return f"{left} {expression.symbol} {right}"


def terms(expression: Expression) -> list[Term]:
    """Every item and year in it, in its order."""
    if isinstance(expression, Term):
        return [expression]
    return [] if isinstance(expression, float) else [*terms(expression.left), *terms(expression.right)]


def numbers(expression: Expression) -> list[float]:
    """Every constant in it."""
    if isinstance(expression, Operation):
        return [*numbers(expression.left), *numbers(expression.right)]
    return [expression] if isinstance(expression, float) else []


def dimension(expression: Expression) -> int | None:
    """1 for money, 0 for a ratio of it; None where money and no money are added."""
    if isinstance(expression, Term):
        return 1
    if isinstance(expression, float):
        return 0
    left, right = dimension(expression.left), dimension(expression.right)
    if left is None or right is None:
        return None
    sizes = {"*": left + right, "/": left - right, "^": left, "growth": 0}
    return sizes.get(expression.symbol, left if left == right else None)


def average(parts: list[Expression]) -> Expression:
    """Of some expressions."""
    total = parts[0]
    for part in parts[1:]:
        total = Operation("+", total, part)
    return Operation("/", total, float(len(parts)))
