"""Cost, break-even and the price table."""

from datetime import date
from pathlib import Path

import pytest

from evaluation.cost import (
    PUBLISHED_MONTHLY,
    VOLUMES,
    HardwarePrice,
    Measured,
    ModelPrice,
    break_even,
    conversation_cost,
    load_prices,
    machines_needed,
    published_ratio,
    token_cost,
    volume_cost,
    volume_table,
)
from rag.errors import InvalidSettings

LARGE = ModelPrice(name="large", usd_per_million_tokens=45.0, date=date(2025, 1, 1), source="test")
RENTED = HardwarePrice(
    name="two cores", kind="rent", usd_per_month_low=36.0, usd_per_month_high=72.0, date=date(2025, 1, 1), source="test"
)
OURS = Measured(tokens_per_answer=500.0, answers_per_second=1.0)


def test_the_shipped_table_gives_the_published_figures() -> None:
    prices = load_prices()
    assert published_ratio(prices) == pytest.approx(180.0)
    for name, dollars in PUBLISHED_MONTHLY.items():
        computed = [token_cost(prices.price_of(name), 1_000, queries) for queries in VOLUMES]
        assert computed == pytest.approx(list(dollars))
    conversation = conversation_cost(prices.price_of("GPT-4"))
    assert (conversation.low, conversation.high) == pytest.approx((22_500.0, 45_000.0))


def test_every_shipped_price_has_a_date_and_a_source() -> None:
    prices = load_prices()
    assert all(price.source for price in [*prices.model, *prices.hardware])
    assert all("published, not measured here" in price.source for price in prices.model)


@pytest.mark.parametrize("missing", ["date", "source"])
def test_a_price_without_date_or_source_is_refused(tmp_path: Path, missing: str) -> None:
    lines = {"name": '"X"', "usd_per_million_tokens": "1.0", "date": "2025-01-01", "source": '"bill"'}
    rows = "\n".join(f"{key} = {value}" for key, value in lines.items() if key != missing)
    file = tmp_path / "prices.toml"
    file.write_text(f"hardware = []\n[[model]]\n{rows}\n")
    with pytest.raises(InvalidSettings, match=f"model 'X' has no {missing}"):
        load_prices(file)


def test_a_damaged_table_and_an_unknown_model_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("[[model")
    with pytest.raises(InvalidSettings, match="damaged"):
        load_prices(file)
    with pytest.raises(InvalidSettings, match="cannot be read"):
        load_prices(tmp_path / "none.toml")
    with pytest.raises(InvalidSettings, match="no model 'GPT-9'"):
        load_prices().price_of("GPT-9")


def test_a_purchase_is_written_off_and_draws_power() -> None:
    server = HardwarePrice(
        name="s", kind="purchase", usd_low=720.0, usd_high=720.0, years=2.0, watts=100.0, usd_per_kwh_low=0.1,
        usd_per_kwh_high=0.2, date=date(2025, 1, 1), source="test",
    )  # fmt: skip
    # 720 / 24 = 30 a month; 0.1 kW x 730 h = 73 kWh
    assert (server.monthly().low, server.monthly().high) == pytest.approx((37.3, 44.6))


def test_machines_are_counted_for_the_busiest_hour() -> None:
    assert machines_needed(OURS, 1_000, peak=3.0) == 1
    # 10 million a month are 3.805 a second, 11.4 at peak
    assert machines_needed(OURS, 10_000_000, peak=3.0) == 12


def test_a_volume_is_priced_on_both_sides_with_its_escalations() -> None:
    found = volume_cost(OURS, RENTED, LARGE, queries=10_000, large_tokens=1_000, escalated=0.1)
    assert found.large == pytest.approx(450.0)
    assert (found.ours.low, found.ours.high) == pytest.approx((81.0, 117.0))
    assert found.ratio.high == pytest.approx(450 / 81)
    assert found.utilisation == pytest.approx(10_000 / (730 * 3600))
    assert [row.queries for row in volume_table(OURS, RENTED, LARGE, large_tokens=1_000)] == list(VOLUMES)
    with pytest.raises(ValueError, match=r"escalated 1\.5"):
        volume_cost(OURS, RENTED, LARGE, queries=1, large_tokens=1, escalated=1.5)


def test_break_even_is_where_a_machine_costs_what_its_tokens_would() -> None:
    # 36 to 72 dollars a month against 0.045 a query: 800 to 1,600 queries
    found = break_even(OURS, RENTED, LARGE, large_tokens=1_000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((800.0, 1_600.0))
    dear = break_even(OURS, RENTED, LARGE, large_tokens=1_000, escalated=0.5)
    assert dear is not None
    assert dear.low == pytest.approx(1_600.0)


def test_a_machine_that_is_too_slow_never_pays() -> None:
    slow = Measured(tokens_per_answer=500.0, answers_per_second=0.0001)
    assert break_even(slow, RENTED, LARGE, large_tokens=1_000) is None
    assert break_even(OURS, RENTED, LARGE, large_tokens=1_000, escalated=1.0) is None
