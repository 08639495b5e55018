"""The HTTPRoute of a product: the user's rules, with the operator's weights in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

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

_ANY_PATH_MATCH = {"path": {"type": "PathPrefix", "value": "/"}}


@dataclass(frozen=True, slots=True)
class Backend:
    """A version's Service and its share of the traffic, in percent."""

    service: str
    weight: int


def build_route(product: DataProduct, route: Route, backends: Sequence[Backend]) -> Manifest:
    """Build the HTTPRoute that splits the product's requests between `backends`."""
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
                        rule | {"backendRefs": [backend_ref(backend) for backend in backends]}
                        for rule in split_rules(product, route)
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
