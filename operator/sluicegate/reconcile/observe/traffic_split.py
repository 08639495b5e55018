"""The measured share of each version, compared with the configured one."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sluicegate.api.product import DataProduct
from sluicegate.api.route import ParentRef
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.managed_fields import fingerprint
from sluicegate.kube.resources import Key
from sluicegate.manifests.draw_route import build_draw_route
from sluicegate.manifests.names import version_name
from sluicegate.manifests.route import Backend
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.reconcile.live.children import RouteRecord
from sluicegate.reconcile.routes.gateway_state import ABSENT, GatewayState
from sluicegate.reconcile.traffic.allocation import allocation_of, share_in_force
from sluicegate.reconcile.traffic.split_verification import (
    Split,
    VerificationLevel,
    verify_acceptance,
    verify_draws,
    verify_share,
)


@dataclass(frozen=True, slots=True)
class LiveRoutes:
    """The live HTTPRoutes of a product, and their Gateways' states.

    Attributes
    ----------
    route : by weight. draws : by consumers' draws. gateways : those that had to be read.
    """

    route: RouteRecord | None
    draws: RouteRecord | None
    gateways: Mapping[Key, GatewayState]


def split_of(
    blocks: ProductBlocks, live: LiveRoutes, requests: Requests, *, now: int
) -> Split | None:
    """Return how far the present split is verified; None without a route or a stable version."""
    gateways = live.gateways
    spec, status = blocks.product.spec, blocks.product.status
    if spec.route is None or status.stable is None:
        return None
    allocation = allocation_of(blocks.product, status, stable_pods=spec.serving.base_replicas)
    name = blocks.product.metadata.name
    weights = {version_name(name, revision): weight for revision, weight in allocation.weights}
    candidate, parents = status.candidate, tuple(spec.route.parent_refs)
    existing_parents = tuple(_present_parents(parents, blocks.product.metadata.namespace, gateways))
    if (
        candidate is not None
        and candidate.shares
        and (existing_parents or _is_ending(candidate.phase))
    ):
        parents = existing_parents
    accepted = verify_acceptance(live.route, weights, parents, gateways)
    absent = ", ".join(str(key) for key, state in gateways.items() if state == ABSENT)
    if absent and accepted[0] is not VerificationLevel.NONE:
        text = f"Gateway {absent} doesn't exist"
        suffix = f"{text}; each other Gateway has accepted the route"
        accepted = accepted[0], suffix if accepted[0] is VerificationLevel.ACCEPTED else text
    if accepted[0] is VerificationLevel.ACCEPTED:
        accepted = _verified_draws(blocks.product, live, weights) or accepted
    if candidate is None or not candidate.shares:
        return Split(accepted[0], accepted[1], enough=True)
    seconds = now - candidate.shares[-1].start_time
    sent_requests = blocks.sent()
    return verify_share(
        accepted,
        share_in_force(candidate),
        requests if sent_requests is None else sent_requests,
        seconds=seconds,
        gateway=sent_requests is not None,
    )


def _is_ending(phase: CandidatePhase) -> bool:
    """Return whether a rollout ends, which waits for no Gateway that is being deleted."""
    return phase in (
        CandidatePhase.ROLLING_BACK,
        CandidatePhase.PARKED,
        CandidatePhase.PROMOTING,
    )


def _verified_draws(
    product: DataProduct, live: LiveRoutes, weights: Mapping[str, int]
) -> tuple[VerificationLevel, str] | None:
    """Return why the HTTPRoute for draws isn't in sync; None if it is or isn't desired."""
    route, consumers = product.spec.route, product.spec.rollout.consumers
    assert route is not None
    desired = build_draw_route(product, route, [Backend(*entry) for entry in weights.items()])
    if desired is None or consumers is None:
        return verify_draws(live.draws, None, ())
    parents = _present_parents(
        route.listeners_among(consumers.parent_refs), product.metadata.namespace, live.gateways
    )
    return verify_draws(live.draws, fingerprint(desired), parents, live.gateways)


def _present_parents(
    parents: Iterable[ParentRef], namespace: str, gateways: Mapping[Key, GatewayState]
) -> Iterator[ParentRef]:
    """Yield the parents that exist; a rollout doesn't wait for a deleted Gateway."""
    for parent in parents:
        if gateways.get(Key(parent.namespace or namespace, parent.name)) != ABSENT:
            yield parent
