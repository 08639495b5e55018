"""What the plugin and the page read of a product is the same, from an object and from its types."""

from __future__ import annotations

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.views.product import matches, state_of, team_of, versions
from sluicegate.views.product_facts import facts_of
from tests.support.samples.product_examples import changed


@pytest.mark.parametrize(
    ("owner", "team"),
    [("group:default/pricing", "pricing"), ("group:pricing", "pricing"), ("pricing", "pricing")],
)
def test_a_team_is_the_owner_without_its_kind_and_namespace(owner, team):
    document = changed({"spec.owner": owner})
    assert team_of(owner) == team == facts_of(DataProduct.parse(document)).team
    assert matches(document, team=team)
    assert matches(document, team=owner)
    assert not matches(document, team="group")


def test_a_product_without_status_is_unknown_to_the_plugin_and_the_page():
    document = changed({}) | {"status": {}}
    assert state_of(document) == facts_of(DataProduct.parse(document)).state == "Unknown"


def test_a_fall_in_a_market_does_not_hide_why_a_version_was_rolled_back():
    arms = {"candidate": {"bad": 100, "total": 1000}, "stable": {"bad": 100, "total": 1000}}
    fell = {"markets": {"AT": [90, 100, 10, 100]}}
    verdict = {
        "type": "Rollback",
        "message": "v2 answers too slowly",
        "slos": [{"name": "accuracy", **arms, **fell}],
    }
    past_version = {"version": "v2", "outcome": "RolledBack", "verdict": verdict}
    status = {"history": [past_version], "stable": {"version": "v1"}}
    (row,) = (row for row in versions({"status": status}) if row["version"] == "v2")
    assert row["brought"] == "v2 answers too slowly"
    restored = {"version": "v2", "restored": True, "verdict": verdict | {"slos": []}}
    (row,) = versions({"status": {"stable": restored}})
    assert "brought" not in row, "a restored version brought what its own canary showed"
    kept = past_version | {"outcome": "Superseded", "verdict": verdict | {"type": "Promote"}}
    (row,) = (
        row for row in versions({"status": status | {"history": [kept]}}) if row["version"] == "v2"
    )
    assert row["brought"].startswith("accuracy in AT -80.0 ")


START = "2026-11-28T12:00:00Z"


@pytest.mark.parametrize(
    ("moved", "shares"),
    [
        ({"version": "v3", "phase": "Stepping", "weight": 25}, {"v3": 25, "v2": 75}),
        ({"version": "v3", "phase": "RollingBack", "weight": 25}, {"v3": 0, "v2": 100}),
        (
            {"version": "v1", "phase": "Promoting", "weight": 100, "restoring": True},
            {"v2": 0, "v1": 100},
        ),
        ({}, {"v2": 100}),
    ],
    ids=["a canary", "a rollback of a candidate", "a rollback of stable", "no rollout"],
)
def test_the_shares_of_the_versions_are_those_in_force(moved, shares):
    status = {
        "candidate": moved | {"revision": "1"} if moved else {},
        "stable": {"version": "v2", "revision": "2"},
        "history": [
            {"version": "v1", "revision": "1", "outcome": "Replaced", "promotionTime": START},
            {"version": "v1", "revision": "1", "outcome": "Inconclusive"},
        ],
    }
    rows = versions({"metadata": {"name": "a", "namespace": "b"}, "status": status})
    assert [(row["version"], row["weight"]) for row in rows if "weight" in row] == [*shares.items()]
