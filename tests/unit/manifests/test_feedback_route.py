"""The rules that lead labels to the stable version's pods while a candidate has a share."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.manifests.route import (
    Backend,
    build_feedback_rules,
    build_route,
    leads_feedback_to_stable,
)
from tests.support.samples.product_examples import changed

WEB = {"name": "web", "namespace": "gateway"}
FEEDBACK = {"secretRef": {"name": "feedback"}}


def product(**route: Any) -> DataProduct:
    """A product with feedback, and a route with these fields."""
    route = {"parentRefs": [WEB], **route}
    return DataProduct.parse(changed({"spec.route": route, "spec.serving.feedback": FEEDBACK}))


def rewrite(**path: str) -> dict[str, Any]:
    return {"type": "URLRewrite", "urlRewrite": {"path": path}}


def prefix_rewrite(prefix: str) -> dict[str, Any]:
    return rewrite(type="ReplacePrefixMatch", replacePrefixMatch=prefix)


def matched_paths(owner: DataProduct) -> list[str]:
    """The paths of requests that aren't split."""
    rules = build_feedback_rules(owner, owner.spec.route)
    return [match["path"]["value"] for rule in rules for match in rule["matches"]]


def test_only_stable_receives_the_labels_of_a_product_with_a_candidate():
    owner = product(path="/search")
    rules = build_feedback_rules(owner, owner.spec.route)
    both = [Backend("stable", 75), Backend("candidate", 25)]
    split, unsplit = build_route(owner, owner.spec.route, both, rules)["spec"]["rules"]
    assert [backend["name"] for backend in split["backendRefs"]] == ["stable", "candidate"]
    assert [backend["name"] for backend in unsplit["backendRefs"]] == [owner.metadata.name]
    assert unsplit["matches"] == [{"path": {"type": "PathPrefix", "value": "/search/feedback"}}]
    assert unsplit["filters"] == [prefix_rewrite("/feedback")]


@pytest.mark.parametrize(
    ("path", "filters", "paths"),
    [
        ({"value": "/"}, [], ["/feedback"]),
        ({"value": "/feedback"}, [], ["/feedback"]),
        ({"value": "/api"}, [], []),
        ({"type": "Exact", "value": "/"}, [], []),
        ({"type": "Exact", "value": "/feedback"}, [], ["/feedback"]),
        ({"value": "/api"}, [prefix_rewrite("/")], ["/api/feedback"]),
        ({"value": "/"}, [prefix_rewrite("/")], ["/feedback"]),
        ({"value": "/truth"}, [prefix_rewrite("/feedback")], ["/truth"]),
        ({"value": "/api"}, [prefix_rewrite("/v2")], []),
        (
            {"value": "/truth"},
            [rewrite(type="ReplaceFullPath", replaceFullPath="/feedback")],
            ["/truth"],
        ),
        ({"value": "/"}, [rewrite(type="ReplaceFullPath", replaceFullPath="/predict")], []),
    ],
)
def test_a_rule_that_leads_to_feedback_has_a_rule_for_stable(path, filters, paths):
    owner = product(rules=[{"matches": [{"path": path}], "filters": filters}])
    assert matched_paths(owner) == paths
    assert leads_feedback_to_stable(owner) is bool(paths)


def test_the_headers_and_filters_of_the_user_apply_to_labels_too():
    headers = [{"name": "x-market", "value": "at"}]
    header_filter = {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-a", "value": "1"}]},
    }
    match = {"path": {"value": "/api"}, "headers": headers}
    rule = {"name": "at", "matches": [match], "filters": [header_filter, prefix_rewrite("/")]}
    owner = product(rules=[rule])
    (unsplit,) = build_feedback_rules(owner, owner.spec.route)
    assert unsplit["filters"][0]["requestHeaderModifier"]["set"] == [{"name": "x-a", "value": "1"}]
    assert unsplit["filters"][1:] == [prefix_rewrite("/feedback")]
    assert [header["name"] for header in unsplit["matches"][0]["headers"]] == ["x-market"]
    assert "name" not in unsplit  # names of rules are unique in a route


def test_a_product_without_feedback_or_route_leads_no_labels_to_stable():
    route = {"parentRefs": [WEB]}
    for fields in (
        {"spec.route": route, "spec.serving.feedback": None},
        {"spec.route": None, "spec.serving.feedback": FEEDBACK},
    ):
        assert not leads_feedback_to_stable(DataProduct.parse(changed(fields)))
