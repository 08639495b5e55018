"""How far a business goal is met, and what a gain is worth."""

from __future__ import annotations

import pytest

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.views.goals import goals_of, worth_of
from sluicegate.views.lift import lift_of
from tests.support.samples.product_examples import example

WORTH = {"amount": "12000", "unit": "EUR a month"}


def product(*, ratio: str | None = "0.031", slo: str = "conversion", **goal: object) -> DataProduct:
    document = example()
    document["spec"]["slos"] = [
        {"name": "conversion", "indicator": {"outcomes": {}}, "maxDrop": "0.01"}
    ]
    document["spec"]["businessGoals"] = [
        {"name": "search-conversion", "target": "0.032", "unit": "ratio", "slo": slo, **goal}
    ]
    document["spec"].pop("retraining", None)
    document["spec"]["model"].pop("evaluation", None)
    level = {"name": "conversion", "state": "Met", "total": 1200}
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
        (
            "14.2",
            {"target": "15", "unit": "days"},
            "goal 15 days: not met yet (14.2 days, n=1,200)",
        ),
    ],
)
def test_a_goal_is_met_by_the_slo_that_measures_it(ratio, goal, text):
    (progress,) = goals_of(product(ratio=ratio, **goal))
    assert progress.text == text


def test_a_gain_is_worth_its_points():
    lift = lift_of("conversion", (9650, 10_000), (9700, 10_000))
    assert lift is not None
    worth = worth_of(product(valuePerPoint=WORTH), lift)
    assert worth.startswith("+6,000 EUR a month [")
    assert worth_of(product(), lift) == ""


def test_a_goal_names_an_slo_of_the_product():
    with pytest.raises(InvalidProduct, match=r"must be the name of one of spec\.slos"):
        product(slo="other")
