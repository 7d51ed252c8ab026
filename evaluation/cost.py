"""What answers cost: measured tokens and speed, priced by a dated table, against hardware. Pure; knows no model.

Money is in US dollars. A range carries the low and high price through every figure; nothing is averaged away.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from rag.errors import InvalidSettings
from rag.types import Value

SHIPPED = Path(__file__).with_name("prices.toml")
HOURS_A_MONTH = 730.0
VOLUMES = (10_000, 100_000, 1_000_000, 10_000_000)
"""Queries a month of the published table."""
PUBLISHED_MONTHLY = {"GPT-4": (450.0, 4_500.0, 45_000.0, 450_000.0), "Mistral 7B": (2.5, 25.0, 250.0, 2_500.0)}
"""Dollars a month at these volumes; published, not measured here (1,000 tokens a query at the token price)."""
CONVERSATION_TOKENS = (500, 1_000)
"""Tokens of the published conversation, each way."""
LEFT_OUT = (
    "hardware: the small model's token price is a provider's; on one's own machine it is purchase or rent, power and "
    "idle hours",
    "utilisation: a machine costs the same while nobody asks",
    "retrieval: the briefed prompt has more tokens than the bare question",
    "escalations: questions that the small model cannot answer go to the large one and are paid twice",
    "quality: a wrong answer has a cost of its own; the ratio compares prices, not answers",
    "people: setting up, watching and updating one's own service",
    "input and output are priced alike, which providers do not",
)
"""What the published ratio (45.00 / 0.25 = 180) does not hold."""


class Priced(Value):
    """A priced thing: no price without date and source."""

    name: str = Field(min_length=1)
    date: date
    source: str = Field(min_length=1)


Named = TypeVar("Named", bound=Priced)


class ModelPrice(Priced):
    """A model's price by the token."""

    usd_per_million_tokens: float = Field(ge=0, description="of the prompt, and of the answer where they cost alike")
    usd_per_million_output_tokens: float | None = Field(default=None, ge=0, description="of the answer")

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Dollars for one answer."""
        output = self.usd_per_million_output_tokens
        out = self.usd_per_million_tokens if output is None else output
        return (self.usd_per_million_tokens * prompt_tokens + out * completion_tokens) / 1e6

    def told(self) -> str:
        """The price in words, with source and date."""
        output = self.usd_per_million_output_tokens
        out = self.usd_per_million_tokens if output is None else output
        return f"${self.usd_per_million_tokens:g} in, ${out:g} out a million tokens; {self.source}, {self.date}"


class HardwarePrice(Priced):
    """A machine, rented by the month or bought, with its power; low and high where the price is a range."""

    kind: Literal["rent", "purchase"]
    usd_per_month_low: float = Field(default=0.0, ge=0)
    usd_per_month_high: float = Field(default=0.0, ge=0)
    usd_low: float = Field(default=0.0, ge=0)
    usd_high: float = Field(default=0.0, ge=0)
    years: float = Field(default=3.0, gt=0, description="over which a purchase is written off")
    watts: float = Field(default=0.0, ge=0, description="mean draw, idle and busy hours together")
    usd_per_kwh_low: float = Field(default=0.0, ge=0)
    usd_per_kwh_high: float = Field(default=0.0, ge=0)

    def monthly(self) -> Range:
        """Dollars a month of one such machine, power included."""
        energy = self.watts / 1000 * HOURS_A_MONTH
        if self.kind == "rent":
            fixed = (self.usd_per_month_low, self.usd_per_month_high)
        else:
            fixed = (self.usd_low / (12 * self.years), self.usd_high / (12 * self.years))
        return Range(low=fixed[0] + energy * self.usd_per_kwh_low, high=fixed[1] + energy * self.usd_per_kwh_high)


class Range(Value):
    """From low to high."""

    low: float
    high: float


class Prices(Value):
    """The whole table."""

    model: tuple[ModelPrice, ...]
    hardware: tuple[HardwarePrice, ...]

    def price_of(self, name: str) -> ModelPrice:
        """The price of a model. Raises InvalidSettings for one that the table does not hold."""
        for price in self.model:
            if price.name == name:
                return price
        known = ", ".join(price.name for price in self.model)
        raise InvalidSettings(
            f"the price table has no model {name!r}, only {known}: add a [[model]] table with its date"
        )


def load_prices(path: Path = SHIPPED) -> Prices:
    """Read a price table; one of the user's goes over the shipped one, by name.

    Raises InvalidSettings, naming the table, on one without date or source, or damaged.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSettings(f"the price table {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidSettings(f"the price table {path} is damaged: {error}") from None
    for kind in ("model", "hardware"):
        for number, row in enumerate(raw.get(kind, []), start=1):
            for field in ("date", "source"):
                if not row.get(field):
                    name = row.get("name", f"number {number}")
                    raise InvalidSettings(f"{path}: {kind} {name!r} has no {field}: a price means nothing without one")
    try:
        if path != SHIPPED:
            ours = load_prices()
            return Prices(
                model=_over_by_name(ours.model, [ModelPrice.model_validate(row) for row in raw.get("model", [])]),
                hardware=_over_by_name(
                    ours.hardware, [HardwarePrice.model_validate(row) for row in raw.get("hardware", [])]
                ),
            )
        return Prices.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidSettings(f"{path}: {where}: {first['msg']}") from None


def _over_by_name(ours: Sequence[Named], theirs: Sequence[Named]) -> tuple[Named, ...]:
    return tuple({row.name: row for row in (*ours, *theirs)}.values())


class Measured(Value):
    """What one run measured of an arm."""

    tokens_per_answer: float = Field(gt=0, description="prompt and completion, mean")
    answers_per_second: float = Field(gt=0, description="of one machine, busy")


class Volume(Value):
    """Cost at one monthly volume."""

    queries: int
    large: float = Field(description="dollars a month, by the token")
    ours: Range = Field(description="dollars a month: machines and power, and the escalated share by the token")
    machines: int
    utilisation: float = Field(description="share of the machines' busy capacity that is used")
    ratio: Range = Field(description="large over ours, (least, most) favourable price")


def token_cost(price: ModelPrice, tokens: float, queries: float) -> float:
    """Dollars for some queries of some tokens each."""
    return price.usd_per_million_tokens * tokens * queries / 1e6


def machines_needed(measured: Measured, queries: float, *, peak: float) -> int:
    """Machines that serve a month's queries when the busiest hour has `peak` times the mean load; at least 1."""
    mean = queries / (HOURS_A_MONTH * 3600)
    return max(1, math.ceil(mean * peak / measured.answers_per_second))


def volume_cost(
    measured: Measured,
    hardware: HardwarePrice,
    large: ModelPrice,
    *,
    queries: int,
    large_tokens: float,
    escalated: float = 0.0,
    peak: float = 3.0,
) -> Volume:
    """What one monthly volume costs on our machines and by a large model's token price.

    large_tokens: tokens of one query at the large model (no retrieved passages, unless it gets them)
    escalated:    share of queries that go to the large model as well, in [0, 1]
    peak:         busiest hour over mean hour
    Raises ValueError on a share outside [0, 1] or no query.
    """
    if not 0 <= escalated <= 1 or queries < 1:
        raise ValueError(f"escalated {escalated} and queries {queries}: a share in [0, 1] and at least one are needed")
    count = machines_needed(measured, queries, peak=peak)
    month = hardware.monthly()
    theirs = token_cost(large, large_tokens, queries)
    extra = escalated * theirs
    ours = Range(low=count * month.low + extra, high=count * month.high + extra)
    capacity = measured.answers_per_second * HOURS_A_MONTH * 3600 * count
    return Volume(
        queries=queries,
        large=theirs,
        ours=ours,
        machines=count,
        utilisation=queries / capacity,
        ratio=Range(low=_over(theirs, ours.high), high=_over(theirs, ours.low)),
    )


def _over(a: float, b: float) -> float:
    return a / b if b else math.inf


def volume_table(
    measured: Measured, hardware: HardwarePrice, large: ModelPrice, *, large_tokens: float, escalated: float = 0.0
) -> list[Volume]:
    """`volume_cost` at the four published volumes."""
    return [
        volume_cost(measured, hardware, large, queries=queries, large_tokens=large_tokens, escalated=escalated)
        for queries in VOLUMES
    ]


def break_even(
    measured: Measured,
    hardware: HardwarePrice,
    large: ModelPrice,
    *,
    large_tokens: float,
    escalated: float = 0.0,
    peak: float = 3.0,
) -> Range | None:
    """Queries a month from which our machines cost less, for the low and the high price; None where they never do.

    Machines come in whole numbers, so cost is a staircase: the first volume is looked for at each number of machines,
    where machines x month = (1 - escalated) x token cost.
    """
    each = token_cost(large, large_tokens, 1) * (1 - escalated)
    month = hardware.monthly()
    found = [_first_cheaper(measured, price, each, peak) for price in (month.low, month.high)]
    if found[0] is None or found[1] is None:
        return None
    return Range(low=found[0], high=found[1])


def _first_cheaper(measured: Measured, month: float, each: float, peak: float) -> float | None:
    capacity = measured.answers_per_second * HOURS_A_MONTH * 3600 / peak
    if each <= 0 or (needed := month / each) > capacity:
        return None  # one machine full of questions does not pay for itself, and more cost alike
    return needed


def conversation_cost(price: ModelPrice) -> Range:
    """Dollars for a million conversations of 500 to 1,000 tokens, by the token price."""
    low, high = (token_cost(price, tokens, 1_000_000) for tokens in CONVERSATION_TOKENS)
    return Range(low=low, high=high)


def published_ratio(prices: Prices, *, large: str = "GPT-4", small: str = "Mistral 7B") -> float:
    """The published savings ratio, which is the token prices' alone; see `LEFT_OUT`."""
    return prices.price_of(large).usd_per_million_tokens / prices.price_of(small).usd_per_million_tokens
