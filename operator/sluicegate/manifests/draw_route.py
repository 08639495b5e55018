"""The HTTPRoute by which a consumer's draw chooses the version, while a candidate has a share.

Its matches are those of the product's route, and the headers of the draw in addition: the Gateway
API prefers a match with more headers. docs/adr/0028 has the reasons.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sluicegate.api.consumers import DRAW_HEADER
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.route import Route
from sluicegate.manifests.common import Manifest, labels, metadata, with_inputs_hash, without_empty
from sluicegate.manifests.names import draw_route_name
from sluicegate.manifests.route import (
    Backend,
    backend_ref,
    parent_ref,
    path_rewrite,
    split_rules,
    without_name,
)

DRAW_BITS: Final = 7
"""Binary digits of a draw, as the library for services makes it."""
MAX_RULES: Final = 16
"""Rules that an HTTPRoute holds."""
MAX_MATCHES: Final = 128
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
    parents = route.listeners_among(consumers.parent_refs)
    if not parents:
        return None
    return with_inputs_hash(
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
                    "rules": list(_draw_rules(product, split_rules(product, route), backends)),
                }
            ),
        }
    )


def prefixes_of_share(percent: int, bits: int = DRAW_BITS) -> list[str]:
    """Return the binary prefixes of the draws of a share within (0, 100).

    It is the largest of k/128 that isn't above the share, where k has at most `bits` binary ones,
    and 1/128 at least.
    """
    draw_count = max(percent * 2**DRAW_BITS // 100, 1)
    intervals: list[str] = []
    interval_start = 0
    for bit in reversed(range(DRAW_BITS)):
        if draw_count >> bit & 1 and len(intervals) < bits:
            intervals.append(format(interval_start >> bit, f"0{DRAW_BITS - bit}b"))
            interval_start += 1 << bit
    return intervals


def _draw_rules(
    product: DataProduct, rules: Sequence[Manifest], backends: Sequence[Backend]
) -> Iterator[Manifest]:
    stable, candidate = ([backend_ref(Backend(backend.service, weight=1))] for backend in backends)
    meta = product.metadata
    draw_match = _exact_header(DRAW_HEADER, f"{meta.namespace}/{meta.name}")
    prefix_matches = [
        _exact_header(f"{DRAW_HEADER}-{len(prefix)}", prefix)
        for prefix in prefixes_of_share(backends[1].weight, _prefixes_per_share(rules))
    ]
    for rule in rules:
        unnamed_rule = without_name(rule)
        candidate_matches = [
            _with_headers(match, draw_match, prefix_match)
            for match in rule["matches"]
            for prefix_match in prefix_matches
        ]
        for matches in (
            ([prefix] for prefix in candidate_matches)
            if _replaces_prefix(rule)
            else [candidate_matches]
        ):
            yield unnamed_rule | {"matches": matches, "backendRefs": candidate}
        stable_matches = [_with_headers(match, draw_match) for match in rule["matches"]]
        yield unnamed_rule | {"matches": stable_matches, "backendRefs": stable}


def _prefixes_per_share(rules: Sequence[Manifest]) -> int:
    """Return how many prefixes a share may have: the route holds a rule and a match for each."""
    single_match_rules = sum(map(_replaces_prefix, rules))
    matches = sum(len(rule["matches"]) for rule in rules)
    prefixes_by_rules = (
        (MAX_RULES - 2 * len(rules)) // single_match_rules + 1 if single_match_rules else DRAW_BITS
    )
    return min(prefixes_by_rules, MAX_MATCHES // matches - 1, DRAW_BITS)


def _replaces_prefix(rule: Manifest) -> bool:
    """Return whether a rule replaces the prefix that it matches, so that it must have one match."""
    return path_rewrite(rule).get("type") == "ReplacePrefixMatch"


def _exact_header(name: str, value: str) -> Manifest:
    return {"type": "Exact", "name": name, "value": value}


def _with_headers(match: Manifest, *headers: Manifest) -> Manifest:
    return match | {"headers": [*match.get("headers", ()), *headers]}
