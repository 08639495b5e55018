"""The measured share of each version, against the one that was asked for."""

from collections.abc import Iterable, Iterator, Mapping

from sluicegate.api.route import ParentRef
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import version_name
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.reconcile.live.children import RouteRecord
from sluicegate.reconcile.routes.gateway_state import ABSENT, GatewayState
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.reconcile.traffic.split_verification import (
    Split,
    verify_acceptance,
    verify_share,
)


def split_of(
    measured: ProductBlocks,
    route: RouteRecord | None,
    requests: Requests,
    gateways: Mapping[Key, GatewayState],
    *,
    now: int,
) -> Split | None:
    """How far the split in force is verified; None without a route or a stable version."""
    spec, status = measured.product.spec, measured.product.status
    if spec.route is None or status.stable is None:
        return None
    allocation = allocation_of(measured.product, status, stable_pods=spec.serving.base_replicas)
    name = measured.product.metadata.name
    weights = {version_name(name, revision): weight for revision, weight in allocation.weights}
    candidate, parents = status.candidate, spec.route.parent_refs
    if candidate is not None and candidate.shares:
        parents = tuple(_present(parents, measured.product.metadata.namespace, gateways))
    accepted = verify_acceptance(route, weights, parents, gateways)
    if candidate is None or not candidate.shares:
        return Split(accepted[0], accepted[1], enough=True)
    back = candidate.phase in (CandidatePhase.ROLLING_BACK, CandidatePhase.PARKED)
    seconds = now - candidate.shares[-1].start_time
    sent = measured.sent()
    return verify_share(
        accepted,
        0 if back else candidate.weight,
        requests if sent is None else sent,
        seconds=seconds,
        gateway=sent is not None,
    )


def _present(
    parents: Iterable[ParentRef], namespace: str, gateways: Mapping[Key, GatewayState]
) -> Iterator[ParentRef]:
    """The parents that can send a request: a rollout doesn't wait for a Gateway that was deleted."""
    for parent in parents:
        if gateways.get(Key(parent.namespace or namespace, parent.name)) != ABSENT:
            yield parent
