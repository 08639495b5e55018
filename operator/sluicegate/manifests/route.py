"""The HTTPRoute of a product: the user's rules, with the operator's weights in each of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.names import PREVIEW_HEADER, Component
from sluicegate.api.product import DataProduct
from sluicegate.api.route import Route
from sluicegate.manifests.common import (
    HTTP_PORT,
    Manifest,
    labels,
    metadata,
    with_inputs_hash,
    without_empty,
)

FEEDBACK_PATH: Final = "/feedback"
"""Path of the library that receives labels, as a pod has it."""
_ANY_PATH_MATCH = {"path": {"type": "PathPrefix", "value": "/"}}


@dataclass(frozen=True, slots=True)
class Backend:
    """A version's Service and its share of the traffic, in percent."""

    service: str
    weight: int


def build_route(
    product: DataProduct,
    route: Route,
    backends: Sequence[Backend],
    unsplit_rules: Sequence[Manifest] = (),
) -> Manifest:
    """Build the HTTPRoute that splits the product's requests between `backends`.

    Those of `unsplit_rules`, which have backends of their own and more precise matches, are not split.
    """
    return with_inputs_hash(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": metadata(product, product.metadata.name, labels(product, Component.ROUTE)),
            "spec": without_empty(
                {
                    "parentRefs": [parent_ref(parent.to_dict()) for parent in route.parent_refs],
                    "hostnames": list(route.hostnames),
                    "rules": [
                        *(
                            rule | {"backendRefs": [backend_ref(backend) for backend in backends]}
                            for rule in split_rules(product, route)
                        ),
                        *unsplit_rules,
                    ],
                }
            ),
        }
    )


def parent_ref(reference: Manifest) -> Manifest:
    """Return a reference of the spec with group and kind."""
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway"} | reference


def backend_ref(backend: Backend) -> Manifest:
    """Return the reference of a rule to a version."""
    return {
        "group": "",
        "kind": "Service",
        "name": backend.service,
        "port": HTTP_PORT,
        "weight": backend.weight,
    }


def split_rules(product: DataProduct, route: Route) -> list[Manifest]:
    """Return the user's rules, without backends, for requests that are split between versions.

    Where a product has a preview, they remove its header: pods don't count requests with it, and no
    client is to choose that for requests that are split.
    """
    if product.spec.rollout.preview is None:
        return rules_of(route)
    return [_without_request_header(rule, PREVIEW_HEADER) for rule in rules_of(route)]


def rules_of(route: Route) -> list[Manifest]:
    """Return the user's rules, without backends."""
    if route.rules:
        return [_rule(rule.to_dict()) for rule in route.rules]
    prefix = route.path or "/"
    match = {"path": {"type": "PathPrefix", "value": prefix}}
    return [without_empty({"matches": [match], "filters": _strip_filters(prefix)})]


def without_name(rule: Manifest) -> Manifest:
    """Return a rule that may stand beside the one that it is made from: names are unique in a route."""
    return {field: value for field, value in rule.items() if field != "name"}


def path_rewrite(rule: Manifest) -> Manifest:
    """Return how a rule rewrites the path; empty if it doesn't."""
    rewrites = (
        route_filter.get("urlRewrite", {}).get("path") for route_filter in rule.get("filters", ())
    )
    return next(filter(None, rewrites), {})


def _rule(rule: Manifest) -> Manifest:
    """Return a rule of the spec; one without matches gets a match of all requests."""
    return without_empty(rule | {"matches": rule.get("matches") or [_ANY_PATH_MATCH]})


def _without_request_header(rule: Manifest, header: str) -> Manifest:
    """Return the rule with a filter that removes the header; a rule has one filter of this type."""
    kind, filters = "RequestHeaderModifier", rule.get("filters", [])
    own_modifier: Manifest = next(
        (each["requestHeaderModifier"] for each in filters if each["type"] == kind), {}
    )
    modifier = own_modifier | {"remove": [*own_modifier.get("remove", ()), header]}
    others = [each for each in filters if each["type"] != kind]
    return rule | {"filters": [*others, {"type": kind, "requestHeaderModifier": modifier}]}


def _strip_filters(prefix: str) -> list[Manifest]:
    """Return the filter that removes the prefix before the service; none is needed at the root."""
    if prefix == "/":
        return []
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    return [{"type": "URLRewrite", "urlRewrite": {"path": path}}]


# ---- labels -----------------------------------------------------------------------------------
# A label may belong to a prediction of either version, and the pod that receives it counts it. Pods
# of a candidate aren't accepted yet, and could count any outcome for stable: docs/adr/0031.
def build_feedback_rules(product: DataProduct, route: Route) -> list[Manifest]:
    """Return the rules by which /feedback leads to the product's own Service; empty where it can't.

    That is: the product takes no feedback, or none of the user's rules leads to that path. The
    Service selects the stable version's pods until a candidate has all requests. It is not the
    Service of a version, by whose requests a gateway counts the shares.
    """
    if product.spec.serving.feedback is None:
        return []
    # A spec has at most half of the rules and matches that an HTTPRoute holds.
    backend = backend_ref(Backend(product.metadata.name, weight=100))
    return [
        rule | {"backendRefs": [backend]} for rule in _feedback_rules(split_rules(product, route))
    ]


def leads_feedback_to_stable(product: DataProduct) -> bool:
    """Return whether labels reach only the stable version's pods while a candidate has a part of the requests."""
    route = product.spec.route
    return route is not None and bool(build_feedback_rules(product, route))


def _feedback_rules(rules: Sequence[Manifest]) -> Iterator[Manifest]:
    for rule in rules:
        unnamed_rule, rewrite = without_name(rule), path_rewrite(rule)
        if rewrite.get("type") == "ReplaceFullPath":
            if rewrite["replaceFullPath"] == FEEDBACK_PATH:
                yield unnamed_rule
        elif rewrite:
            yield from _stripped_rule(unnamed_rule, rewrite["replacePrefixMatch"])
        elif matches := [
            match | {"path": path} for match in rule["matches"] for path in _paths(match)
        ]:
            yield unnamed_rule | {"matches": matches}


def _stripped_rule(rule: Manifest, new_prefix: str) -> Iterator[Manifest]:
    """Yield the rule for /feedback behind the prefix that it replaces; it has one match."""
    (match,) = rule["matches"]
    if new_prefix.rstrip("/") == FEEDBACK_PATH:
        yield rule
    elif new_prefix == "/":
        prefix = match["path"]["value"].rstrip("/") + FEEDBACK_PATH
        yield rule | {
            "matches": [match | {"path": {"type": "PathPrefix", "value": prefix}}],
            "filters": [_with_prefix(route_filter) for route_filter in rule["filters"]],
        }


def _with_prefix(route_filter: Manifest) -> Manifest:
    rewrite = route_filter.get("urlRewrite", {})
    if "path" not in rewrite:
        return route_filter
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": FEEDBACK_PATH}
    return route_filter | {"urlRewrite": rewrite | {"path": path}}


def _paths(match: Manifest) -> Iterator[Manifest]:
    """Yield the path of a match for /feedback alone, if the match includes it."""
    path = match.get("path") or {"type": "PathPrefix", "value": "/"}
    is_prefix = path.get("type", "PathPrefix") == "PathPrefix"
    if path["value"].rstrip("/") == FEEDBACK_PATH or (is_prefix and path["value"] == "/"):
        yield {"type": "Exact", "value": FEEDBACK_PATH}
