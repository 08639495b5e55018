"""The HTTPRoute of previews, and the header that the other routes remove."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.manifests.draw_route import build_draw_route
from sluicegate.manifests.plan import spec_version
from sluicegate.manifests.pod import build_pod_template, inputs_hash
from sluicegate.manifests.preview_route import build_preview_route
from sluicegate.manifests.route import Backend, build_route
from sluicegate_service.environment import PREVIEW
from sluicegate_service.previews import HEADER
from tests.support.samples.product_examples import changed

WEB = {"name": "web", "namespace": "gateway"}
BOTH = [Backend("stable", 75), Backend("candidate", 25)]
REMOVED = {
    "type": "RequestHeaderModifier",
    "requestHeaderModifier": {"remove": ["sluicegate-preview"]},
}


def product(preview: Any = None, consumers: Any = None, **route: Any) -> DataProduct:
    """A product with a route, and a preview if it has listeners."""
    fields = {"spec.route": {"parentRefs": [WEB], **route}, "metadata.uid": "u-1"}
    fields |= {"spec.rollout.preview": {"parentRefs": preview}} if preview else {}
    fields |= {"spec.rollout.consumers": consumers} if consumers else {}
    return DataProduct.parse(changed(fields))


def test_a_request_with_the_header_reaches_the_candidate_by_the_rules_of_the_user():
    owner = product([WEB], path="/search", hostnames=["search.example"])
    route = build_preview_route(owner, owner.spec.route)
    assert route["metadata"]["name"] == "search-ranking-preview.sluicegate.dev"
    assert route["spec"]["hostnames"] == ["search.example"]
    (rule,) = route["spec"]["rules"]
    (match,) = rule["matches"]
    assert match["path"]["value"] == "/search"
    assert match["headers"] == [
        {"type": "Exact", "name": HEADER, "value": "catalog/search-ranking"}
    ]
    assert [backend_ref["name"] for backend_ref in rule["backendRefs"]] == [
        "search-ranking-candidate"
    ]
    assert [one["type"] for one in rule["filters"]] == ["URLRewrite"]


def test_a_preview_keeps_the_headers_that_a_rule_of_the_user_matches():
    owner = product([WEB], rules=[{"matches": [{"headers": [{"name": "x-a", "value": "1"}]}]}])
    (rule,) = build_preview_route(owner, owner.spec.route)["spec"]["rules"]
    assert [header["name"] for header in rule["matches"][0]["headers"]] == ["x-a", HEADER]


@pytest.mark.parametrize("build", [build_route, build_draw_route])
def test_requests_that_are_split_lose_the_header_of_previews(build):
    consumers = {"names": ["ranking"], "parentRefs": [WEB]}
    owner = product([WEB], consumers, path="/search")
    for rule in build(owner, owner.spec.route, BOTH)["spec"]["rules"]:
        assert [one["type"] for one in rule["filters"]] == ["URLRewrite", "RequestHeaderModifier"]
        assert rule["filters"][-1] == REMOVED


def test_the_removed_header_is_added_to_the_header_filter_of_the_user():
    modifier = {"set": [{"name": "x-b", "value": "1"}], "remove": ["x-a"]}
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": modifier}]
    owner = product([WEB], rules=[{"filters": filters}])
    (rule,) = build_route(owner, owner.spec.route, BOTH)["spec"]["rules"]
    (only,) = rule["filters"]
    assert only["requestHeaderModifier"]["set"] == modifier["set"]
    assert only["requestHeaderModifier"]["remove"] == ["x-a", "sluicegate-preview"]


def test_a_product_without_a_preview_has_the_routes_and_pods_of_before():
    owner = product()
    assert build_preview_route(owner, owner.spec.route) is None
    (rule,) = build_route(owner, owner.spec.route, BOTH)["spec"]["rules"]
    assert "filters" not in rule


def test_a_preview_is_reached_by_its_listeners_of_the_applied_route_alone():
    parents = [WEB | {"sectionName": "public"}, WEB | {"sectionName": "internal"}]
    fields = {"spec.route": {"parentRefs": parents}, "metadata.uid": "u-1"}
    fields |= {"spec.rollout.preview": {"parentRefs": parents[1:]}}
    owner = DataProduct.parse(changed(fields))
    route = owner.spec.route
    (parent,) = build_preview_route(owner, route)["spec"]["parentRefs"]
    assert parent["sectionName"] == "internal"
    assert build_preview_route(owner, route.replace(parent_refs=route.parent_refs[:1])) is None


def test_pods_of_a_product_with_a_preview_have_its_variable_and_another_hash():
    with_preview, without = product([WEB]), product()
    version = spec_version(without, "registry.example/runtime:1")
    (server,) = build_pod_template(with_preview, version)["spec"]["containers"]
    assert {"name": PREVIEW, "value": "true"} in server["env"]
    assert inputs_hash(with_preview, version) != inputs_hash(without, version)
