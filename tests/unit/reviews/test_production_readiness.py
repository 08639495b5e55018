"""What a product in production needs, and exemptions, which end."""

from __future__ import annotations

from datetime import datetime

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.api.review import ReadinessCheck
from sluicegate.reviews.production_readiness import (
    MONTH,
    Renewal,
    age_checks,
    checks_judged_on,
    readiness_checks,
    renewal_of,
)
from tests.support.portfolio.products import WHEN, product, version
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
                    "spec.model.evaluation": {}, "spec.retraining.gate": {}, "spec.dependsOn": []},
                   "an SLO on outcomes"),
    "FeedbackKey": ({"spec.serving.feedback": None}, "secretRef"),
    "RuntimeByDigest": (
        {"spec.lifecycle": "Development", "spec.serving.runtimeImage": "registry.example/rt:1"},
        "by its digest"),
    "Retention": ({"spec.review": REVIEW | {"keep": 5}}, "spec.review.keep"),
    "RiskAssessed": ({"spec.compliance": {"riskClass": "Unassessed"}}, "riskClass"),
}  # fmt: skip


def found(changes, today="2026-06-01", runtime_image=""):
    document = changed(READY | changes)
    document["spec"]["serving"] = {
        name: one for name, one in document["spec"]["serving"].items() if one is not None
    }
    spec = DataProduct.parse(document).spec
    return {
        one.name: one
        for one in checks_judged_on(
            readiness_checks(spec, runtime_image), spec.review.exemptions, today
        )
    }


def test_the_runtime_of_the_operator_is_the_one_of_a_product_without_its_own():
    changes = {"spec.lifecycle": "Development", "spec.serving.runtimeImage": None}
    pinned = f"registry.example/rt@sha256:{'a' * 64}"
    for image, state in ((pinned, "Met"), ("registry.example/rt:1", "Missing")):
        assert str(found(changes, runtime_image=image)["RuntimeByDigest"].state) == state


def test_a_complete_product_passes_each_readiness_check():
    assert {str(one.state) for one in found({}).values()} == {"Met"}


@pytest.mark.parametrize(
    ("name", "changes", "says"), [(k, *v) for k, v in LACKS.items()], ids=LACKS
)
def test_a_missing_readiness_item_is_the_only_finding_and_has_the_way_out(name, changes, says):
    unmet = {one.name: one for one in found(changes).values() if str(one.state) != "Met"}
    assert list(unmet) == [name]
    assert str(unmet[name].state) == "Missing"
    assert says in unmet[name].message


@pytest.mark.parametrize(
    ("tried", "promoted", "missing"),
    [
        (5.9, 11.9, []),
        (6.1, 11.9, ["Renewed"]),
        (5.9, 12.1, ["RecentData"]),
        (6.1, 12.1, ["Renewed", "RecentData"]),
    ],
)
def test_an_outdated_model_or_data_is_a_readiness_finding(tried, promoted, missing):
    now = 2e9
    renewal = Renewal("v7", int(now - promoted * MONTH), int(now - tried * MONTH))
    cycle = DataProduct.parse(changed(READY)).spec.review
    assert [str(name) for name, way_out in age_checks(renewal, cycle, now) if way_out] == missing
    assert age_checks(None, cycle, now) == ()
    strict = cycle.replace(renewal_months=1, data_months=1)
    texts = dict(age_checks(renewal, strict, now))
    assert "no new version or challenger was tried for 6 months" in texts[ReadinessCheck.RENEWED]
    assert "v7 became stable 12 months ago" in texts[ReadinessCheck.RECENT_DATA]


def test_versions_candidates_and_trainings_count_as_recent_iterations():
    def tried(**status):
        return renewal_of(product(status=status).status).tried_time

    assert renewal_of(product(status={"stable": None}).status) is None
    stable, later = version(promotionTime=WHEN), "2026-12-01T00:00:00Z"
    only, after = tried(stable=stable), int(datetime.fromisoformat(later).timestamp())
    assert only == int(datetime.fromisoformat(WHEN).timestamp())
    past = version("v13", outcome="RolledBack", endTime=later)
    trained = {"outcome": "Failed", "completionTime": later}
    starts = version("v15", phase="Starting", startTime=later)
    assert tried(stable=stable, history=[past]) == after
    assert tried(stable=stable, candidate=starts) == after
    assert tried(stable=stable, retraining={"lastResult": trained}) == after


def test_a_readiness_exemption_applies_to_its_last_day_and_is_then_reported_as_expired():
    exempt = [{"check": "Runbook", "reason": "moves to the new wiki", "endDate": "2026-06-30"}]
    changes = {"spec.links": [], "spec.review": REVIEW | {"exemptions": exempt}}
    last = found(changes, "2026-06-30")["Runbook"]
    assert (str(last.state), last.message) == ("Exempt", "until 2026-06-30: moves to the new wiki")
    over = found(changes, "2026-07-01")["Runbook"]
    assert str(over.state) == "Missing"
    assert over.message.startswith("its exemption ended on 2026-06-30: add a link of type Runbook")
    assert str(found({"spec.review": REVIEW | {"exemptions": exempt}})["Runbook"].state) == "Met"
