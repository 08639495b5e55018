"""Journeys: what their steps come to, and the weakest link."""

from __future__ import annotations

import pytest

from sluicegate.portfolio.journeys import journeys_of
from sluicegate.views.product_facts import facts_of
from tests.support.portfolio.products import product, slo

SLOS = [
    {"name": "up", "indicator": {"availability": {}}, "objective": "0.99"},
    {"name": "fast", "indicator": {"latency": {"thresholdMilliseconds": 500}}, "objective": "0.95"},
    {"name": "faster", "indicator": {"latency": {"thresholdMilliseconds": 250}}, "objective": "0.9"},
    {"name": "right", "indicator": {"outcomes": {}}, "objective": "0.8"},
]  # fmt: skip


def step(name, number, *measured, journey="buy"):
    """Facts of a product at a step, with the shares of its SLOs that are measured."""
    status = {"slos": [slo(one, ratio=ratio, total=1000) for one, ratio in measured]}
    spec = {"slos": SLOS, "journeys": [{"name": journey, "step": number}]}
    return facts_of(product(name, spec=spec, status=status))


def test_the_success_share_of_a_journey_is_the_product_of_its_steps_shares():
    found = journeys_of([
        step("pay", 2, ("up", "0.98"), ("fast", "0.97"), ("faster", "0.9")),
        step("find", 1, ("up", "0.99"), ("fast", "0.96"), ("right", "0.1")),
        facts_of(product("elsewhere")),
    ])["buy"]  # fmt: skip
    assert [one.product.title for one in found.steps] == ["find", "pay"]
    assert found.answered == pytest.approx(0.99 * 0.98)
    assert found.in_time == pytest.approx(0.96 * 0.9), (
        "of two bounds the one that is kept less often"
    )
    assert found.milliseconds == 500 + 250
    assert found.weakest.product.title == "pay"


@pytest.mark.parametrize(
    ("failing", "answered"),
    [
        ([{1, 2}, {3, 4, 5}], 95),  # no journey fails at two steps
        ([{1, 2}, {1, 2, 3}], 97),  # all fail at the weakest step
        ([{1, 2}, {2, 3, 4}], 96),
    ],
)
def test_the_bounds_of_a_journey_hold_however_failures_coincide(failing, answered):
    """Of 100 journeys, by step the numbers of those that fail there."""
    steps = [
        step(f"s{number}", number, ("up", str(1 - len(those) / 100)))
        for number, those in enumerate(failing, start=1)
    ]
    journey = journeys_of(steps)["buy"]
    bounds = journey.answered_bounds
    assert bounds is not None
    least, most = bounds
    assert 100 - len(set.union(*failing)) == answered
    assert least - 1e-9 <= answered / 100 <= most + 1e-9
    assert (least, most) == (pytest.approx(0.95), pytest.approx(0.97))
    assert journeys_of([step("find", 1)])["buy"].answered_bounds is None


def test_a_journey_step_without_numbers_is_excluded_and_reported():
    found = journeys_of([step("find", 1, ("up", "1.0")), step("pay", 2)])["buy"]
    assert (found.answered, found.counted, len(found.steps)) == (1.0, 1, 2)
    assert (found.in_time, found.timed, found.milliseconds) == (None, 0, 0)
    assert found.weakest is None, "where no request fails, no step is weak"


def test_each_journey_has_its_own_list_of_steps():
    found = journeys_of([step("find", 1), step("sell", 1, journey="sell")])
    assert {name: len(one.steps) for name, one in found.items()} == {"buy": 1, "sell": 1}
