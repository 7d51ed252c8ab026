"""From a formula and the statements that were found to an answer, every number of which is cited. Pure.

The result is code's: "Working capital ratio: 1.03 = 8,097 / 7,875." Each number is a cell of a statement, cited with
its row and marked in it. A number that is not found, or that stands in documents of which nobody said that they belong
together, leaves no answer: then the question is read like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rag import formulas, grounding, statements, tables
from rag.formulas import Formula, Term
from rag.statement_items import Item
from rag.statements import Figure
from rag.types import Citation, Passage

_SCALES = {name.removesuffix("s"): scale for name, scale in tables.SCALES.items()}
_WORDS = {scale: f" ({name}s)" for name, scale in _SCALES.items()}


FIRST_LINES = 200
"""Characters in which a document says whose it is; further in it speaks of others too."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A result, and the passages that its numbers were found by."""

    verdict: grounding.Verdict
    passages: tuple[Passage, ...]


def compute(
    formula: Formula, passages: Sequence[Passage], text_of: Callable[[str], str], *, together: bool
) -> Computed | None:
    """The formula's result with its citations, or None where a number of it is not found.

    passages: of the statements; text_of: a document's whole text; together: whether all documents that they are of
    were asked for, by the question's names or by the caller's list; else all numbers must stand in one. Without a name
    in the question it must be the only one with such a statement
    """
    items = list(dict.fromkeys(term.item for term in formula.terms))
    mine = [passage for passage in passages if _is_of(passage, formula.names, text_of)]
    found = list(statements.figures(items, mine, text_of, currency=formula.currency))
    documents = list(dict.fromkeys(figure.passage.document_id for _, figure in found))
    known = _chosen(formula.terms, found) if together and (formula.names or len(documents) == 1) else None
    if known is None and (formula.names or len(documents) == 1):
        for document in documents:
            own = [(item, figure) for item, figure in found if figure.passage.document_id == document]
            known = known or _chosen(formula.terms, own)
    scales = {figure.scale for figure in known.values()} if known else set()
    if not known or (None in scales and (len(scales) > 1 or formula.unit)):
        return None
    scale = next(iter(scales)) if len(scales) == 1 else min(s for s in scales if s)
    try:
        result = formulas.value(formula.expression, {t: f.value * (f.scale or 1.0) for t, f in known.items()})
    except (ZeroDivisionError, OverflowError):
        return None
    if not math.isfinite(result):
        return None
    used = {(p.document_id, p.start): p for p in (figure.passage for figure in known.values())}
    return Computed(_verdict(formula, known, result, scale, text_of), tuple(used.values()))


def _is_of(passage: Passage, names: Sequence[str], text_of: Callable[[str], str]) -> bool:
    """Whether a document bears all of some names: in its title, its path, its metadata or its first lines."""
    text = text_of(passage.document_id)[:FIRST_LINES]
    row = next(tables.rows(text), None)
    borne = f" {_words(f'{passage.title} . {passage.document_id} . {text[: row.start if row else None]}')} "
    values = {_words(str(value)) for value in passage.metadata.values()}
    return all(f" {name} " in borne or name in values for name in names)


def _words(text: str) -> str:
    """In small letters, without possessives, a blank between two."""
    return " ".join(re.findall(r"[^\W_]+|[.\n]", re.sub(r"['’]s?\b", "", text.casefold()).replace(", ", " ")))


def _chosen(terms: Sequence[Term], found: Iterable[tuple[Item, Figure]]) -> dict[Term, Figure] | None:
    """A figure for each term, those of one item from one row where one has them all; None where a term has none."""
    rows: dict[tuple[Item, str, int], dict[Term, Figure]] = {}
    for item, figure in found:
        for term in terms:
            if term.item == item and statements.of_year(figure.heading, term.year):
                row = rows.setdefault((item, figure.passage.document_id, figure.row.start), {})
                row.setdefault(term, figure)
    known: dict[Term, Figure] = {}
    for row in sorted(rows.values(), key=len, reverse=True):  # stable: of as many years the surest row first
        for term, figure in row.items():
            known.setdefault(term, figure)
    return {term: known[term] for term in terms} if len(known) == len(terms) else None


def _verdict(
    formula: Formula,
    known: Mapping[Term, Figure],
    result: float,
    scale: float | None,
    text_of: Callable[[str], str],
) -> grounding.Verdict:
    claims = {term: f"{figure.row.label}: {figure.cell.text}" for term, figure in known.items()}
    if isinstance(formula.expression, Term):
        text = _line(formula, known[formula.expression], claims[formula.expression], result, scale)
    else:
        written = {term: _written(figure) for term, figure in known.items()}
        name = formula.name[:1].upper() + formula.name[1:]
        text = f"{name}: {_result(formula, result, scale)} = {formulas.told(formula.expression, written)}."
        for year in sorted({term.year for term in known}):
            text += f" In {year}: {'; '.join(claim for term, claim in claims.items() if term.year == year)}."
    citations: list[Citation] = []
    for term, figure in known.items():
        row, base = figure.row, figure.row.start
        line = text_of(figure.passage.document_id)[row.start : row.end]
        place = figure.passage.model_copy(update={"text": line, "start": row.start, "end": row.end})
        cell = (figure.cell.start - base, figure.cell.end - base)
        citations += grounding.row(claims[term], place, (0, len(line)), cell).citations
    return grounding.Verdict(text, tuple(dict.fromkeys(citations)), "")


def _line(formula: Formula, figure: Figure, claim: str, result: float, scale: float | None) -> str:
    """One line of a statement as it stands, and, where it is bracketed or asked for in another unit, as it is meant."""
    unit, year = _WORDS.get(scale or 0.0, ""), formula.terms[0].year
    amount = _written(figure) + unit
    if formula.unit and scale not in (None, _SCALES[formula.unit]):
        amount = _rounded(result / _SCALES[formula.unit], formula.decimals) + _WORDS[_SCALES[formula.unit]]
    plain = amount == figure.cell.text + unit
    return f"{claim}{unit} in {year}." if plain else f"{claim}{unit} in {year}, which is {amount}."


def _written(figure: Figure) -> str:
    """A number as it stands, without its currency; a bracket is a minus where the sign counts."""
    digits = figure.cell.text.strip("$€£¥()−-– ")
    return f"-{digits}" if figure.value < 0 else digits


def _result(formula: Formula, result: float, scale: float | None) -> str:
    if formula.percent:
        return f"{result * 100:.{1 if formula.decimals is None else formula.decimals}f}%"
    if not formula.amount:
        return f"{result:.{2 if formula.decimals is None else formula.decimals}f}"
    unit = _SCALES[formula.unit] if formula.unit and scale else scale or 1.0
    return _rounded(result / unit, formula.decimals) + _WORDS.get(unit, "")


def _rounded(amount: float, decimals: int | None) -> str:
    """Whole numbers for large amounts, two decimals for small ones, unless a question says otherwise."""
    return f"{amount:,.{(0 if abs(amount) >= 100 else 2) if decimals is None else decimals}f}"
