"""How far a business goal is met, and what a gain is worth."""

from __future__ import annotations

import pytest

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.views.goals import goals_of, worth_of
from sluicegate.views.lift import lift_of
from tests.support.samples.product_examples import example

WORTH = {"amount": "12000", "unit": "EUR a month"}


def product(
    *,
    ratio: str | None = "0.031",
    total: int = 1200,
    gauge: bool = False,
    state: str = "Met",
    **goal: object,
) -> DataProduct:
    document = example()
    indicator = {"gauge": {"metric": "searches_per_order"}} if gauge else {"outcomes": {}}
    document["spec"]["slos"] = [{"name": "conversion", "indicator": indicator, "maxDrop": "0.01"}]
    document["spec"]["businessGoals"] = [
        {"name": "search-conversion", "target": "0.032", "slo": "conversion", **goal}
    ]
    document["spec"].pop("retraining", None)
    document["spec"]["model"].pop("evaluation", None)
    document["spec"]["dependsOn"] = []
    level = {"name": "conversion", "state": state} | ({} if gauge else {"total": total})
    document["status"] = {"slos": [level | ({"ratio": ratio} if ratio else {})]}
    return DataProduct.parse(document)


@pytest.mark.parametrize(
    ("ratio", "goal", "text"),
    [
        ("0.031", {}, "goal 3.2 %: not met yet (3.1 %, n=1,200)"),
        ("0.033", {}, "goal 3.2 %: met (3.3 %, n=1,200)"),
        (None, {}, "goal 3.2 %: not known yet"),
        ("0.031", {"target": "3.2", "unit": "%"}, "goal 3.2 %: not met yet (3.1 %, n=1,200)"),
        ("0.031", {"direction": "AtMost"}, "goal at most 3.2 %: met (3.1 %, n=1,200)"),
        (
            "0.0322",
            {"direction": "Equals", "target": "0.032"},
            "goal exactly 3.2 %: met (3.2 %, n=1,200)",
        ),
        ("0.29", {"target": "29", "unit": "%"}, "goal 29 %: met (29.0 %, n=1,200)"),
        ("0.57", {"target": "57", "unit": "%"}, "goal 57 %: met (57.0 %, n=1,200)"),
        (
            "0.57",
            {"target": "0.57", "direction": "AtMost"},
            "goal at most 57 %: met (57.0 %, n=1,200)",
        ),
        ("0.94996", {"target": "0.95"}, "goal 95 %: not met yet (94.996 %, n=1,200)"),
        ("0.95004", {"target": "95", "unit": "%"}, "goal 95 %: met (95.0 %, n=1,200)"),
        (
            "0.050004",
            {"target": "0.05", "direction": "Decrease"},
            "goal at most 5 %: not met yet (5.0004 %, n=1,200)",
        ),
        (
            "0.96",
            {"target": "1", "direction": "Equals"},
            "goal exactly 100 %: not met yet (96.0 %, n=1,200)",
        ),
        ("nan", {}, "goal 3.2 %: not known yet"),
    ],
)
def test_a_business_goal_is_met_if_the_slo_that_measures_it_is_met(ratio, goal, text):
    (progress,) = goals_of(product(ratio=ratio, **goal))
    assert progress.text == text


@pytest.mark.parametrize(
    ("mean", "goal", "text"),
    [
        ("1.7", {"target": "2"}, "goal 2: not met yet (1.7)"),
        ("14.2", {"target": "15", "unit": "days"}, "goal 15 days: not met yet (14.2 days)"),
        ("249.9", {"target": "250", "unit": "ms", "direction": "AtMost"},
         "goal at most 250 ms: met (249.9 ms)"),
        ("94.9999", {"target": "95", "unit": "%"}, "goal 95 %: not met yet (94.9999 %)"),
        ("1e300", {"target": "2", "direction": "Equals"}, "goal exactly 2: not met yet (1e+300)"),
    ],
)  # fmt: skip
def test_a_business_goal_on_a_gauge_is_compared_in_its_own_unit(mean, goal, text):
    (progress,) = goals_of(product(gauge=True, ratio=mean, **goal))
    assert progress.text == text


@pytest.mark.parametrize(
    ("goal", "worth"),
    [
        ({}, "+6,000 EUR a month [98, 11,922]"),
        ({"direction": "Increase"}, "+6,000 EUR a month [98, 11,922]"),
        ({"direction": "Decrease"}, "-6,000 EUR a month [-11,922, -98]"),
        ({"direction": "AtMost"}, "-6,000 EUR a month [-11,922, -98]"),
        ({"direction": "Equals"}, ""),
        (
            {"valuePerPoint": {"amount": "1.2", "unit": "EUR a call"}},
            "+0.60 EUR a call [0.01, 1.19]",
        ),
    ],
)
def test_the_value_of_a_gain_is_its_points_in_the_direction_of_the_goal(goal, worth):
    lift = lift_of("conversion", (9650, 10_000), (9700, 10_000))
    assert lift is not None
    assert worth_of(product(**({"valuePerPoint": WORTH} | goal)), lift) == worth


def test_a_gain_without_a_value_per_point_has_no_value():
    lift = lift_of("conversion", (9650, 10_000), (9700, 10_000))
    assert lift is not None
    assert worth_of(product(), lift) == ""


@pytest.mark.parametrize(
    "goal",
    [
        {"target": "95"},
        {"target": "250", "unit": "ms"},
        {"target": "15", "unit": "days"},
        {"target": "100.5", "unit": "%"},
    ],
)
def test_a_business_goal_with_a_share_has_a_share_as_target(goal):
    with pytest.raises(InvalidProduct, match=r'write 95 % as "0\.95" with unit ratio'):
        product(**goal)


def test_a_goal_names_an_slo_of_the_product():
    with pytest.raises(InvalidProduct, match=r"must be the name of one of spec\.slos"):
        product(slo="other")


def test_a_goal_is_not_known_yet_while_its_slo_has_too_few_events():
    (progress,) = goals_of(product(ratio="1", total=4, state="Unknown"))
    assert progress.text == "goal 3.2 %: not known yet (100 %, n=4)"
