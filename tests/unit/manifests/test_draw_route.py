"""The HTTPRoute of consumers' draws: which request it gives to which version, and what it holds."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.manifests.draw_route import MAX_MATCHES, MAX_RULES, build_draw_route
from sluicegate.manifests.route import Backend, build_route
from sluicegate_service.upstreams import DRAW_HEADER, draw_headers
from tests.support.samples.product_examples import changed

WEB = {"name": "web", "namespace": "gateway"}
CONSUMERS = {"names": ["ranking"], "parentRefs": [WEB]}
UPSTREAM = "catalog/search-ranking"
REWRITTEN = {
    "type": "URLRewrite",
    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
}
DRAWS = range(128)


def product(**route: Any) -> DataProduct:
    """A product with consumers; without `rules` its route has one for all requests."""
    spec = {"parentRefs": [WEB], **route}
    return DataProduct.parse(
        changed({"spec.route": spec, "spec.rollout.consumers": CONSUMERS, "metadata.uid": "u-1"})
    )


def routes(owner: DataProduct, percent: int) -> list[dict[str, Any]]:
    """The rules of both routes while the candidate has a share."""
    backends = [Backend("stable", 100 - percent), Backend("candidate", percent)]
    draws = build_draw_route(owner, owner.spec.route, backends)
    route = build_route(owner, owner.spec.route, backends)
    return [rule for each in (draws, route) if each for rule in each["spec"]["rules"]]


def backends_of(rules: list[dict[str, Any]], path: str, headers: dict[str, str]) -> set[str]:
    """The backends of a request, by the rule that the Gateway API prefers."""

    def order(match: dict[str, Any]) -> tuple[int, int]:
        return len(match["path"]["value"]), len(match.get("headers", ()))

    matching = [
        (match, rule)
        for rule in rules
        for match in rule["matches"]
        if path.startswith(match["path"]["value"])
        and all(
            headers.get(header["name"]) == header["value"] for header in match.get("headers", ())
        )
    ]
    _, chosen = max(matching, key=lambda pair: order(pair[0]))
    return {backend_ref["name"] for backend_ref in chosen["backendRefs"]}


def drawn(draw: int, upstream: str = UPSTREAM) -> dict[str, str]:
    return draw_headers(draw) | {DRAW_HEADER: upstream}


def rule(path: str, *filters: Any, headers: int = 0) -> dict[str, Any]:
    compared = [{"name": f"x-{each}", "value": "a"} for each in range(headers)]
    return {"matches": [{"path": {"value": path}, "headers": compared}], "filters": list(filters)}


SHAPES = {
    "all requests": {},
    "a path": {"path": "/search"},
    "rules": {"rules": [rule("/a", headers=2), rule("/a"), rule("/", REWRITTEN)]},
}


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 99])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_draw_header_alone_selects_the_version_in_proportion_to_the_share(shape, percent):
    rules = routes(product(**SHAPES[shape]), percent)
    for path, more in (("/a", {"x-0": "a", "x-1": "a"}), ("/a", {}), ("/search", {})):
        if shape == "a path" and path != "/search":
            continue
        found = [backends_of(rules, path, drawn(draw) | more) for draw in DRAWS]
        share = max(percent * 128 // 100, 1)
        assert found == [{"candidate"}] * share + [{"stable"}] * (128 - share)


def test_calls_without_a_draw_and_draws_for_another_product_are_split_by_weight():
    rules = routes(product(), 25)
    both = {"stable", "candidate"}
    assert backends_of(rules, "/", {}) == both
    assert all(backends_of(rules, "/", drawn(draw, "catalog/vans")) == both for draw in DRAWS)


@pytest.mark.parametrize("count", range(1, 9))
def test_a_route_with_many_rules_rounds_the_share_of_draws_to_fit_the_rule_limit(count):
    matches = [{"path": {"value": f"/{each}"}} for each in range(8)]
    for rules in (
        [rule(f"/{each}", REWRITTEN) for each in range(count)],
        [{"matches": matches}] * count,
    ):
        for percent in range(1, 100):
            backends = [Backend("stable", 100 - percent), Backend("candidate", percent)]
            owner = product(rules=rules)
            found = build_draw_route(owner, owner.spec.route, backends)["spec"]["rules"]
            assert len(found) <= MAX_RULES
            assert sum(len(one["matches"]) for one in found) <= MAX_MATCHES
            single = (one for one in found if one.get("filters") == [REWRITTEN])
            assert all(len(one["matches"]) == 1 for one in single)
        below = [{"candidate"} == backends_of(found, "/0", drawn(draw)) for draw in DRAWS]
        assert sum(below) >= 64


def test_the_route_of_draws_exists_only_with_consumers_and_while_both_versions_have_a_share():
    owner = product()
    without = DataProduct.parse(changed({"spec.route": {"parentRefs": [WEB]}}))
    both = [Backend("stable", 75), Backend("candidate", 25)]
    assert build_draw_route(without, without.spec.route, both) is None
    assert build_draw_route(owner, owner.spec.route, [Backend("stable", 100)]) is None
    assert build_draw_route(owner, owner.spec.route, both)["metadata"]["name"] == (
        "search-ranking-draws.sluicegate.dev"
    )


def test_the_route_of_draws_uses_the_consumer_listeners_of_the_applied_route():
    parents = [WEB | {"sectionName": "public"}, WEB | {"sectionName": "internal"}]
    consumers = {"names": ["ranking"], "parentRefs": [parents[1]]}
    owner = DataProduct.parse(
        changed({"spec.route": {"parentRefs": parents}, "spec.rollout.consumers": consumers})
    )
    both = [Backend("stable", 75), Backend("candidate", 25)]
    route = owner.spec.route
    (parent,) = build_draw_route(owner, route, both)["spec"]["parentRefs"]
    assert parent["sectionName"] == "internal"
    kept = route.replace(parent_refs=route.parent_refs[:1])
    assert build_draw_route(owner, kept, both) is None
