"""The recommendation follows the declared threshold and the interval, not the point."""

from __future__ import annotations

import pytest

from evaluation.comparing import Comparison
from evaluation.cost import load_prices
from evaluation.published import PUBLISHED, our_row, published_latency
from evaluation.rates import Rate
from evaluation.recommendation import Threshold, recommend
from evaluation.report import parameters_of, priced_as, thousand
from evaluation.rows import Row
from evaluation.scoring import Part
from evaluation.statistics import Difference, Verdict


def rate(value: float) -> Rate:
    return Rate(level=0.95, n=400, judged=value, corrected=value, low=value - 0.04, high=value + 0.04)


def row(arm: str, value: float, **more: object) -> Row:
    return Row.model_validate(
        {"arm": arm, "model": "big" if arm.startswith("llm") else "m-135M", "rate": rate(value), **more}
    )


def part(ours: float, large: float | None, *, cascade: tuple[tuple[float, float, float, float], ...] = ()) -> Part:
    rows = [row("slm", 0.1), row("slm+rag", ours, p50_ms=100.0), row("slm+gold", ours + 0.1)]
    comparisons = []
    if large is not None:
        rows.append(row("llm (closed_book)", large))
        d = ours - large
        difference = Difference(
            n=400, clusters=400, estimate=d, low=d - 0.04, high=d + 0.04, level=0.95, one_sided_low=d - 0.03,
            one_sided_high=d + 0.03, standard_error=0.02, small=False,
        )  # fmt: skip
        comparisons.append(
            Comparison(
                arm="llm (closed_book)", model="big", primary=True, difference=difference, verdict=Verdict.INCONCLUSIVE,
                shifted=Verdict.INCONCLUSIVE, mcnemar=1.0, holm=1.0, detectable=0.05,
            )
        )  # fmt: skip
    return Part(
        name="p",
        n=400,
        kind="free text",
        rows=tuple(rows),
        comparisons=tuple(comparisons),
        retrieval={},
        cascade=cascade,
    )


def chosen(found: Part, **threshold: float) -> str:
    return recommend(found, Threshold.model_validate(threshold), published_large_ms=800).choice


def test_a_small_model_that_loses_less_than_declared_is_chosen() -> None:
    assert chosen(part(0.79, 0.80)) == "small model"
    assert chosen(part(0.70, 0.80), max_accuracy_loss=0.2) == "small model"


def test_the_lower_end_of_the_interval_must_meet_the_least_accuracy() -> None:
    assert chosen(part(0.75, 0.80), min_accuracy=0.7) == "small model"
    assert chosen(part(0.72, 0.80), min_accuracy=0.7) == "large model"
    assert chosen(part(0.50, 0.55), min_accuracy=0.9) == "neither"


def test_a_mixture_is_chosen_where_its_confidence_beats_chance() -> None:
    by_confidence = ((0.0, 0.6, 0.6, 0.6), (0.3, 0.78, 0.66, 0.8), (1.0, 0.8, 0.8, 0.8))
    found = recommend(part(0.6, 0.8, cascade=by_confidence), Threshold(), published_large_ms=800)
    assert found.choice == "hybrid"
    assert found.escalated == 0.3
    by_chance = ((0.0, 0.6, 0.6, 0.6), (0.3, 0.66, 0.66, 0.8), (1.0, 0.8, 0.8, 0.8))
    assert chosen(part(0.6, 0.8, cascade=by_chance)) == "large model"


def test_an_interval_that_spans_the_threshold_decides_nothing() -> None:
    assert chosen(part(0.74, 0.80)) == "undecided"


def test_without_a_large_model_only_a_declared_accuracy_decides() -> None:
    assert chosen(part(0.9, None)) == "undecided"
    assert chosen(part(0.9, None), min_accuracy=0.8) == "small model"
    assert chosen(part(0.3, None), min_accuracy=0.8) == "neither"


def test_a_loss_is_accepted_only_for_the_declared_gain_in_speed() -> None:
    assert chosen(part(0.79, 0.80), min_speedup=5) == "small model"
    assert chosen(part(0.79, 0.80), min_speedup=10) == "large model"


def test_the_steps_tell_ceiling_gap_and_what_would_change_it() -> None:
    found = recommend(part(0.6, 0.8), Threshold(), published_large_ms=800)
    assert "80.0%" in found.steps[0]
    assert "+50.0 points" in found.steps[3]
    assert "71% of the way" in found.steps[3]
    assert any("better reading must" in line for line in found.would_change)


def test_our_row_stands_beside_the_published_ones_and_says_how_it_was_made() -> None:
    measured = row("slm+rag", 0.6, p50_ms=500.0, tokens=250.0, tokens_per_second=40.0)
    machines = load_prices().hardware
    ours = our_row(measured, parameters=parameters_of("m-135M"), machines=machines)
    assert ours is not None
    assert ours.parameters == "135M"
    assert ours.usd_per_million.low == min(m.monthly().low for m in machines) / (500 * 730 * 3600) * 1e6
    assert all(model.note == "published, not measured here" for model in PUBLISHED)
    assert "measured" in ours.note
    assert published_latency("GPT-4") == 800
    assert our_row(row("slm+rag", 0.6), parameters="", machines=machines) is None


def test_a_recorded_model_is_priced_by_its_family_and_an_unknown_one_is_left_out() -> None:
    prices = load_prices()
    named = {"ChatGPT-4": "GPT-4", "gpt-4-32k": "GPT-4", "gpt-4-1106-preview": "GPT-4 Turbo", "Phi-3": "Phi-3"}
    for model, family in named.items():
        price = priced_as(model, prices)
        assert price is not None
        assert price.name == family
    assert priced_as("Gemini-1.5", prices) is None
    found = part(0.6, None)
    rows = thousand((found,), prices)
    assert [row.arm for row in rows] == ["slm+rag"]
    months = [machine.monthly() for machine in prices.hardware]
    assert rows[0].usd.low == pytest.approx(min(m.low for m in months) * 100 / (730 * 3600))
