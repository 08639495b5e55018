"""The HTTPRoute by which a consumer's draw chooses the version, while a candidate has a share.

Its matches are those of the product's route, and the headers of the draw in addition: the Gateway
API prefers a match with more headers. docs/adr/0028 has the reasons.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sluicegate.api.consumers import DRAW_HEADER, Consumers
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.route import ParentRef, Route
from sluicegate.manifests.common import Manifest, labels, metadata, sealed, without_empty
from sluicegate.manifests.names import draw_route_name
from sluicegate.manifests.route import Backend, backend_ref, parent_ref, rules_of

DRAW_BITS: Final = 7
"""Binary digits of a draw, as the library for services makes it."""
MOST_RULES: Final = 16
"""Rules that an HTTPRoute holds."""
MOST_MATCHES: Final = 128
"""Matches that an HTTPRoute holds."""


def build_draw_route(
    product: DataProduct, route: Route, backends: Sequence[Backend]
) -> Manifest | None:
    """Return the route of draws; None without consumers, or while one version has all requests.

    Parameters
    ----------
    route : the one that is in force; its listeners may be fewer than those of the spec.
    backends : stable, then the candidate.
    """
    consumers = product.spec.rollout.consumers
    if consumers is None or len(backends) != 2:  # noqa: PLR2004 - stable and candidate
        return None
    parents = draw_parents(consumers, route)
    if not parents:
        return None
    return sealed(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": metadata(
                product,
                draw_route_name(product.metadata.name),
                labels(product, Component.ROUTE),
            ),
            "spec": without_empty(
                {
                    "parentRefs": [parent_ref(parent.to_dict()) for parent in parents],
                    "hostnames": list(route.hostnames),
                    "rules": list(_rules(product, rules_of(route), backends)),
                }
            ),
        }
    )


def draw_parents(consumers: Consumers, route: Route) -> list[ParentRef]:
    """Return the listeners of consumers by which requests reach the route that is in force."""
    return [
        parent_ref
        for parent_ref in consumers.parent_refs
        if any(parent_ref.is_within(other) for other in route.parent_refs)
    ]


def prefixes(percent: int, bits: int = DRAW_BITS) -> list[str]:
    """Return the binary prefixes of the draws of a share within (0, 100).

    It is the largest of k/128 that isn't above the share, where k has at most `bits` binary ones,
    and 1/128 at least.
    """
    share = max(percent * 2**DRAW_BITS // 100, 1)
    intervals: list[str] = []
    first_draw = 0
    for bit in reversed(range(DRAW_BITS)):
        if share >> bit & 1 and len(intervals) < bits:
            intervals.append(format(first_draw >> bit, f"0{DRAW_BITS - bit}b"))
            first_draw += 1 << bit
    return intervals


def _rules(
    product: DataProduct, rules: Sequence[Manifest], backends: Sequence[Backend]
) -> Iterator[Manifest]:
    stable, candidate = ([backend_ref(Backend(backend.service, weight=1))] for backend in backends)
    meta = product.metadata
    draw_match = _exactly(DRAW_HEADER, f"{meta.namespace}/{meta.name}")
    share = [
        _exactly(f"{DRAW_HEADER}-{len(prefix)}", prefix)
        for prefix in prefixes(backends[1].weight, _prefixes_per_share(rules))
    ]
    for rule in rules:
        unnamed = {name: part for name, part in rule.items() if name != "name"}
        below = [_with(match, draw_match, one) for match in rule["matches"] for one in share]
        for matches in ([prefix] for prefix in below) if _replaces_prefix(rule) else [below]:
            yield unnamed | {"matches": matches, "backendRefs": candidate}
        others = [_with(match, draw_match) for match in rule["matches"]]
        yield unnamed | {"matches": others, "backendRefs": stable}


def _prefixes_per_share(rules: Sequence[Manifest]) -> int:
    """Return how many prefixes a share may have: the route holds a rule and a match for each."""
    single = sum(map(_replaces_prefix, rules))
    matches = sum(len(rule["matches"]) for rule in rules)
    by_rules = (MOST_RULES - 2 * len(rules)) // single + 1 if single else DRAW_BITS
    return min(by_rules, MOST_MATCHES // matches - 1, DRAW_BITS)


def _replaces_prefix(rule: Manifest) -> bool:
    """Return whether a rule replaces the prefix that it matches, so that it must have one match."""
    return any(
        route_filter.get("urlRewrite", {}).get("path", {}).get("type") == "ReplacePrefixMatch"
        for route_filter in rule.get("filters", ())
    )


def _exactly(name: str, value: str) -> Manifest:
    return {"type": "Exact", "name": name, "value": value}


def _with(match: Manifest, *headers: Manifest) -> Manifest:
    return match | {"headers": [*match.get("headers", ()), *headers]}
