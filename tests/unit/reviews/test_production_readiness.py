"""What a product in production needs, and exemptions, which end."""

from __future__ import annotations

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.reviews.production_readiness import checks, judged_on
from tests.support.samples.product_examples import changed

LINKS = [{"type": "Runbook", "url": "https://wiki.example/runbook"}]
REVIEW = {"every": "Month", "startDate": "2026-01-15", "keep": 13}
READY = {
    "spec.links": LINKS,
    "spec.description": {"purpose": "a", "limitations": "b", "usage": "c"},
    "spec.compliance": {"riskClass": "Minimal", "basis": "ranks cars, no person"},
    "spec.review": REVIEW,
    "spec.serving.feedback": {"secretRef": {"name": "key"}},
}
LACKS = {
    "ProductManager": (
        {"spec.lifecycle": "Development", "spec.team.members": []}, "spec.team.members"),
    "ModelCard": ({"spec.description": {"purpose": "a"}}, "limitations and usage"),
    "Runbook": ({"spec.links": []}, "type Runbook"),
    "OutcomeSlo": ({"spec.slos": [{"name": "availability", "indicator": {"availability": {}},
                                   "objective": "0.99"}],
                    "spec.model.evaluation": {}, "spec.retraining.gate": {}}, "an SLO on outcomes"),
    "FeedbackKey": ({"spec.serving.feedback": None}, "secretRef"),
    "RuntimeByDigest": (
        {"spec.lifecycle": "Development", "spec.serving.runtimeImage": "registry.example/rt:1"},
        "by its digest"),
    "Retention": ({"spec.review": REVIEW | {"keep": 5}}, "spec.review.keep"),
    "RiskAssessed": ({"spec.compliance": {"riskClass": "Unassessed"}}, "riskClass"),
}  # fmt: skip


def found(changes, today="2026-06-01"):
    document = changed(READY | changes)
    document["spec"]["serving"] = {
        name: one for name, one in document["spec"]["serving"].items() if one is not None
    }
    spec = DataProduct.parse(document).spec
    return {one.name: one for one in judged_on(checks(spec), spec.review.exemptions, today)}


def test_a_product_that_has_all_meets_each_check():
    assert {str(one.state) for one in found({}).values()} == {"Met"}


@pytest.mark.parametrize(
    ("name", "changes", "says"), [(k, *v) for k, v in LACKS.items()], ids=LACKS
)
def test_a_readiness_item_that_is_missing_is_the_only_one_named_with_the_way_out(
    name, changes, says
):
    unmet = {one.name: one for one in found(changes).values() if str(one.state) != "Met"}
    assert list(unmet) == [name]
    assert str(unmet[name].state) == "Missing"
    assert says in unmet[name].message


def test_an_exemption_holds_to_its_last_day_and_then_says_that_it_has_ended():
    exempt = [{"check": "Runbook", "reason": "moves to the new wiki", "endDate": "2026-06-30"}]
    changes = {"spec.links": [], "spec.review": REVIEW | {"exemptions": exempt}}
    last = found(changes, "2026-06-30")["Runbook"]
    assert (str(last.state), last.message) == ("Exempt", "until 2026-06-30: moves to the new wiki")
    over = found(changes, "2026-07-01")["Runbook"]
    assert str(over.state) == "Missing"
    assert over.message.startswith("its exemption ended on 2026-06-30: add a link of type Runbook")
    assert str(found({"spec.review": REVIEW | {"exemptions": exempt}})["Runbook"].state) == "Met"
