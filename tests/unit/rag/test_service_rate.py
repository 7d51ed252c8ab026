"""How fast requests are finished while there is work, by hand."""

from __future__ import annotations

from rag.service_rate import ServiceRate


def test_side_by_side_counts_what_comes_out_and_idle_time_counts_nothing() -> None:
    now = 0.0
    rate = ServiceRate(5.0, clock=lambda: now)
    assert rate.wait(2) == 10.0
    rate.begin()
    rate.begin()
    now = 4.0
    rate.end(finished=True)
    assert rate.seconds == 4.0, "the first one is all that is known"
    now = 4.5
    rate.end(finished=True)
    assert rate.seconds == 4.0 + 0.2 * (0.5 - 4.0)
    now = 100.0
    rate.begin()
    now = 103.3
    rate.end(finished=True)
    assert abs(rate.seconds - 3.3) < 1e-9, "3.3 s of work, and not the minutes before it"


def test_who_gave_up_says_nothing() -> None:
    now = 0.0
    rate = ServiceRate(1.0, clock=lambda: now)
    rate.begin()
    now = 60.0
    rate.end(finished=False)
    assert rate.seconds == 1.0
